/* json.c -- JSON texts, whole or at a JSON pointer, as Lua values. The model is told in json.h.
 * Owner:  the registry keeps one reader, at the address of `spare`. It is busy while it reads: what is read
 *         meanwhile, by a finaliser, or after an error has left it so, gets another, which takes its place.
 * Errors: Lua may raise at each push: nothing is held but by userdata on the stack. */
#include "json.h"

#include <lauxlib.h>

#include "box.h"
#include "json_value.h"

#define READER "rille.json.reader"

enum { KEEPER = 1 }; /* user value of a reader: the table that keeps its strings */

struct reader {
  struct rille_json *json; /* NULL between two texts if it had grown large */
  bool busy;
  bool kept; /* was put into the registry */
  struct rille_json_strings strings;
};

static const char spare = 0;

/* --- readers --- */

static struct reader *new_reader(lua_State *L) {
  struct reader *r = lua_newuserdatauv(L, sizeof *r, KEEPER);
  *r = (struct reader){.json = NULL};
  luaL_setmetatable(L, READER);
  rille_json_push_keeper(L);
  lua_setiuservalue(L, -2, KEEPER);
  return r;
}

/* Pushes a reader: the one that is kept, or a new one. */
static struct reader *take_reader(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &spare);
  struct reader *r = lua_touserdata(L, -1); /* NULL if it is nil */
  if (r == NULL || r->busy) {
    lua_pop(L, 1);
    r = new_reader(L);
  }
  if (r->json == NULL && (r->json = rille_json_new()) == NULL)
    luaL_error(L, "not enough memory");
  r->busy = true;
  return r;
}

/* Keeps the reader at an index; not a parser that has grown large. */
static void give_reader(lua_State *L, int index) {
  struct reader *r = lua_touserdata(L, index);
  r->busy = false;
  if (rille_json_is_large(r->json)) {
    rille_json_free(r->json);
    r->json = NULL;
  }
  if (r->kept)
    return;
  lua_pushvalue(L, index);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &spare);
  r->kept = true;
}

static int l_gc(lua_State *L) {
  struct reader *r = luaL_checkudata(L, 1, READER);
  if (r->json != NULL)
    rille_json_free(r->json);
  r->json = NULL;
  return 0;
}

/* --- values --- */

/* Pushes what the pointer leads to in the text that the reader at an index has read. */
static void push_found(lua_State *L, int reader, const char *pointer, size_t length) {
  struct reader *r = lua_touserdata(L, reader);
  size_t at = rille_json_find(r->json, pointer, length);
  if (at == 0) {
    lua_pushnil(L);
    return;
  }
  lua_getiuservalue(L, reader, KEEPER);
  rille_json_push(L, r->json, at, &r->strings, lua_gettop(L));
}

/* Pushes why a text was not read. */
static int push_trouble(lua_State *L, const struct reader *r, enum rille_json_status status) {
  lua_pushnil(L);
  lua_pushstring(L, status == RILLE_JSON_BEYOND ? "beyond" : "text");
  lua_pushstring(L, rille_json_reason(r->json));
  return 3;
}

int rille_json_at(lua_State *L, const char *text, size_t length, bool padded, int pointer) {
  size_t n;
  const char *path = luaL_optlstring(L, pointer, "", &n);
  if (!rille_json_is_pointer(path, n)) {
    lua_pushnil(L);
    lua_pushliteral(L, "pointer");
    return 2;
  }
  struct reader *r = take_reader(L);
  int reader = lua_gettop(L), results = 1;
  enum rille_json_status status = rille_json_parse(r->json, text, length, padded);
  if (status == RILLE_JSON_OK)
    push_found(L, reader, path, n);
  else
    results = push_trouble(L, r, status);
  give_reader(L, reader);
  return results;
}

/* at(text, [pointer]) -> as rille_json_at */
static int l_at(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  return rille_json_at(L, text, length, false, 2);
}

static const luaL_Reg methods[] = {{NULL, NULL}};

static const luaL_Reg meta[] = {{"__gc", l_gc}, {NULL, NULL}};

static const luaL_Reg lib[] = {{"at", l_at}, {NULL, NULL}};

int luaopen_rille_json(lua_State *L) {
  rille_class(L, READER, meta, methods);
  luaL_newlib(L, lib);
  return 1;
}
