/* task.c -- tasks; the binding rille.host.task. The model is told in task.h.
 * Owner:  the anchors table in the registry keeps a live task; a Task userdata keeps its coroutine, and
 *         with it the results.
 * Errors: await raises what the task raised, the same object. A failure that nobody awaits is reported on
 *         stderr and stops the program, unless it is taken (on_failure); an error in the cleanup of a
 *         cancelled task is reported too. */
#include "task.h"

#include <string.h>

#include "box.h"
#include "describe.h"
#include "fault.h"
#include "report.h"
#include "runtime.h"
#include "strict.h"

#define TASK "rille.Task"

/* User values of a Task. */
enum { CO = 1, ABOUT, VALUES = ABOUT };

static const char TAKER = 0; /* its address is the key of on_failure's function in the registry */

/* What may be known about a Task. ABOUT is a table of these; or, as most tasks have no more, the SPAWNER. */
enum about { SPAWNER = 1, NAME, REASON, SIGNAL, KEEPER };

/* Pushes what the Task at `index` has; returns its type. */
static int get_about(lua_State *L, int index, enum about what) {
  if (lua_getiuservalue(L, index, ABOUT) == LUA_TTABLE) {
    lua_rawgeti(L, -1, what);
    lua_remove(L, -2);
  } else if (what != SPAWNER) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  return lua_type(L, -1);
}

/* Sets it to the value on top. Pops that. */
static void set_about(lua_State *L, int index, enum about what) {
  index = lua_absindex(L, index);
  if (lua_getiuservalue(L, index, ABOUT) != LUA_TTABLE) {
    lua_createtable(L, SIGNAL, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, SPAWNER);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, index, ABOUT);
  }
  lua_insert(L, -2);
  lua_rawseti(L, -2, what);
  lua_pop(L, 1);
}

void rille_task_push(lua_State *L, struct rille_task *t) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, t->fiber.rt->anchors);
  lua_rawgeti(L, -1, t->anchor);
  lua_remove(L, -2);
}

/* --- names --- */

/* Pushes "file:line", where the Task at `index` was spawned, or nil. */
static void push_birthplace(lua_State *L, int index) {
  const struct rille_task *t = lua_touserdata(L, index);
  lua_Debug ar;
  if (get_about(L, index, SPAWNER) == LUA_TFUNCTION && lua_getinfo(L, ">S", &ar) != 0)
    lua_pushfstring(L, "%s:%d", ar.short_src, t->line);
}

/* Pushes the name of the Task at `index`: its own, or where it was spawned. */
static void push_name(lua_State *L, int index) {
  index = lua_absindex(L, index);
  if (get_about(L, index, NAME) == LUA_TSTRING)
    return;
  lua_pop(L, 1);
  push_birthplace(L, index);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushliteral(L, "?");
  }
}

void rille_task_set_name(lua_State *L, int task, int name) {
  task = lua_absindex(L, task);
  lua_pushvalue(L, name);
  set_about(L, task, NAME);
}

void rille_task_push_name(lua_State *L, struct rille_task *t) {
  if (t->anchor == LUA_NOREF) {
    lua_pushliteral(L, "a task that has ended");
    return;
  }
  rille_task_push(L, t);
  push_name(L, -1);
  lua_pushfstring(L, "task '%s'", lua_tostring(L, -1));
  lua_replace(L, -3);
  lua_pop(L, 1);
}

/* --- where a task comes from --- */

void rille_task_disown(lua_State *L, int task) {
  struct rille_task *t = lua_touserdata(L, task);
  task = lua_absindex(L, task);
  t->parent = LUA_NOREF;
  lua_pushnil(L);
  set_about(L, task, SPAWNER);
}

void rille_task_push_birthplace(lua_State *L, struct rille_task *t) {
  rille_task_push(L, t);
  push_birthplace(L, lua_gettop(L));
  lua_remove(L, -2);
}

