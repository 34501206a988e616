/* generator_drop.c -- generators that nobody closed: dropped ones, and those left at the end of the program.
 * A part of generator.c.
 * Model:  a suspended generator that the collector finds is reported, with where it was made and first
 *         used, and closed by a task of its own (R93, R94); never inside its finaliser. One that has not
 *         begun is collected in silence (R95); with RILLE_DEBUG that is a warning.
 *         When the last task has ended, the generators that are still suspended are closed one by one,
 *         consumers before those they consume: who has another one on its stack goes before that, else
 *         who began first (R97, R98). Generators that such a cleanup begins and leaves open are closed
 *         after them, with a warning (R100). What is open when the time for cleanup is over is reset:
 *         its <close> variables run and cannot wait, and one warning tells of all (R101).
 * Owner:  a weak table in the registry leads from a generator's address to its userdata. A generator that
 *         has begun is in rt->generators, from the end of the last task on in rt->leftovers.
 * Errors: an error of such a cleanup is a warning that names the generator; it stops nothing (R99). */
#include "generator.h"

#include "box.h"
#include "describe.h"
#include "fault.h"
#include "leak.h"
#include "runtime.h"
#include "task.h"

enum { SCAN_LEVELS = 64 }; /* functions of a body, innermost first, whose variables are looked at */

static const char LIVE_ONES = 0; /* its address is the key of the weak table in the registry */
static const char REPORTED = 0;  /* of the table of birthplaces that were reported already */

/* Lua calls a finaliser once, unless the metatable is set again: a generator that begins after that is in
 * rt->generators, and must not go in silence. */
static void restore_finaliser(lua_State *L, struct rille_generator *g) {
  (void)lua_getmetatable(L, 1);
  lua_setmetatable(L, 1);
  g->finalised = false;
}

void rille_generator_begin(lua_State *L, struct rille_generator *g) {
  if (g->finalised)
    restore_finaliser(L, g);
  rille_leak_note(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &LIVE_ONES);
  lua_pushvalue(L, 1);
  lua_rawsetp(L, -2, g);
  lua_pop(L, 1);
  g->user_line = rille_push_caller(L);
  lua_setiuservalue(L, 1, RILLE_GENERATOR_USER);
  if (list_empty(&g->link))
    list_append(&g->fiber.rt->generators, &g->link);
}

/* Pushes " and first used at file:line", or "" if that is not known. The generator is at index 1. */
static const char *push_used(lua_State *L, const struct rille_generator *g) {
  lua_Debug ar;
  int top = lua_gettop(L);
  if (lua_getiuservalue(L, 1, RILLE_GENERATOR_USER) == LUA_TFUNCTION && g->user_line > 0 &&
      lua_getinfo(L, ">S", &ar) != 0)
    return lua_pushfstring(L, " and first used at %s:%d", ar.short_src, g->user_line);
  lua_settop(L, top);
  return lua_pushliteral(L, "");
}

static bool is_open(const struct rille_generator *g) {
  return g->phase == RILLE_GENERATOR_LIVE &&
         (g->fiber.state == RILLE_SUSPENDED || g->fiber.state == RILLE_WAITING);
}

int rille_generator_leak(lua_State *L) {
  struct rille_generator *g = lua_touserdata(L, 1);
  if (!is_open(g))
    return 0;
  rille_generator_push_birthplace(L, g);
  (void)push_used(L, g);
  lua_pushfstring(L, "the generator made at %s%s is open", lua_tostring(L, -2), lua_tostring(L, -1));
  return 1;
}

/* Warns once for each place where generators are made; says the first use if `used`. The generator is at
 * index 1. */
static void warn_once(lua_State *L, struct rille_generator *g, bool used, const char *what) {
  lua_settop(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &REPORTED);
  rille_generator_push_birthplace(L, g);
  lua_pushfstring(L, "%s %s", lua_tostring(L, 3), what);
  lua_pushvalue(L, 4);
  if (lua_rawget(L, 2) == LUA_TNIL) {
    lua_pushvalue(L, 4);
    lua_pushboolean(L, true);
    lua_rawset(L, 2);
    lua_pushfstring(L, "rille: the generator made at %s%s %s", lua_tostring(L, 3),
                    used ? push_used(L, g) : "", what);
    lua_warning(L, lua_tostring(L, -1), 0);
  }
  lua_settop(L, 1);
}

/* Warns that the cleanup of the generator at index 1 failed with the error on top. Pops it. */
static void warn_failed(lua_State *L) {
  rille_generator_push_birthplace(L, lua_touserdata(L, 1));
  rille_fault_push_message(L, -2);
  lua_pushfstring(L, "rille: error while closing the generator made at %s: %s", lua_tostring(L, -2),
                  lua_tostring(L, -1));
  lua_warning(L, lua_tostring(L, -1), 0);
  lua_pop(L, 4);
}

