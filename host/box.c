/* box.c -- class tables and argument readers. The model is told in box.h.
 * Owner:  the registry owns classes.
 * Errors: every reader raises in the form of Lua's own library. */
#include "box.h"

void rille_class(lua_State *L, const char *name, const luaL_Reg *meta, const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, meta, 0);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

void rille_push_weak(lua_State *L, const char *mode) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushstring(L, mode);
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

double rille_check_seconds(lua_State *L, int arg) {
  double seconds = luaL_checknumber(L, arg);
  luaL_argcheck(L, seconds >= 0 && seconds < 1e9, arg, "seconds out of range");
  return seconds;
}

void rille_push_embedded(lua_State *L, const char *name) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_getfield(L, -1, name);
  lua_call(L, 0, 1);
  lua_remove(L, -2);
}

/* The type for a message, as luaL_typeerror tells it. */
static const char *type_name(lua_State *L, int arg) {
  if (luaL_getmetafield(L, arg, "__name") == LUA_TSTRING)
    return lua_tostring(L, -1);
  return luaL_typename(L, arg);
}

void rille_check_function(lua_State *L, int arg, const char *usage) {
  if (!lua_isfunction(L, arg))
    luaL_argerror(L, arg, lua_pushfstring(L, "function expected, got %s; the function itself is given: '%s'",
                                          type_name(L, arg), usage));
}

int rille_bad_self(lua_State *L, const char *class) {
  return luaL_argerror(L, 1, lua_pushfstring(L, "%s expected, got %s; is it called with ':'?", class,
                                             type_name(L, 1)));
}

void *rille_check_self(lua_State *L, const char *class) {
  void *self = luaL_testudata(L, 1, class);
  if (self == NULL)
    rille_bad_self(L, class);
  return self;
}

static int bad_type(lua_State *L, const char *name, const char *expected) {
  return luaL_error(L, "bad option '%s' (%s expected, got %s)", name, expected,
                    luaL_typename(L, -1));
}

double rille_field_number(lua_State *L, int t, const char *name, double def, double min,
                          double max) {
  double value = def;
  if (lua_getfield(L, t, name) != LUA_TNIL) {
    if (lua_type(L, -1) != LUA_TNUMBER)
      bad_type(L, name, "number");
    value = lua_tonumber(L, -1);
    if (!(value >= min && value <= max))
      luaL_error(L, "bad option '%s' (out of range)", name);
  }
  lua_pop(L, 1);
  return value;
}

lua_Integer rille_field_integer(lua_State *L, int t, const char *name, lua_Integer def,
                                lua_Integer min, lua_Integer max) {
  lua_Integer value = def;
  if (lua_getfield(L, t, name) != LUA_TNIL) {
    int whole = 0; /* a float with the value of an integer is one, as in Lua's library */
    if (lua_type(L, -1) == LUA_TNUMBER)
      value = lua_tointegerx(L, -1, &whole);
    if (!whole)
      bad_type(L, name, "integer");
    if (value < min || value > max)
      luaL_error(L, "bad option '%s' (out of range)", name);
  }
  lua_pop(L, 1);
  return value;
}

bool rille_field_boolean(lua_State *L, int t, const char *name, bool def) {
  bool value = def;
  if (lua_getfield(L, t, name) != LUA_TNIL) {
    if (!lua_isboolean(L, -1))
      bad_type(L, name, "boolean");
    value = lua_toboolean(L, -1);
  }
  lua_pop(L, 1);
  return value;
}

const char *rille_field_string(lua_State *L, int t, const char *name, size_t *length) {
  if (lua_getfield(L, t, name) == LUA_TNIL)
    return NULL;
  if (lua_type(L, -1) != LUA_TSTRING)
    bad_type(L, name, "string");
  return lua_tolstring(L, -1, length);
}
