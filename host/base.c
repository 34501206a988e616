/* base.c -- the host's versions of Lua's basic functions: pcall, xpcall, error and assert that cannot
 * lose a cancellation, os.exit that ends the program in order.
 * Model:  the contracts are those of the Lua 5.4 manual. A protected call that fails notes the signals
 *         that were raised inside it (task.h): the next wait raises them again (R66).
 * Owner:  nothing is kept.
 * Errors: those of the manual's functions. */
#include <stdio.h>
#include <stdlib.h>

#include <lualib.h>

#include "fiber.h"
#include "lib.h"
#include "runtime.h"
#include "task.h"

/* Ends a protected call; `skip` values under the results stay. ctx: rt->raises when it began. */
static int finish(lua_State *L, int status, lua_KContext before, int skip) {
  if (status == LUA_OK || status == LUA_YIELD)
    return lua_gettop(L) - skip;
  rille_task_caught(L, before);
  lua_pushboolean(L, 0);
  lua_pushvalue(L, -2);
  return 2;
}

static int pcall_k(lua_State *L, int status, lua_KContext before) {
  return finish(L, status, before, 0);
}

static int l_pcall(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, 1); /* first result if there is no error */
  lua_insert(L, 1);
  lua_KContext before = rille_of(L)->raises;
  return pcall_k(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, before, pcall_k), before);
}

static int xpcall_k(lua_State *L, int status, lua_KContext before) {
  return finish(L, status, before, 2);
}

static int l_xpcall(lua_State *L) {
  int n = lua_gettop(L);
  luaL_checktype(L, 2, LUA_TFUNCTION); /* the message handler */
  lua_pushboolean(L, 1);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2); /* f, handler, true, f, arguments */
  lua_KContext before = rille_of(L)->raises;
  return xpcall_k(L, lua_pcallk(L, n - 2, LUA_MULTRET, 2, before, xpcall_k), before);
}

/* error(value[, level]): as Lua's; a signal that a pcall had caught and that is raised again goes on
 * unwinding, so that the cleanup it meets may wait. */
static int l_error(lua_State *L) {
  int level = (int)luaL_optinteger(L, 2, 1);
  lua_settop(L, 1);
  if (lua_type(L, 1) == LUA_TSTRING && level > 0) {
    luaL_where(L, level);
    lua_insert(L, 1);
    lua_concat(L, 2);
  } else if (lua_type(L, 1) == LUA_TTABLE) {
    rille_task_raised_again(L, rille_fiber_of(L)->task, 1);
  }
  return lua_error(L);
}

/* assert(v[, message]): as Lua's; the same for a signal, as in assert(pcall(f)) */
static int l_assert(lua_State *L) {
  if (lua_toboolean(L, 1))
    return lua_gettop(L);
  luaL_checkany(L, 1);
  lua_remove(L, 1);
  lua_pushliteral(L, "assertion failed!");
  lua_settop(L, 1);
  return l_error(L);
}

/* os.exit([code[, close]]): cancels every task; the program ends when their cleanup is done. The caller's
 * signal passes through every pcall. Where the caller cannot wait, the program ends at once, with stdout
 * flushed. */
static int l_exit(lua_State *L) {
  int status = lua_isboolean(L, 1) ? (lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE)
                                   : (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
  struct rille_fiber *f = rille_fiber_of(L);
  rille_stop(f->rt, status, "os.exit");
  if (f->can_wait && lua_isyieldable(L)) {
    f->task->exiting = true;
    rille_check_wait(L, "os.exit"); /* raises the signal that rille_stop has sent */
  }
  exit(rille_finish_output(status));
}

static const luaL_Reg functions[] = {{"pcall", l_pcall},
                                     {"xpcall", l_xpcall},
                                     {"error", l_error},
                                     {"assert", l_assert},
                                     {NULL, NULL}};

int luaopen_rille_base(lua_State *L) {
  lua_pushglobaltable(L);
  luaL_setfuncs(L, functions, 0);
  lua_getfield(L, -1, LUA_OSLIBNAME);
  lua_pushcfunction(L, l_exit);
  lua_setfield(L, -2, "exit");
  lua_pop(L, 1);
  return 1;
}