static int closed_k(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  if (status != LUA_OK && status != LUA_YIELD)
    warn_failed(L);
  return 0;
}

/* Closes the generator at index 1; its error becomes a warning. */
static int l_close_guarded(lua_State *L) {
  lua_getfield(L, 1, "close");
  lua_pushvalue(L, 1);
  return closed_k(L, lua_pcallk(L, 1, 0, 0, 0, closed_k), 0);
}

/* Spawns a task that closes the generator at index 1. It begins even if the program is told to end before:
 * from then on the cleanup is shielded. */
static void spawn_close(lua_State *L) {
  lua_pushcfunction(L, l_close_guarded);
  lua_pushvalue(L, 1);
  rille_task_spawn(L, 1, false)->must_begin = true;
  rille_task_disown(L, -1);
  rille_generator_push_birthplace(L, lua_touserdata(L, 1));
  lua_pushfstring(L, "cleanup of the generator made at %s", lua_tostring(L, -1));
  rille_task_set_name(L, -3, -1);
}

/* A step that was in flight has failed, and nobody has come back for its error, which is on top. */
static void warn_unseen(lua_State *L, struct rille_generator *g) {
  rille_generator_push_birthplace(L, g);
  rille_fault_push_message(L, -2);
  lua_pushfstring(L, "rille: error in a step that nobody waited for, of the generator made at %s: %s",
                  lua_tostring(L, -2), lua_tostring(L, -1));
  lua_warning(L, lua_tostring(L, -1), 0);
}

int rille_generator_gc(lua_State *L) {
  struct rille_generator *g = lua_touserdata(L, 1);
  struct rille *rt = g->fiber.rt;
  g->finalised = true;
  list_remove(&g->link);
  if (rille_generator_push_unseen(L, g))
    warn_unseen(L, g);
  if (g->phase != RILLE_GENERATOR_LIVE)
    return 0;
  if (g->fiber.state == RILLE_CREATED && rt->debugging && !(rt->closing && rt->stopping))
    warn_once(L, g, false, "was never used: its body did not run. Loop over it: 'for v in g:each() do'");
  if (g->fiber.state != RILLE_SUSPENDED || rt->closing)
    return 0;
  lua_settop(L, 1);
  rille_leak_collected(L, 1);
  warn_once(L, g, true, "was dropped before its end; its cleanup runs now. "
                        "Close it: 'for v in g:each() do', or 'local g <close> = ...'");
  spawn_close(L);
  return 0;
}

/* --- the end of the program --- */

/* The table on top knows whom the batch holds: notes what g has on its stack, if nobody else is noted. */
static void note_held(lua_State *L, struct rille_generator *g) {
  lua_Debug ar;
  lua_State *co = g->fiber.L;
  if (g->fiber.state != RILLE_SUSPENDED || !lua_checkstack(co, 1))
    return;
  for (int level = 0; level < SCAN_LEVELS && lua_getstack(co, level, &ar) != 0; level++)
    for (int i = 1; lua_getlocal(co, &ar, i) != NULL; i++) {
      lua_xmove(co, L, 1);
      void *held = rille_generator_test(L, -1);
      lua_pop(L, 1);
      if (held == NULL || held == g)
        continue;
      bool is_new = lua_rawgetp(L, -1, held) == LUA_TBOOLEAN; /* false; nil: it is not of the batch */
      lua_pop(L, 1);
      if (is_new) {
        lua_pushlightuserdata(L, g);
        lua_rawsetp(L, -2, held);
      }
    }
}

/* Moves g to the list, after those of the batch that hold it. The table on top: from a generator to its
 * holder, false if it has none; true once it was moved. Raises nothing: every key is there. */
static void move_after_holders(lua_State *L, struct list *to, struct rille_generator *g) {
  struct list path;
  list_init(&path);
  while (g != NULL) {
    list_remove(&g->link);
    list_append(path.next, &g->link); /* to its front */
    lua_rawgetp(L, -1, g);
    struct rille_generator *holder = lua_touserdata(L, -1);
    lua_pop(L, 1);
    lua_pushboolean(L, true);
    lua_rawsetp(L, -2, g);
    if (holder != NULL && lua_rawgetp(L, -1, holder) == LUA_TBOOLEAN && lua_toboolean(L, -1))
      g = NULL;
    else
      g = holder;
    lua_settop(L, 2);
  }
  list_take(to, &path);
}