/* An anchor is used again after its task has ended; who has it then is younger than t. */
struct rille_task *rille_task_parent(lua_State *L, const struct rille_task *t) {
  if (t->parent == LUA_NOREF)
    return NULL;
  lua_rawgeti(L, LUA_REGISTRYINDEX, t->fiber.rt->anchors);
  lua_rawgeti(L, -1, t->parent);
  struct rille_task *parent = lua_touserdata(L, -1);
  lua_pop(L, 2);
  return parent != NULL && (int32_t)(parent->number - t->number) < 0 ? parent : NULL;
}

void rille_task_push_origin(lua_State *L, struct rille_task *t) {
  rille_task_push_birthplace(L, t);
  if (lua_isnil(L, -1))
    return;
  struct rille_task *parent = rille_task_parent(L, t);
  rille_task_push_name(L, t);
  lua_pushfstring(L, "%s spawned at %s", lua_tostring(L, -1), lua_tostring(L, -2));
  lua_replace(L, -3);
  lua_pop(L, 1);
  if (t->parent == LUA_NOREF)
    return;
  lua_pushliteral(L, " by ");
  if (parent != NULL)
    rille_task_push_name(L, parent);
  else
    lua_pushliteral(L, "a task that has ended");
  lua_concat(L, 3);
}

struct rille_fiber *rille_task_keeper(lua_State *L, struct rille_task *t) {
  struct rille_fiber *keeper = NULL;
  int top = lua_gettop(L);
  if (t->anchor == LUA_NOREF)
    return NULL;
  rille_task_push(L, t);
  if (get_about(L, -1, KEEPER) == LUA_TTABLE && lua_rawgeti(L, -1, 1) == LUA_TTHREAD)
    keeper = rille_fiber_of(lua_tothread(L, -1));
  lua_settop(L, top);
  return keeper;
}

/* --- the signal --- */

/* Pushes the signal of task t, made once: an error object with code ECANCELED. */
static void push_task_signal(lua_State *L, struct rille_task *t, struct rille_scope *s) {
  (void)s;
  rille_task_push(L, t);
  if (get_about(L, -1, SIGNAL) == LUA_TNIL) {
    lua_pop(L, 1);
    push_name(L, -1);
    get_about(L, -2, REASON);
    const char *reason = lua_isnil(L, -1) ? t->fiber.rt->why : lua_tostring(L, -1);
    rille_fault_push(L, "ECANCELED", "task '%s' was cancelled%s%s", lua_tostring(L, -2),
                     reason != NULL ? ": " : "", reason != NULL ? reason : "");
    lua_replace(L, -3);
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    set_about(L, -3, SIGNAL);
  }
  lua_remove(L, -2);
}

bool rille_task_is_cancelled(const struct rille_task *t) { return t->root.state != RILLE_OPEN; }

void rille_task_cancel(struct rille_task *t) {
  if (t->fiber.state == RILLE_DEAD || t->root.state != RILLE_OPEN)
    return;
  t->root.state = RILLE_SIGNALLED;
  rille_task_interrupt(t);
}

/* --- ends --- */

/* Prints the error that the task ended with; it stays with the task. */
static void report_failure(struct rille_task *t) {
  lua_State *L = t->fiber.rt->L;
  lua_pushvalue(t->fiber.L, -1);
  lua_xmove(t->fiber.L, L, 1);
  rille_report_error(L);
}

/* Prints the error of a cancelled task's cleanup, which nobody else would tell of. */
static void report_cleanup(struct rille_task *t) {
  report_failure(t);
  rille_strict_fail(t->fiber.rt);
}

/* True if the task ended because of its signal: it was raised at least once, or it never ran. */
static bool ended_by_signal(const struct rille_task *t) {
  bool never_ran = t->fiber.outcome == RILLE_ITEM;
  return t->killed || t->root.raised != 0 || (t->root.state == RILLE_SIGNALLED && never_ran);
}

static int is_own_signal(lua_State *L) {
  struct rille_task *t = lua_touserdata(L, 1);
  push_task_signal(L, t, &t->root);
  bool same = lua_rawequal(L, 2, -1);
  lua_pushboolean(L, same && lua_getfield(L, 2, "suppressed") == LUA_TNIL);
  return 1;
}

