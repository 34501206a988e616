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

static const char untold = 0;

static int l_gc(lua_State *L) {
  rille_buffer_free(luaL_checkudata(L, 1, BLOB));
  return 0;
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
    lua_gc(L, LUA_GCSTEP, (int)(sum < INT_MAX ? sum / 1024 : INT_MAX / 1024));
}

const char *rille_blob_push(lua_State *L, struct rille_buffer *b) {
  struct rille_buffer *own = lua_newuserdatauv(L, sizeof *own, 0);
  *own = (struct rille_buffer){NULL, 0, 0};
  luaL_setmetatable(L, BLOB);
  *own = *b;
  *b = (struct rille_buffer){NULL, 0, 0};
  memset(own->data + own->length, 0, RILLE_BUFFER_SPARE);
  tell_collector(L, own->size);
  return own->data;
}

static const luaL_Reg methods[] = {{NULL, NULL}};

static const luaL_Reg meta[] = {{"__gc", l_gc}, {NULL, NULL}};

void rille_blob_open(lua_State *L) {
  rille_class(L, BLOB, meta, methods);
  lua_pushinteger(L, 0);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &untold);
}
