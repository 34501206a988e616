/* generator_drop.c -- generators that nobody closed: dropped ones, and those left at the end of the program.
 * A part of generator.c.
 * Model:  a suspended generator that the collector finds is reported, with where it was made and first
 *         used, and closed by a task of its own (R93, R94); never inside its finaliser. One that has not
 *         begun is collected in silence (R95). When the last task has ended, the generators that are still
 *         suspended are closed one by one, in the order of their first steps: consumers before those
 *         they consume (R97, R98). What the collector finds after that is killed by lua_close (R101).
 * Owner:  a weak table in the registry leads from a generator's address to its userdata.
 * Errors: an error of such a cleanup is a warning that names the generator; it stops nothing (R99). */
#include "generator.h"

#include "describe.h"
#include "fault.h"
#include "runtime.h"
#include "task.h"

static const char LIVE_ONES = 0; /* its address is the key of the weak table in the registry */
static const char REPORTED = 0;  /* of the table of birthplaces that were reported already */

void rille_generator_begin(lua_State *L, struct rille_generator *g) {
  lua_Debug ar;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &LIVE_ONES);
  lua_pushvalue(L, 1);
  lua_rawsetp(L, -2, g);
  lua_pop(L, 1);
  if (lua_getstack(L, 1, &ar) != 0 && lua_getinfo(L, "lf", &ar) != 0) {
    g->user_line = ar.currentline;
    lua_setiuservalue(L, 1, RILLE_GENERATOR_USER);
  }
  if (list_empty(&g->link))
    list_append(&g->fiber.rt->generators, &g->link);
}

/* Warns once for each place where generators are made. The generator is at index 1. */
static void warn_dropped(lua_State *L, struct rille_generator *g) {
  lua_Debug ar;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &REPORTED);
  rille_generator_push_birthplace(L, g);
  lua_pushvalue(L, -1);
  if (lua_rawget(L, -3) == LUA_TNIL) {
    const char *used = "";
    if (lua_getiuservalue(L, 1, RILLE_GENERATOR_USER) == LUA_TFUNCTION && g->user_line > 0 &&
        lua_getinfo(L, ">S", &ar) != 0)
      used = lua_pushfstring(L, " and first used at %s:%d", ar.short_src, g->user_line);
    lua_pushfstring(L,
                    "rille: the generator made at %s%s was dropped before its end; its cleanup runs now. "
                    "Close it: 'for v in g:each() do', or 'local g <close> = ...'",
                    lua_tostring(L, 3), used);
    lua_warning(L, lua_tostring(L, -1), 0);
    lua_pushvalue(L, 3);
    lua_pushboolean(L, true);
    lua_rawset(L, 2);
  }
  lua_settop(L, 1);
}

static int closed_k(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  if (status == LUA_OK || status == LUA_YIELD)
    return 0;
  rille_generator_push_birthplace(L, lua_touserdata(L, 1));
  rille_fault_push_message(L, -2);
  lua_pushfstring(L, "rille: error while closing the generator made at %s: %s", lua_tostring(L, -2),
                  lua_tostring(L, -1));
  lua_warning(L, lua_tostring(L, -1), 0);
  return 0;
}

/* Closes the generator at index 1; its error becomes a warning. */
static int l_close_guarded(lua_State *L) {
  lua_getfield(L, 1, "close");
  lua_pushvalue(L, 1);
  return closed_k(L, lua_pcallk(L, 1, 0, 0, 0, closed_k), 0);
}

/* Spawns a task that closes the generator at index 1. */
static void spawn_close(lua_State *L) {
  lua_pushcfunction(L, l_close_guarded);
  lua_pushvalue(L, 1);
  rille_task_spawn(L, 1, false);
  lua_pushliteral(L, "cleanup of a generator");
  rille_task_set_name(L, -2, lua_gettop(L));
}

int rille_generator_gc(lua_State *L) {
  struct rille_generator *g = lua_touserdata(L, 1);
  struct rille *rt = g->fiber.rt;
  list_remove(&g->link);
  if (g->phase != RILLE_GENERATOR_LIVE || g->fiber.state != RILLE_SUSPENDED)
    return 0;
  if (rt->closing)
    return 0;
  lua_settop(L, 1);
  warn_dropped(L, g);
  spawn_close(L);
  return 0;
}

/* Spawns the close of the generator that began first. */
static int spawn_first(lua_State *L) {
  struct rille *rt = rille_of(L);
  struct list *first = rt->generators.next;
  list_remove(first); /* if it cannot be closed, it is not tried again */
  lua_rawgetp(L, LUA_REGISTRYINDEX, &LIVE_ONES);
  if (lua_rawgetp(L, -1, LIST_ENTRY(first, struct rille_generator, link)) == LUA_TUSERDATA) {
    lua_replace(L, 1);
    spawn_close(L);
  }
  return 0;
}

/* The last task has ended. Returns false when no generator is left. */
static bool at_end(struct rille *rt) {
  if (list_empty(&rt->generators))
    return false;
  lua_pushcfunction(rt->L, spawn_first);
  lua_pushnil(rt->L);
  if (lua_pcall(rt->L, 1, 0, 0) != LUA_OK)
    lua_pop(rt->L, 1);
  return true;
}

void rille_generator_open_drop(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &LIVE_ONES);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &REPORTED);
  rille_of(L)->at_end = at_end;
}
