/* http_stats.c -- who has the connections of a client. The model is told in http_stats.h.
 * Owner:  nothing is kept. The collector rests while the list of transfers is read: a body that it closes
 *         would leave that list.
 * Errors: as told there; the collector runs again then, too. */
#include "http_stats.h"

#include <lauxlib.h>

#include "describe.h"
#include "fiber.h"
#include "http_response.h"
#include "http_stream.h"

static void set_integer(lua_State *L, const char *name, uint32_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

/* Pushes where the script made the request of t. */
static void push_where(lua_State *L, const struct rille_transfer *t) {
  const struct rille_op *op = t->owner;
  if (t->streamed)
    lua_pushstring(L, rille_stream_where(op));
  else if (op->fiber != NULL)
    rille_push_line(L, op->fiber->L);
  else
    lua_pushliteral(L, "?");
}

static void push_holder(lua_State *L, const struct rille_transfer *t) {
  const char *url = rille_transfer_url(t);
  lua_createtable(L, 0, 5);
  lua_pushstring(L, rille_transfer_method(t));
  lua_setfield(L, -2, "method");
  rille_push_safe_url(L, url != NULL ? url : "?");
  lua_setfield(L, -2, "url");
  push_where(L, t);
  lua_setfield(L, -2, "where");
  lua_pushnumber(L, (double)rille_transfer_age(t) / 1000);
  lua_setfield(L, -2, "since");
  lua_pushstring(L, rille_transfer_state(t));
  lua_setfield(L, -2, "state");
}

/* stats(pool) -> table */
static int l_stats(lua_State *L) {
  const struct rille_pool *pool = lua_touserdata(L, 1);
  const struct rille_transfer *t = NULL;
  struct rille_pool_tally tally;
  lua_Integer n = 0;
  rille_pool_count(pool, &tally);
  lua_createtable(L, 0, 5);
  set_integer(L, "open", tally.open);
  set_integer(L, "idle", tally.open - tally.in_use);
  set_integer(L, "in_use", tally.in_use);
  set_integer(L, "waiting", tally.waiting);
  lua_newtable(L);
  while ((t = rille_pool_holder(pool, t)) != NULL) {
    push_holder(L, t);
    lua_rawseti(L, -2, ++n);
  }
  lua_setfield(L, -2, "holders");
  return 1;
}

void rille_stats_push(lua_State *L, const struct rille_pool *pool) {
  bool runs = lua_gc(L, LUA_GCISRUNNING) != 0;
  lua_pushcfunction(L, l_stats);
  lua_pushlightuserdata(L, (void *)pool); /* l_stats does not change it */
  lua_gc(L, LUA_GCSTOP);
  int status = lua_pcall(L, 1, 1, 0);
  if (runs)
    lua_gc(L, LUA_GCRESTART);
  if (status != LUA_OK)
    lua_error(L);
}