/* The error that a cancelled task ended with is its signal, with nothing attached: nothing else went
 * wrong. */
static bool failed_with_signal(struct rille_task *t) {
  lua_State *L = t->fiber.rt->L;
  lua_pushcfunction(L, is_own_signal);
  lua_pushlightuserdata(L, t);
  lua_pushvalue(t->fiber.L, -1);
  lua_xmove(t->fiber.L, L, 1);
  bool same = lua_pcall(L, 2, 1, 0) == LUA_OK && lua_toboolean(L, -1);
  lua_pop(L, 1);
  return same;
}

/* Whoever owns the task could not be told: it may have failed before its body began. */
static bool out_of_memory(struct rille_task *t) {
  return lua_type(t->fiber.L, -1) == LUA_TSTRING &&
         strcmp(lua_tostring(t->fiber.L, -1), "not enough memory") == 0;
}

/* Somebody awaits the task's outcome; those who join it wait for its end only. */
static bool is_awaited(struct rille_task *t) {
  for (struct list *l = t->awaiters.next; l != &t->awaiters; l = l->next)
    if (LIST_ENTRY(l, struct rille_join, link)->outcome)
      return true;
  return false;
}

/* Hands the error to who takes those that nobody awaits. False: nobody does, or not this one. */
static bool is_taken(struct rille_task *t) {
  lua_State *L = t->fiber.rt->L;
  int top = lua_gettop(L);
  bool taken = false;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &TAKER) != LUA_TNIL) {
    lua_pushvalue(t->fiber.L, -1);
    lua_xmove(t->fiber.L, L, 1);
    taken = lua_pcall(L, 1, 1, 0) == LUA_OK && lua_toboolean(L, -1);
  }
  lua_settop(L, top);
  return taken;
}

static void settle(struct rille_task *t) {
  struct rille *rt = t->fiber.rt;
  bool failed = t->fiber.outcome == RILLE_FAILED;
  bool ran = t->fiber.L != NULL && t->fiber.state == RILLE_DEAD;
  t->cancelled = ended_by_signal(t);
  if (t->cancelled) {
    if (ran && failed && !t->owned && !failed_with_signal(t))
      report_cleanup(t);
  } else if (failed && !is_awaited(t) && (!t->owned || out_of_memory(t))) {
    if (!rt->stopping && is_taken(t))
      return;
    report_failure(t);
    if (rt->console == NULL) /* a REPL goes on */
      rille_stop(rt, 1, "a task failed");
  }
}

/* A coroutine yielded with nobody to take the item: a C module's lua_yield in the body of a task. */
static void refuse_item(struct rille_task *t) {
  lua_State *co = t->fiber.L;
  lua_settop(co, 0);
  t->fiber.state = RILLE_DEAD;
  t->fiber.outcome = RILLE_FAILED;
  t->fiber.count = 1;
  lua_pushliteral(co, "attempt to yield from outside a coroutine");
}

/* Takes a wait for a task's end out of the task's list and out of the heap. */
static void leave(struct rille_join *j) {
  list_remove(&j->link);
  rille_deadline_stop(j->rt, &j->deadline);
}

static void on_due(struct rille_deadline *d) {
  struct rille_join *j = LIST_ENTRY(d, struct rille_join, deadline);
  leave(j);
  rille_op_done(&j->op);
}

bool rille_task_join(struct rille_task *t, struct rille_join *j, double seconds) {
  j->rt = t->fiber.rt;
  j->task = t;
  j->deadline = (struct rille_deadline){.due = on_due};
  if (seconds >= 0 && !rille_deadline_start(j->rt, &j->deadline, seconds))
    return false;
  list_append(&t->awaiters, &j->link);
  return true;
}

void rille_task_join_abort(struct rille_op *op) { leave((struct rille_join *)op); }

