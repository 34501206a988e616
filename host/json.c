/* json.c -- the value at a JSON pointer as a Lua value. The model is told in json.h.
 * Owner:  the registry keeps one parser, at the address of `spare`.
 * Errors: Lua may raise at each push: nothing is held but by userdata on the stack. */
#include "json.h"

#include <limits.h>

#include <lauxlib.h>

#include "box.h"

#define PARSER "rille.json.parser"

static const char spare = 0;

/* --- parsers --- */

/* Pushes a parser: the one that is kept, or a new one. */
static struct rille_json *take_parser(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &spare) == LUA_TUSERDATA) {
    lua_pushboolean(L, false);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &spare);
    return *(struct rille_json **)lua_touserdata(L, -1);
  }
  lua_pop(L, 1);
  struct rille_json **box = lua_newuserdatauv(L, sizeof(struct rille_json *), 0);
  *box = NULL;
  luaL_setmetatable(L, PARSER);
  *box = rille_json_new();
  if (*box == NULL)
    luaL_error(L, "not enough memory");
  return *box;
}

static void free_parser(struct rille_json **box) {
  rille_json_free(*box);
  *box = NULL;
}

/* Keeps the parser at an index, unless it is large. */
static void give_parser(lua_State *L, int index) {
  struct rille_json **box = lua_touserdata(L, index);
  if (rille_json_is_large(*box)) {
    free_parser(box);
    return;
  }
  lua_pushvalue(L, index);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &spare);
}

static int l_gc(lua_State *L) {
  struct rille_json **box = luaL_checkudata(L, 1, PARSER);
  if (*box != NULL)
    free_parser(box);
  return 0;
}

/* --- values --- */

static int clamp(size_t count) { return count < INT_MAX ? (int)count : INT_MAX; }

/* Pushes what the event begins or is; nothing for an end. */
static void push_event(lua_State *L, const struct rille_json_event *e) {
  switch (e->kind) {
  case RILLE_JSON_NULL:
    lua_pushlightuserdata(L, NULL); /* as lua-cjson has it */
    break;
  case RILLE_JSON_FALSE:
  case RILLE_JSON_TRUE:
    lua_pushboolean(L, e->kind == RILLE_JSON_TRUE);
    break;
  case RILLE_JSON_NUMBER:
    lua_pushnumber(L, e->number);
    break;
  case RILLE_JSON_STRING:
  case RILLE_JSON_KEY:
    lua_pushlstring(L, e->text, e->length);
    break;
  case RILLE_JSON_ARRAY:
    lua_createtable(L, clamp(e->count), 0);
    break;
  case RILLE_JSON_OBJECT:
    lua_createtable(L, 0, clamp(e->count));
    break;
  case RILLE_JSON_END:
    break;
  }
}

/* Pushes the value that was found: tables that are not complete lie on the stack, under their keys. */
static void push_value(lua_State *L, struct rille_json *json) {
  struct rille_json_event e;
  while (rille_json_next(json, &e)) {
    luaL_checkstack(L, LUA_MINSTACK, "JSON value");
    push_event(L, &e);
    if (e.kind == RILLE_JSON_KEY || e.kind == RILLE_JSON_ARRAY || e.kind == RILLE_JSON_OBJECT)
      continue;
    if (e.index > 0)
      lua_rawseti(L, -2, (lua_Integer)e.index);
    else if (e.depth > 0)
      lua_rawset(L, -3);
  }
}

static int push_outcome(lua_State *L, struct rille_json *json, enum rille_json_status status,
                        int pointer) {
  size_t length;
  const char *path = lua_tolstring(L, pointer, &length);
  switch (status) {
  case RILLE_JSON_OK:
    if (rille_json_find(json, path, length))
      push_value(L, json);
    else
      lua_pushnil(L);
    return 1;
  case RILLE_JSON_MEMORY:
    return luaL_error(L, "not enough memory");
  case RILLE_JSON_BEYOND:
    lua_pushnil(L);
    lua_pushliteral(L, "beyond");
    return 2;
  default:
    lua_pushnil(L);
    lua_pushliteral(L, "text");
    lua_pushstring(L, rille_json_reason(json));
    return 3;
  }
}

int rille_json_at(lua_State *L, const char *text, size_t length, bool padded, int pointer) {
  size_t n;
  const char *path = lua_tolstring(L, pointer, &n);
  if (!rille_json_is_pointer(path, n)) {
    lua_pushnil(L);
    lua_pushliteral(L, "pointer");
    return 2;
  }
  struct rille_json *json = take_parser(L);
  int parser = lua_gettop(L);
  int results = push_outcome(L, json, rille_json_parse(json, text, length, padded), pointer);
  give_parser(L, parser);
  return results;
}

/* at(text, pointer) -> as rille_json_at */
static int l_at(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  luaL_checktype(L, 2, LUA_TSTRING);
  return rille_json_at(L, text, length, false, 2);
}

static const luaL_Reg methods[] = {{NULL, NULL}};

static const luaL_Reg meta[] = {{"__gc", l_gc}, {NULL, NULL}};

static const luaL_Reg lib[] = {{"at", l_at}, {NULL, NULL}};

int luaopen_rille_json(lua_State *L) {
  rille_class(L, PARSER, meta, methods);
  luaL_newlib(L, lib);
  return 1;
}
