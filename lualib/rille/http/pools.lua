--- rille.http.pools: the connections of a client (internal).
-- Model:  a client has a pool of connections for the version of HTTP that it was made with, and makes another
--         for each other version that a request asks for. They share cookies and no more, as libcurl 7.88 may
--         put two requests on one HTTP/1.1 connection at once if it knows the same host to speak HTTP/2.
-- Owner:  the client; closing it closes them all.
-- Errors: those of a jar that cannot be opened or saved.

local host = require "rille.host.http"

local http_pools = {}

local DEFAULT <const> = "1.1"

--- What a client holds of its connections.
---@param options rille.http.ClientOptions
---@return table
function http_pools.new(options)
  local version = options.http_version or DEFAULT
  local per_host = options.max_per_host
  local own = host.pool(options.max_connections, per_host, options.cookies, version)
  return {
    version = version,
    limits = { options.max_connections or 0, per_host or 0 },
    own = own, -- that of requests which ask for no version
    [version] = own,
  }
end

--- The pool for a version of HTTP: the client's own by default. Of a closed client it is a closed one.
---@param pools table
---@param version? string
---@return userdata
function http_pools.of(pools, version)
  local pool = pools[version or pools.version]
  if pool then return pool end
  if pools.closed then return pools.own end
  pool = host.pool(pools.limits[1], pools.limits[2], pools.own, version)
  pools[version] = pool
  return pool
end

local VERSIONS <const> = { "1.1", "auto", "2" }

--- The connections of all of them.
---@param pools table
---@return rille.http.Stats
function http_pools.stats(pools)
  local sum = { open = 0, idle = 0, in_use = 0, waiting = 0, holders = {} }
  for _, version in ipairs(VERSIONS) do
    local stats = pools[version] and pools[version]:stats() or {}
    for name, value in pairs(stats) do
      if name == "holders" then
        table.move(value, 1, #value, #sum.holders + 1, sum.holders)
      else
        sum[name] = sum[name] + value
      end
    end
  end
  return sum
end

--- Closes all of them, whether or not the cookies can be saved.
---@param pools table
function http_pools.close(pools)
  pools.closed = true
  local ok, err = true, nil
  for _, version in ipairs(VERSIONS) do
    if pools[version] then
      local closed, reason = pcall(pools[version].close, pools[version])
      if not closed then ok, err = false, reason end
    end
  end
  if not ok then error(err, 0) end
end

return http_pools