/* Who kept the task waits no more: a Task that is kept for its results must not keep that coroutine. */
static void forget_keeper(lua_State *L, struct rille_task *t) {
  int top = lua_gettop(L);
  rille_task_push(L, t);
  if (get_about(L, -1, KEEPER) != LUA_TNIL) {
    lua_pushnil(L);
    set_about(L, top + 1, KEEPER);
  }
  lua_settop(L, top);
}

void rille_task_finished(struct rille_task *t) {
  struct rille *rt = t->fiber.rt;
  if (t->fiber.state == RILLE_SUSPENDED)
    refuse_item(t);
  settle(t);
  rille_scope_drop_all(t);
  t->fiber.state = RILLE_DEAD;
  while (!list_empty(&t->awaiters)) {
    struct rille_join *first = LIST_ENTRY(t->awaiters.next, struct rille_join, link);
    leave(first);
    rille_op_done(&first->op);
  }
  list_remove(&t->link);
  rt->task_count--;
  if (t->daemon)
    rt->daemon_count--;
  forget_keeper(rt->L, t);
  lua_rawgeti(rt->L, LUA_REGISTRYINDEX, rt->anchors);
  luaL_unref(rt->L, -1, t->anchor);
  lua_pop(rt->L, 1);
  t->anchor = LUA_NOREF;
}

void rille_task_kill(struct rille_task *t, const char *why) {
  lua_State *L = t->fiber.rt->L;
  rille_report_killed(t, why);
  t->killed = true;
  rille_scope_drop_all(t);
  struct rille_fiber *f = t->leaf != NULL ? t->leaf : &t->fiber;
  t->leaf = NULL;
  t->fiber.rt->outside.task = t; /* its <close> handlers still run on its behalf */
  if (f->op != NULL)
    rille_op_abandon(f->op);
  while (f != NULL) {
    struct rille_fiber *consumer = f->consumer;
    if (!rille_fiber_kill(L, f)) {
      rille_report_error(L);
      rille_strict_fail(t->fiber.rt);
    }
    f = consumer;
  }
  t->fiber.rt->outside.task = NULL;
  rille_task_finished(t);
}

/* --- the binding --- */

/* Pushes the function that spawns a task, and returns the line: the script's. A task that only the host's
 * own Lua spawns, as one of a stream does the next, comes from where its parent does. */
static int push_spawner(lua_State *L, struct rille_task *parent) {
  int line = rille_push_script(L);
  if (line != 0)
    return line;
  if (parent == NULL || parent->anchor == LUA_NOREF)
    return rille_push_caller(L);
  rille_task_push(L, parent);
  (void)get_about(L, -1, SPAWNER);
  lua_remove(L, -2);
  return parent->line;
}

struct rille_task *rille_task_spawn(lua_State *L, int nargs, bool owned) {
  struct rille *rt = rille_of(L);
  struct rille_task *parent = rille_fiber_of(L)->task;
  int base = lua_gettop(L) - nargs; /* the function */
  struct rille_task *t =
      (struct rille_task *)rille_fiber_new(L, sizeof *t, VALUES, RILLE_TASK);
  list_init(&t->link);
  list_init(&t->awaiters);
  t->root.push_signal = push_task_signal;
  t->scope = &t->root;
  t->owned = owned;
  t->anchor = LUA_NOREF;
  t->parent = parent != NULL ? parent->anchor : LUA_NOREF;
  t->number = rt->task_number++;
  t->fiber.task = t;
  t->fiber.can_wait = true;
  lua_setiuservalue(L, -2, CO);
  luaL_setmetatable(L, TASK);
  t->line = push_spawner(L, parent);
  lua_setiuservalue(L, -2, ABOUT);
  lua_insert(L, base);
  rille_fiber_load(L, &t->fiber, nargs, true);
  lua_rawgeti(L, LUA_REGISTRYINDEX, rt->anchors);
  lua_pushvalue(L, -2);
  t->anchor = luaL_ref(L, -2); /* the last to raise */
  lua_pop(L, 1);
  list_append(&rt->tasks, &t->link);
  rt->task_count++;
  rille_fiber_ready(&t->fiber);
  return t;
}

