-- authority.lua -- a certificate authority of the specs: keys and certificates, made by openssl.
-- Model:  `new` makes one CA and what it signs, and a second CA that nobody is told of. A certificate is a
--         table {certificate=, key=, pin=}: two PEM files, and the sha256// pin of its public key.
-- Owner:  closing it removes the files.
-- Errors: those of openssl, raised with its output.
local process = require "spec.helper.process"

---@class authority.certificate
---@field certificate string a PEM file
---@field key string a PEM file
---@field pin string "sha256//" and the base64 of the public key's hash

---@class authority
---@field ca string the PEM file to trust
---@field localhost authority.certificate for localhost, 127.0.0.1 and ::1
---@field client authority.certificate for a client
---@field expired authority.certificate for localhost, but of the past
---@field other authority.certificate for other.invalid
---@field unknown authority.certificate for localhost, by a CA that is not in `ca`
local Authority = {}
Authority.__index = Authority

-- $1: directory. `ca NAME` makes a CA; `sign CA NAME SUBJECT DAYS EXTENSION` what it signs.
local SCRIPT = [[
set -eu
cd "$1"
new="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
ca() {
  openssl req -x509 $new -keyout "$1.key" -out "$1.pem" -subj "/CN=rille $1" -days 30
}
sign() {
  openssl req $new -keyout "$2.key" -out "$2.csr" -subj "/CN=$3"
  echo "$5" >"$2.ext"
  openssl x509 -req -in "$2.csr" -CA "$1.pem" -CAkey "$1.key" -days "$4" -extfile "$2.ext" -out "$2.pem"
  openssl x509 -in "$2.pem" -noout -pubkey | openssl pkey -pubin -outform DER |
    openssl dgst -sha256 -binary | openssl base64 -A >"$2.pin"
}
here=subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1
ca ca
ca stranger
sign ca localhost localhost 30 $here
sign ca client client 30 extendedKeyUsage=clientAuth
sign ca expired localhost -1 $here
sign ca other other.invalid 30 subjectAltName=DNS:other.invalid
sign stranger unknown localhost 30 $here
]]

local authority = {}

--- Makes the keys and certificates.
---@return authority for a <close> variable
function authority.new()
  local pipe <close> = assert(io.popen("mktemp -d"))
  local directory = assert(pipe:read("l"))
  local self = setmetatable({ directory = directory, ca = directory .. "/ca.pem" }, Authority)
  local done = process.run { "sh", "-c", SCRIPT, "authority", directory }
  if done.status ~= 0 then
    self:close()
    error("openssl: " .. done.stderr, 0)
  end
  for _, name in ipairs { "localhost", "client", "expired", "other", "unknown" } do
    local path = directory .. "/" .. name
    local pin <close> = assert(io.open(path .. ".pin"))
    self[name] = {
      certificate = path .. ".pem", key = path .. ".key", pin = "sha256//" .. assert(pin:read("a")),
    }
  end
  return self
end

--- Removes the files. Idempotent.
function Authority:close() assert(os.execute("rm -rf " .. self.directory)) end

Authority.__close = Authority.close

return authority
