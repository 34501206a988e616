-- C modules in C++: its operators of memory and its exceptions are what they are in any other program.
local files = require "spec.helper.files"
local process = require "spec.helper.process"

local STRESSED = os.getenv("RILLE_SPEC_GC") == "stress"

local SOURCE = [[
#include <lua.hpp>
#include <new>
#include <stdexcept>

struct alignas(64) Wide { char bytes[64]; };
struct Refusing { Refusing() { throw std::runtime_error("refused"); } };

static volatile size_t many = (size_t)1 << 50;

template <class T> static int l_many(lua_State *L) {
  try {
    T *all = new T[many];
    lua_pushboolean(L, all != nullptr);
    delete[] all;
  } catch (const std::bad_alloc &error) {
    lua_pushstring(L, error.what());
  }
  return 1;
}

static int l_handler(lua_State *L) {
  static int calls;
  calls = 0;
  std::set_new_handler([] { if (++calls == 3) throw std::bad_alloc(); });
  l_many<char>(L);
  std::set_new_handler(nullptr);
  lua_pushinteger(L, calls);
  return 2;
}

static int l_nothrow(lua_State *L) {
  char *none = new (std::nothrow) char[many];
  lua_pushboolean(L, none == nullptr);
  delete[] none;
  try {
    delete new (std::nothrow) Refusing;
  } catch (const std::exception &error) {
    lua_pushstring(L, error.what());
  }
  return 2;
}

static int l_aligned(lua_State *L) {
  bool is_aligned = true;
  for (int i = 0; i < 1000; i++) {
    Wide *one = new Wide, *none = new (std::nothrow) Wide;
    is_aligned = is_aligned && (size_t)one % 64 == 0 && (size_t)none % 64 == 0;
    delete one;
    delete none;
  }
  lua_pushboolean(L, is_aligned);
  return 1;
}

extern "C" int luaopen_operators(lua_State *L) {
  const luaL_Reg lib[] = {{"many", l_many<char>}, {"wide", l_many<Wide>}, {"handler", l_handler},
                          {"nothrow", l_nothrow}, {"aligned", l_aligned}, {NULL, NULL}};
  luaL_newlib(L, lib);
  return 1;
}
]]

-- Compiles and loads the module; the build needs g++ too.
local function load()
  local directory <close> = files.directory()
  local path = directory.path .. "/operators"
  files.write(path .. ".cpp", SOURCE)
  local done = process.run { "g++", "-shared", "-fPIC", "-std=c++17", "-Wno-alloc-size-larger-than",
    "-I/usr/include/lua5.4", "-o", path .. ".so", path .. ".cpp" }
  return assert(package.loadlib(path .. ".so", "luaopen_operators"), done.stderr)()
end

describe("a C module in C++", function()
  local module

  setup(function() module = load() end)

  it("catches std::bad_alloc when there is no memory, of aligned types too", function()
    if STRESSED then return end -- a sanitizer ends the program there
    assert.equal("std::bad_alloc", module.many())
    assert.equal("std::bad_alloc", module.wide())
  end)

  it("has its handler of what cannot be allocated called", function()
    if STRESSED then return end
    assert.same({ "std::bad_alloc", 3 }, { module.handler() })
  end)

  it("gets a null pointer where it says so, and what a constructor throws", function()
    if STRESSED then return end
    assert.same({ true, "refused" }, { module.nothrow() })
  end)

  it("gets aligned memory, and gives it back", function() assert.is_true(module.aligned()) end)
end)
