-- What the command says of mistakes that people make who come from other languages, and of typing errors.
local process = require("spec.helper.process")

local function first_lines(text, n)
  local lines = {}
  for line in text:gmatch("[^\n]+") do
    if #lines < n then lines[#lines + 1] = line end
  end
  return table.concat(lines, "\n")
end

describe("a chunk that does not compile", function()
  for code, hint in pairs({
    ["async def f(): pass"] = "a function that waits is a function: write 'local function'",
    ["x = 1\nasync function f() end"] = "a function that waits is a function: leave out 'async'",
    ["async for v in f() do end"] = "a loop may wait: leave out 'async'",
    ["for await v in f() do end"] = "a loop may wait: leave out 'await'",
    ["await f()"] = "a call that waits just waits: leave out 'await'",
    ["print(await f())"] = "a call that waits just waits: leave out 'await'",
    ["async with f() as x do end"] = "what must be closed is a variable: write 'local x <close> = ...'",
    ["for i = 1, 3 do\n  yield i\nend"] = "an item is yielded by a call: write 'coroutine.yield(...)'",
  }) do
    it("gets the hint that " .. hint .. " for " .. code:gsub("\n", "; "), function()
      local path = os.tmpname()
      local file = assert(io.open(path, "w"))
      assert(file:write(code))
      assert(file:close())
      local by_file = process.run({ process.rille, path })
      local by_option = process.run({ process.rille, "-e", code })
      os.remove(path)
      for _, result in ipairs({ by_file, by_option }) do
        assert.equal(1, result.status)
        assert.is_truthy(result.stderr:find("^rille: [^\n]*:%d+: [^\n]*\nhint: "), result.stderr)
        assert.equal("hint: " .. hint, result.stderr:match("\n(hint: [^\n]*)\n$"))
      end
    end)
  end

  it("gets none for other mistakes, and none for words on other lines", function()
    for _, code in ipairs({ "x = = 1", "x = 'await f()'\ny = = 1", "awaiting x", "f = async_for 1 2" }) do
      local result = process.run({ process.rille, "-e", code })
      assert.equal(1, result.status)
      assert.equal(first_lines(result.stderr, 1) .. "\n", result.stderr)
    end
  end)
end)

describe("a module that is not found", function()
  local function message(name)
    local ok, text = pcall(require, name)
    assert.is_false(ok)
    return text
  end

  it("has the near one in the message", function()
    for name, near in pairs({ ["rile"] = "rille", ["rille.htpp"] = "rille.http", ["rile.http"] = "rille.http",
      ["rille.jsn"] = "rille.json", ["rille.steram"] = "rille.stream", ["strin"] = "string",
      ["rille.servre"] = "rille.server" }) do
      assert.equal(("did you mean '%s'?"):format(near), message(name):match("\n\t(did you mean[^\n]*)$"))
    end
  end)

  it("has none if none is near, or only one of the host's own", function()
    for _, name in ipairs({ "x", "io2x", "no.such.module", "rille.host.tasks", "rille.replx" }) do
      assert.is_falsy(message(name):find("did you mean", 1, true), name)
    end
  end)
end)