void rille_task_make_daemon(struct rille_task *t) {
  t->daemon = true;
  t->fiber.rt->daemon_count++;
}

static int spawn(lua_State *L, bool owned) {
  rille_check_function(L, 1, "spawn(f, ...)");
  rille_task_spawn(L, lua_gettop(L) - 1, owned);
  return 1;
}

/* spawn(fn, ...) -> Task */
static int l_spawn(lua_State *L) { return spawn(L, false); }

/* spawn_owned(fn, ...) -> Task: its failure waits for whoever awaits it. */
static int l_spawn_owned(lua_State *L) { return spawn(L, true); }

/* spawn_cleanup(fn, ...) -> Task: it begins even if the program is told to end before. */
static int l_spawn_cleanup(lua_State *L) {
  spawn(L, false);
  ((struct rille_task *)lua_touserdata(L, -1))->must_begin = true;
  return 1;
}

/* spawn_daemon(fn, ...) -> Task: owned, and it does not keep the program alive. */
static int l_spawn_daemon(lua_State *L) {
  spawn(L, true);
  rille_task_make_daemon(lua_touserdata(L, -1));
  return 1;
}

struct rille_task *rille_task_check_arg(lua_State *L, int arg) { return luaL_checkudata(L, arg, TASK); }

static struct rille_task *check_task(lua_State *L) { return rille_check_self(L, TASK); }

int rille_task_push_results(lua_State *L, int index) {
  struct rille_task *t = lua_touserdata(L, index);
  if (t->cancelled) {
    if (get_about(L, index, SIGNAL) == LUA_TNIL)
      rille_fault_push(L, "ECANCELED", "a task was cancelled");
    return lua_error(L);
  }
  bool failed = t->fiber.outcome == RILLE_FAILED;
  int n = rille_fiber_push_top(L, &t->fiber, failed ? 1 : t->fiber.count);
  return failed ? rille_fiber_pass_error(L, "awaited by") : n;
}

/* What await and join return: the outcome, or whether the task has ended. It is at index 1. */
static int push_end(lua_State *L, bool outcome) {
  if (outcome)
    return rille_task_push_results(L, 1);
  lua_pushboolean(L, check_task(L)->fiber.state == RILLE_DEAD);
  return 1;
}

static int join_finish(lua_State *L, struct rille_op *op) {
  return push_end(L, ((struct rille_join *)op)->outcome);
}

static const struct rille_op_class join_class = {
    .name = "a task", .abort = rille_task_join_abort, .finish = join_finish};

struct rille_task *rille_task_awaited(const struct rille_op *op) {
  return op->class == &join_class ? ((const struct rille_join *)op)->task : NULL;
}

static int wait_for_end(lua_State *L, bool outcome, double seconds) {
  struct rille_task *t = check_task(L);
  lua_settop(L, 1);
  if (rille_fiber_of(L)->task == t)
    return rille_error(L, "a task cannot await itself");
  if (t->fiber.state == RILLE_DEAD)
    return push_end(L, outcome);
  rille_check_wait(L, join_class.name);
  struct rille_join *j = lua_newuserdatauv(L, sizeof *j, 0);
  rille_op_init(&j->op, &join_class);
  j->outcome = outcome;
  if (!rille_task_join(t, j, seconds))
    return luaL_error(L, "not enough memory");
  return rille_op_park(L, &j->op);
}

/* task:await() -> results, or raises */
static int l_await(lua_State *L) { return wait_for_end(L, true, -1); }

/* task:join([seconds]) -> ended: waits for the end, however it ends, or for so long */
static int l_join(lua_State *L) {
  return wait_for_end(L, false, lua_isnoneornil(L, 2) ? -1 : rille_check_seconds(L, 2));
}

