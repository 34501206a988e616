/* coroutine.c -- the coroutine library: every promise of the manual, and a coroutine may wait (R106 to
 * R109).
 * Model:  create makes a fiber; resume and wrap take one step of it (fiber.h): when its body waits, the
 *         resumer is parked and goes on when there is a value, at any depth. At a task's root there is
 *         nobody to yield to: running() says "main" there, and yield is refused, as in a plain program.
 *         The body of wrap runs under a base call, because its errors propagate anyway: its <close>
 *         variables may wait. That of create does not: an error leaves its stack as it was, for
 *         debug.traceback and coroutine.close.
 * Owner:  a thread object keeps its fiber; the resumer's stack keeps the thread.
 * Errors: those of the manual. Resuming or closing a coroutine that waits is refused by name (R107). */
#include <string.h>

#include <lualib.h>

#include "describe.h"
#include "fiber.h"
#include "lib.h"
#include "runtime.h"
#include "task.h"

static lua_State *check_thread(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co != NULL, 1, "thread");
  return co;
}

/* --- status --- */

/* Status of a thread that the host did not make, as lcorolib.c tells it. */
static const char *foreign_status(lua_State *L, lua_State *co) {
  lua_Debug ar;
  if (L == co)
    return "running";
  switch (lua_status(co)) {
  case LUA_YIELD:
    return "suspended";
  case LUA_OK:
    if (lua_getstack(co, 0, &ar) != 0)
      return "normal";
    return lua_gettop(co) == 0 ? "dead" : "suspended";
  default:
    return "dead";
  }
}

static const char *status_of(lua_State *L, lua_State *co) {
  if (!rille_fiber_owns(co))
    return foreign_status(L, co);
  switch (rille_fiber_of(co)->state) {
  case RILLE_CREATED:
  case RILLE_SUSPENDED:
    return "suspended";
  case RILLE_DEAD:
    return "dead";
  default: /* running, or parked with a resumer that waits for it */
    return L == co ? "running" : "normal";
  }
}

/* --- resume --- */

/* Pushes why f cannot be resumed or closed (`verb`) from here; returns false if nothing forbids it. */
static bool push_refusal(lua_State *L, struct rille_fiber *f, const char *verb) {
  if (f->state == RILLE_WAITING) {
    rille_push_wait(L, f->task);
    lua_pushfstring(L, "cannot %s a coroutine that is waiting for %s", verb, lua_tostring(L, -1));
    return true;
  }
  if (f->kind == RILLE_COROUTINE || f->state == RILLE_RUNNING || f->state == RILLE_DEAD)
    return false;
  lua_pushfstring(L, "cannot %s the coroutine of a %s", verb,
                  f->kind == RILLE_TASK ? "task" : "generator");
  return true;
}

/* Pushes why f cannot take a step; returns false if it can. */
static bool push_no_step(lua_State *L, struct rille_fiber *f) {
  if (push_refusal(L, f, "resume"))
    return true;
  if (f->state != RILLE_RUNNING && f->state != RILLE_DEAD)
    return false;
  lua_pushfstring(L, "cannot resume %s coroutine", f->state == RILLE_DEAD ? "dead" : "non-suspended");
  return true;
}

static int resume_k(lua_State *L, int status, lua_KContext before) {
  (void)status;
  struct rille_fiber *f = rille_fiber_of(lua_tothread(L, 1));
  if (f->outcome == RILLE_FAILED) {
    rille_fiber_take(L, f);
    rille_task_caught(L, before);
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
  }
  lua_pushboolean(L, 1);
  return 1 + rille_fiber_take(L, f);
}

/* Resumes a thread of somebody else's as lcorolib.c does. Returns false and an error on top. */
static bool resume_foreign(lua_State *L, lua_State *co, int nargs, int *count) {
  if (!lua_checkstack(co, nargs)) {
    lua_pushliteral(L, "too many arguments to resume");
    return false;
  }
  lua_xmove(L, co, nargs);
  int status = rille_thread_resume(L, co, nargs, count);
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    return false;
  }
  if (!lua_checkstack(L, *count + 1)) {
    lua_pop(co, *count);
    lua_pushliteral(L, "too many results to resume");
    return false;
  }
  lua_xmove(co, L, *count);
  return true;
}

static int l_resume(lua_State *L) {
  lua_State *co = check_thread(L);
  int nargs = lua_gettop(L) - 1;
  int count = 0;
  if (!rille_fiber_owns(co)) {
    bool ok = resume_foreign(L, co, nargs, &count);
    lua_pushboolean(L, ok);
    lua_insert(L, ok ? -(count + 1) : -2);
    return ok ? count + 1 : 2;
  }
  struct rille_fiber *f = rille_fiber_of(co);
  if (push_no_step(L, f)) {
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
  }
  lua_settop(L, nargs + 1);
  lua_KContext before = f->rt->raises;
  return rille_fiber_step(L, f, nargs, rille_fiber_can_wait(L), before, resume_k);
}

