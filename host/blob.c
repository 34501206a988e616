/* blob.c -- bytes that Lua owns and has not allocated. The model is told in blob.h.
 * Owner:  as told there. The registry keeps the count of bytes that the collector was not told of.
 * Errors: as told there. */
#include "blob.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include <lauxlib.h>

#include "box.h"

#define BLOB "rille.blob"

/* User values: a table with the owner as weak key; the bytes, once they have moved. */
enum { OWNER = 1, MOVED, USER_VALUES = MOVED };

static const char untold = 0;

/* Has the bytes of the blob at the index 1 in memory that Lua frees without a finaliser. */
static void move(lua_State *L, struct rille_buffer *own) {
  luaL_setmetatable(L, BLOB); /* out of memory: another time */
  char *to = lua_newuserdatauv(L, own->length + RILLE_BUFFER_SPARE, 0);
  memcpy(to, own->data, own->length + RILLE_BUFFER_SPARE);
  lua_setiuservalue(L, 1, MOVED);
  rille_buffer_free(own);
  *own = (struct rille_buffer){.data = to};
}

/* An owner that a finaliser can still reach is kept in the table. When the state closes, each is. */
static int l_gc(lua_State *L) {
  struct rille_buffer *own = luaL_checkudata(L, 1, BLOB);
  lua_settop(L, 1);
  if (own->size == 0) /* has moved, or never got any */
    return 0;
  lua_getiuservalue(L, 1, OWNER);
  lua_pushnil(L);
  bool is_read = lua_next(L, -2) != 0;
  lua_settop(L, 1);
  if (is_read)
    move(L, own);
  else
    rille_buffer_free(own);
  return 0;
}

/* By generations it would not look at what has become old before Lua's own memory has doubled: to change to
 * that mode collects all. */
static void collect(lua_State *L, lua_Integer bytes) {
  if (lua_gc(L, LUA_GCINC, 0, 0, 0) == LUA_GCGEN)
    lua_gc(L, LUA_GCGEN, 0, 0);
  else
    lua_gc(L, LUA_GCSTEP, (int)(bytes < INT_MAX ? bytes / 1024 : INT_MAX / 1024));
}

/* One that is stopped, or at work, is left alone. */
static void tell_collector(lua_State *L, size_t bytes) {
  (void)lua_rawgetp(L, LUA_REGISTRYINDEX, &untold);
  lua_Integer sum = lua_tointeger(L, -1) + (lua_Integer)bytes;
  lua_pop(L, 1);
  bool is_due = sum >= RILLE_BLOB_STEP;
  lua_pushinteger(L, is_due ? 0 : sum);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &untold);
  if (is_due && lua_gc(L, LUA_GCISRUNNING) == 1)
    collect(L, sum);
}

const struct rille_buffer *rille_blob_push(lua_State *L, struct rille_buffer *b, int owner) {
  owner = lua_absindex(L, owner);
  struct rille_buffer *own = lua_newuserdatauv(L, sizeof *own, USER_VALUES);
  *own = (struct rille_buffer){NULL, 0, 0};
  luaL_setmetatable(L, BLOB);
  rille_push_weak(L, "k");
  lua_pushvalue(L, owner);
  lua_pushboolean(L, true);
  lua_rawset(L, -3);
  lua_setiuservalue(L, -2, OWNER);
  *own = *b;
  *b = (struct rille_buffer){NULL, 0, 0};
  memset(own->data + own->length, 0, RILLE_BUFFER_SPARE);
  tell_collector(L, own->size);
  return own;
}

static const luaL_Reg methods[] = {{NULL, NULL}};

static const luaL_Reg meta[] = {{"__gc", l_gc}, {NULL, NULL}};

void rille_blob_open(lua_State *L) {
  rille_class(L, BLOB, meta, methods);
  lua_pushinteger(L, 0);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &untold);
}