/* Puts the leftovers in the order in which they are closed. */
static int sort_leftovers(lua_State *L) {
  struct list sorted, *batch = &rille_of(L)->leftovers;
  lua_newtable(L);
  for (struct list *l = batch->next; l != batch; l = l->next) {
    lua_pushboolean(L, false);
    lua_rawsetp(L, -2, LIST_ENTRY(l, struct rille_generator, link));
  }
  for (struct list *l = batch->next; l != batch; l = l->next)
    note_held(L, LIST_ENTRY(l, struct rille_generator, link));
  list_init(&sorted);
  while (!list_empty(batch))
    move_after_holders(L, &sorted, LIST_ENTRY(batch->next, struct rille_generator, link));
  list_take(batch, &sorted);
  return 0;
}

/* Takes the first leftover and puts it at index 1. Returns false if the collector was faster. */
static bool take_first(lua_State *L) {
  struct list *first = rille_of(L)->leftovers.next;
  list_remove(first); /* if it cannot be closed, it is not tried again */
  lua_rawgetp(L, LUA_REGISTRYINDEX, &LIVE_ONES);
  lua_rawgetp(L, -1, LIST_ENTRY(first, struct rille_generator, link));
  lua_replace(L, 1);
  lua_settop(L, 1);
  return lua_type(L, 1) == LUA_TUSERDATA;
}

/* Spawns the close of the first leftover. If it is `late`, its user will not come back (R100). */
static int spawn_first(lua_State *L) {
  bool late = lua_toboolean(L, 1);
  if (!take_first(L))
    return 0;
  if (late) {
    rille_generator_push_birthplace(L, lua_touserdata(L, 1));
    lua_pushfstring(L, "rille: the generator made at %s was first used while the program ended, and left "
                       "open; its cleanup runs now", lua_tostring(L, -1));
    lua_warning(L, lua_tostring(L, -1), 0);
    lua_settop(L, 1);
  }
  spawn_close(L);
  return 0;
}

/* Resets the first leftover, if it is still open; gives its place in the summary. */
static int reset_first(lua_State *L) {
  if (!take_first(L))
    return 0;
  struct rille_generator *g = lua_touserdata(L, 1);
  if (g->phase != RILLE_GENERATOR_LIVE || g->fiber.state != RILLE_SUSPENDED)
    return 0;
  g->phase = RILLE_GENERATOR_CLOSED;
  if (!rille_fiber_kill(L, &g->fiber))
    warn_failed(L);
  rille_generator_push_birthplace(L, g);
  return 1;
}

/* Calls f with a boolean. The result is on top of the stack: nil if it failed. */
static void call_protected(lua_State *L, lua_CFunction f, bool argument) {
  lua_pushcfunction(L, f);
  lua_pushboolean(L, argument);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
}

static int warn_reset(lua_State *L) {
  lua_pushfstring(L, "rille: generators were open when the time for cleanup was over: %d, the first was made "
                     "at %s; their cleanup could not wait", (int)lua_tointeger(L, 1), lua_tostring(L, 2));
  lua_warning(L, lua_tostring(L, -1), 0);
  return 0;
}

/* There is no time left to close them. */
static void reset_all(struct rille *rt) {
  lua_State *L = rt->L;
  int count = 0;
  int top = lua_gettop(L);
  lua_pushcfunction(L, warn_reset);
  lua_pushnil(L);
  lua_pushnil(L); /* the first place */
  while (!list_empty(&rt->leftovers)) {
    call_protected(L, reset_first, false);
    if (!lua_isnil(L, -1) && ++count == 1)
      lua_replace(L, top + 3);
    lua_settop(L, top + 3);
  }
  lua_pushinteger(L, count);
  lua_replace(L, top + 2);
  if (count > 0)
    (void)lua_pcall(L, 2, 0, 0); /* fails for want of memory only */
  lua_settop(L, top);
}

/* The last task has ended. Returns false when no generator is left, and no task. */
static bool at_end(struct rille *rt) {
  if (list_empty(&rt->leftovers)) {
    if (list_empty(&rt->generators))
      return false;
    list_take(&rt->leftovers, &rt->generators);
    rt->batches++;
    call_protected(rt->L, sort_leftovers, false); /* without memory, in the order of their first steps */
    lua_pop(rt->L, 1);
  }
  if (rt->overdue) {
    reset_all(rt);
    return rt->task_count > 0;
  }
  call_protected(rt->L, spawn_first, rt->batches > 1);
  lua_pop(rt->L, 1);
  return true;
}

void rille_generator_open_drop(lua_State *L) {
  rille_push_weak(L, "v");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &LIVE_ONES);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &REPORTED);
  rille_of(L)->at_end = at_end;
}