static struct rille_fiber *make(lua_State *L, bool guarded) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  struct rille_fiber *f = rille_fiber_new(L, sizeof *f, 0, RILLE_COROUTINE);
  lua_pushvalue(L, 1);
  rille_fiber_load(L, f, 0, guarded);
  return f; /* the thread is on top */
}

static int l_create(lua_State *L) {
  make(L, false);
  return 1;
}

/* Raises the error on top, with the position of wrap's caller before a string, as Lua does (L11). */
static int propagate(lua_State *L) {
  if (lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return rille_fiber_pass_error(L, "resumed by");
}

static int wrap_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  struct rille_fiber *f = (struct rille_fiber *)ctx;
  int n = rille_fiber_take(L, f);
  return f->outcome == RILLE_FAILED ? propagate(L) : n;
}

/* What wrap returns; the thread is the upvalue. */
static int l_wrapped(lua_State *L) {
  struct rille_fiber *f = rille_fiber_of(lua_tothread(L, lua_upvalueindex(1)));
  if (f->state == RILLE_SUSPENDED || f->state == RILLE_CREATED)
    return rille_fiber_step(L, f, lua_gettop(L), rille_fiber_can_wait(L), (lua_KContext)f, wrap_k);
  (void)push_no_step(L, f);
  return propagate(L);
}

static int l_wrap(lua_State *L) {
  make(L, true);
  lua_pushcclosure(L, l_wrapped, 1);
  return 1;
}

/* --- yield --- */

static int yield_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct rille_fiber *f = rille_fiber_of(L);
  int inject = f->inject;
  f->inject = RILLE_INJECT_NOTHING;
  if (inject == RILLE_INJECT_SIGNAL)
    rille_task_check(L, f->task, NULL);
  else if (inject == RILLE_INJECT_ERROR)
    return lua_error(L);
  return lua_gettop(L);
}

/* Refuses what a generator cannot yield: nothing or nil (R15), and across a C call. */
static void check_item(lua_State *L) {
  if (!lua_isyieldable(L))
    rille_check_yield(L);
  if (lua_isnoneornil(L, 1))
    luaL_error(L, "async generator yielded nil; the first value must not be nil (yield false or a "
                  "table; return ends the generator)");
}

static int l_yield(lua_State *L) {
  struct rille_fiber *f = rille_fiber_of(L);
  uint8_t kind = f->kind;
  if (f->task != NULL && f->task->scope != f->mark && kind != RILLE_TASK && kind != RILLE_OUTSIDE)
    rille_check_yield(L);
  if (kind == RILLE_GENERATOR)
    check_item(L);
  else if (kind == RILLE_TASK)
    return rille_error(L, "attempt to yield from outside a coroutine (a task has nobody to yield to; "
                          "send to a channel, or emit in a stream.producer)");
  return lua_yieldk(L, lua_gettop(L), 0, yield_k);
}

/* --- the rest --- */

static int l_status(lua_State *L) {
  lua_pushstring(L, status_of(L, check_thread(L)));
  return 1;
}

static int l_isyieldable(lua_State *L) {
  lua_State *co = lua_isnone(L, 1) ? L : check_thread(L);
  lua_pushboolean(L, rille_fiber_of(co)->kind != RILLE_TASK && lua_isyieldable(co));
  return 1;
}

static int l_running(lua_State *L) {
  int main = lua_pushthread(L);
  lua_pushboolean(L, main || rille_fiber_of(L)->kind == RILLE_TASK);
  return 2;
}

static int l_close(lua_State *L) {
  lua_State *co = check_thread(L);
  const char *status = status_of(L, co);
  bool owned = rille_fiber_owns(co);
  if (owned && push_refusal(L, rille_fiber_of(co), "close"))
    return luaL_error(L, "%s", lua_tostring(L, -1));
  if (strcmp(status, "dead") != 0 && strcmp(status, "suspended") != 0)
    return luaL_error(L, "cannot close a %s coroutine", status);
  if (owned && rille_fiber_of(co)->kind != RILLE_COROUTINE) { /* dead: its results stay with its owner */
    lua_pushboolean(L, 1);
    return 1;
  }
  if (owned) {
    lua_pushboolean(L, 0);
    if (!rille_fiber_kill(L, rille_fiber_of(co)))
      return 2;
  } else if (lua_resetthread(co) != LUA_OK) {
    lua_pushboolean(L, 0);
    lua_xmove(co, L, 1);
    return 2;
  }
  lua_pushboolean(L, 1);
  return 1;
}

static const luaL_Reg lib[] = {{"create", l_create},   {"resume", l_resume},
                               {"running", l_running}, {"status", l_status},
                               {"wrap", l_wrap},       {"yield", l_yield},
                               {"close", l_close},     {"isyieldable", l_isyieldable},
                               {NULL, NULL}};

/* Replaces the functions of the coroutine table in place: who has kept the table has the new ones. */
int luaopen_rille_coroutine(lua_State *L) {
  lua_getglobal(L, LUA_COLIBNAME);
  luaL_setfuncs(L, lib, 0);
  return 1;
}