/* task:cancel([reason]) */
static int l_cancel(lua_State *L) {
  struct rille_task *t = check_task(L);
  luaL_optstring(L, 2, NULL);
  if (t->fiber.state == RILLE_DEAD || t->root.state != RILLE_OPEN)
    return 0;
  lua_settop(L, 2);
  set_about(L, 1, REASON);
  push_task_signal(L, t, &t->root); /* made now: nothing is left to raise when it is needed */
  rille_task_cancel(t);
  return 0;
}

/* In the root's state, WAITING: it waits, or a fiber that it waits for runs, which is no leaf then. */
static const char *status_of_parked(const struct rille_task *t) {
  if (t->leaf == NULL)
    return "running";
  return t->leaf->op == NULL || t->leaf->op->done ? "ready" : "waiting";
}

const char *rille_task_status(const struct rille_task *t) {
  switch (t->fiber.state) {
  case RILLE_DEAD:
    if (t->cancelled)
      return "cancelled";
    return t->fiber.outcome == RILLE_FAILED ? "failed" : "done";
  case RILLE_RUNNING:
    return "running";
  case RILLE_WAITING:
    return status_of_parked(t);
  default:
    return "ready";
  }
}

/* task:status() -> "ready" "running" "waiting" "done" "failed" "cancelled" */
static int l_status(lua_State *L) {
  lua_pushstring(L, rille_task_status(check_task(L)));
  return 1;
}

static int l_tostring(lua_State *L) {
  struct rille_task *t = check_task(L);
  push_name(L, 1);
  const char *status = rille_task_status(t);
  if (strcmp(status, "waiting") == 0) {
    rille_push_wait(L, t);
    lua_pushfstring(L, "task '%s' (waiting for %s)", lua_tostring(L, -2), lua_tostring(L, -1));
  } else {
    lua_pushfstring(L, "task '%s' (%s)", lua_tostring(L, -1), status);
  }
  return 1;
}

/* task.name, and the methods, which are in the table that is the upvalue */
static int l_index(lua_State *L) {
  const char *key = lua_tostring(L, 2);
  if (key != NULL && strcmp(key, "name") == 0) {
    check_task(L);
    push_name(L, 1);
    return 1;
  }
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  return 1;
}

static int l_newindex(lua_State *L) {
  check_task(L);
  const char *key = luaL_checkstring(L, 2);
  if (strcmp(key, "name") != 0)
    return luaL_error(L, "a task has no settable field '%s'", key);
  luaL_checkstring(L, 3);
  rille_task_set_name(L, 1, 3);
  return 0;
}

/* adopt(task, keeper): the coroutine at keeper[1], which may change, does not end before the task has */
static int l_adopt(lua_State *L) {
  check_task(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  set_about(L, 1, KEEPER);
  return 0;
}

/* current() -> the Task that runs, or nil */
static int l_current(lua_State *L) {
  struct rille_task *t = rille_fiber_of(L)->task;
  if (t != NULL && t->anchor != LUA_NOREF)
    rille_task_push(L, t);
  else
    lua_pushnil(L);
  return 1;
}

/* is_cancelled(task) -> boolean: it was sent its signal */
static int l_is_cancelled(lua_State *L) {
  lua_pushboolean(L, rille_task_is_cancelled(check_task(L)));
  return 1;
}

/* is_signal(task, v) -> boolean: v is the signal that was sent to the task */
static int l_is_signal(lua_State *L) {
  struct rille_task *t = check_task(L);
  luaL_checkany(L, 2);
  bool is = get_about(L, 1, SIGNAL) != LUA_TNIL && lua_rawequal(L, 2, -1);
  lua_pushboolean(L, is && rille_task_is_cancelled(t));
  return 1;
}

/* signalled(v) -> boolean: v is the signal of the running task, or of a scope that is open in it */
static int l_signalled(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, rille_task_is_signal(L, rille_fiber_of(L)->task, 1));
  return 1;
}

/* on_failure(fn): fn(err) -> boolean is called, outside of all tasks, with the error of a task that nobody
 * awaits; true: it is taken, and the program goes on */
static int l_on_failure(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &TAKER);
  return 0;
}

