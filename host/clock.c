/* clock.c -- virtual time for specs: rille.test.clock; the binding rille.host.clock.
 * Model:  while a clock is open, the hands of the runtime's time stand (deadline.h), and the loop moves
 *         them (runtime.c, jump). Tasks have no part in it: any may open or close a clock.
 * Owner:  the Clock userdata. Closed or collected, the hands run again, from where they stand: what is
 *         pending keeps its remaining seconds. rt->clock points into the userdata that is open.
 * Errors: a second clock, and a closed one that is asked for its time, raise a string. */
#include <stdio.h>

#include "box.h"
#include "describe.h"
#include "fiber.h"
#include "leak.h"
#include "lib.h"
#include "runtime.h"

#define CLOCK "rille.Clock"

struct clock {
  double began;                 /* when it was opened */
  char opened[LUA_IDSIZE + 16]; /* where: "file:line" */
};

static bool is_open(lua_State *L, const struct clock *c) { return rille_of(L)->clock == c->opened; }

/* open() -> clock: from here on time is virtual */
static int l_open(lua_State *L) {
  struct rille *rt = rille_of(L);
  if (rt->clock != NULL)
    return luaL_error(L, "a clock is open already (opened at %s)", rt->clock);
  struct clock *c = lua_newuserdatauv(L, sizeof *c, 0);
  rille_push_line(L, L);
  (void)snprintf(c->opened, sizeof c->opened, "%s", lua_tostring(L, -1));
  lua_pop(L, 1);
  luaL_setmetatable(L, CLOCK);
  rille_leak_note(L, -1);
  rille_timeline_halt(&rt->time);
  c->began = rille_now(rt);
  rt->clock = c->opened;
  return 1;
}

/* clock:now() -> seconds since it was opened */
static int l_now(lua_State *L) {
  struct clock *c = luaL_checkudata(L, 1, CLOCK);
  if (!is_open(L, c))
    return luaL_error(L, "the clock is closed (opened at %s)", c->opened);
  lua_pushnumber(L, rille_now(rille_of(L)) - c->began);
  return 1;
}

/* clock:close(), __close and __gc: time is real again; idempotent */
static int l_close(lua_State *L) {
  struct clock *c = luaL_checkudata(L, 1, CLOCK);
  if (is_open(L, c)) {
    rille_of(L)->clock = NULL;
    rille_timeline_run(&rille_of(L)->time);
  }
  return 0;
}

static int l_leak(lua_State *L) {
  struct clock *c = luaL_checkudata(L, 1, CLOCK);
  if (!is_open(L, c))
    return 0;
  lua_pushfstring(L, "the clock opened at %s is open", c->opened);
  return 1;
}

/* A clock that is collected open is a leak: specs are told of it, and who asks with RILLE_DEBUG. The warning
 * is last, since it may raise: rt->clock must not point into what is gone. */
static int l_gc(lua_State *L) {
  const struct clock *c = luaL_checkudata(L, 1, CLOCK);
  const struct rille *rt = rille_of(L);
  bool was_open = is_open(L, c);
  rille_leak_collected(L, 1);
  (void)l_close(L);
  if (was_open && rt->debugging && !rt->closing) {
    lua_pushfstring(L, "rille: the clock opened at %s was dropped; time is real again. Close it: "
                       "'local clock <close> = ...'", c->opened);
    lua_warning(L, lua_tostring(L, -1), 0);
  }
  return 0;
}

static const luaL_Reg methods[] = {{"now", l_now}, {"close", l_close}, {NULL, NULL}};

static const luaL_Reg meta[] = {{"__close", l_close}, {"__gc", l_gc}, {"__leak", l_leak}, {NULL, NULL}};

static const luaL_Reg lib[] = {{"open", l_open}, {NULL, NULL}};

int luaopen_rille_clock(lua_State *L) {
  rille_class(L, CLOCK, meta, methods);
  luaL_newlib(L, lib);
  return 1;
}