/* raise_again(err): raises an error that was caught, as it is and with its story */
static int l_raise_again(lua_State *L) {
  lua_settop(L, 1);
  return rille_fiber_raise_again(L);
}

/* Pushes the coroutine of f. Returns false if there is no room. */
static bool push_thread(lua_State *L, struct rille_fiber *f) {
  if (f->L == NULL || !lua_checkstack(f->L, 1))
    return false;
  (void)lua_pushthread(f->L);
  lua_xmove(f->L, L, f->L != L);
  return true;
}

/* chain([task]) -> list of the coroutines from the running one, or the one that waits in the task, to the
 * root of its task */
static int l_chain(lua_State *L) {
  struct rille_fiber *f = lua_isnone(L, 1) ? rille_fiber_of(L) : check_task(L)->leaf;
  lua_Integer n = 0;
  lua_newtable(L);
  for (; f != NULL; f = f->consumer)
    if (push_thread(L, f))
      lua_rawseti(L, -2, ++n);
  return 1;
}

/* waits_for(task) -> what it waits for, such as "sleep (file:line)"; nil if it does not wait */
static int l_waits_for(lua_State *L) {
  struct rille_task *t = check_task(L);
  if (strcmp(rille_task_status(t), "waiting") == 0)
    rille_push_wait(L, t);
  else
    lua_pushnil(L);
  return 1;
}

/* waiting() -> list of the tasks that wait */
static int l_waiting(lua_State *L) {
  struct rille *rt = rille_of(L);
  lua_Integer n = 0;
  lua_newtable(L);
  for (struct list *l = rt->tasks.next; l != &rt->tasks; l = l->next) {
    struct rille_task *t = LIST_ENTRY(l, struct rille_task, link);
    if (t->leaf == NULL)
      continue;
    rille_task_push(L, t);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* count() -> how many tasks have not ended */
static int l_count(lua_State *L) {
  lua_pushinteger(L, rille_of(L)->task_count);
  return 1;
}

static void on_handle(uv_handle_t *handle, void *count) {
  if (!uv_is_closing(handle))
    ++*(lua_Integer *)count;
}

/* handles() -> open libuv handles, those of the runtime included; deadlines in the heap */
static int l_handles(lua_State *L) {
  struct rille *rt = rille_of(L);
  lua_Integer count = 0;
  uv_walk(&rt->loop, on_handle, &count);
  lua_pushinteger(L, count);
  lua_pushinteger(L, rt->time.count);
  return 2;
}

static const luaL_Reg methods[] = {{"await", l_await},   {"join", l_join},     {"cancel", l_cancel},
                                   {"status", l_status}, {NULL, NULL}};

static const luaL_Reg meta[] = {{"__tostring", l_tostring}, {"__newindex", l_newindex}, {NULL, NULL}};

static const luaL_Reg lib[] = {{"spawn", l_spawn},
                               {"spawn_owned", l_spawn_owned},
                               {"spawn_daemon", l_spawn_daemon},
                               {"spawn_cleanup", l_spawn_cleanup},
                               {"current", l_current},
                               {"count", l_count},
                               {"chain", l_chain},
                               {"waits_for", l_waits_for},
                               {"waiting", l_waiting},
                               {"adopt", l_adopt},
                               {"handles", l_handles},
                               {"is_cancelled", l_is_cancelled},
                               {"is_signal", l_is_signal},
                               {"signalled", l_signalled},
                               {"raise_again", l_raise_again},
                               {"on_failure", l_on_failure},
                               {NULL, NULL}};

int luaopen_rille_task(lua_State *L) {
  struct rille *rt = rille_of(L);
  rille_class(L, TASK, meta, methods);
  luaL_getmetatable(L, TASK);
  lua_getfield(L, -1, "__index");
  lua_pushcclosure(L, l_index, 1);
  lua_setfield(L, -2, "__index");
  lua_newtable(L);
  rt->anchors = luaL_ref(L, LUA_REGISTRYINDEX);
  luaL_newlib(L, lib);
  return 1;
}
