/* cancel_scope.c -- rille.timeout, rille.shield, and the scopes that groups and races are made of; the
 * binding rille.host.cancel_scope.
 * Model:  a scope is a userdata that runs a function inside itself, under a protected call of its own.
 *         Its signal is raised in that function only, and ends here: whoever opened the scope reports
 *         its own outcome, whatever the function made of the signal. A scope may also be opened in another
 *         task that waits, to end that wait (strike); it runs nothing, and who is struck leaves it.
 * Owner:  while it is open, the stack of the coroutine that opened it and the registry keep the userdata;
 *         it leaves that, and its deadline the heap, when it is closed, or when its task ends without it.
 * Errors: timeout raises ETIMEDOUT. An error of the function that is not the signal goes on, or, if the
 *         scope was cancelled, is attached to the outcome as suppressed (R37). */
#include "box.h"
#include "describe.h"
#include "fault.h"
#include "fiber.h"
#include "lib.h"
#include "runtime.h"
#include "task.h"

#define SCOPE "rille.Scope"

enum { SIGNAL = 1, OPENED, NOTE, VALUES = NOTE }; /* user values */

struct cancel_scope {
  struct rille_scope scope;
  struct rille_deadline deadline;
  double seconds;          /* until its deadline; below 0: it has none */
  bool sent;               /* its signal was sent */
};

/* Tells who wanted to know that the signal on top, of the scope below it, is about to strike. */
static void call_note(lua_State *L) {
  if (lua_getiuservalue(L, -2, NOTE) == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  lua_pushvalue(L, -2);
  lua_call(L, 1, 0);
}

static void push_signal(lua_State *L, struct rille_task *t, struct rille_scope *s) {
  (void)t;
  lua_rawgetp(L, LUA_REGISTRYINDEX, s);
  if (lua_getiuservalue(L, -1, SIGNAL) == LUA_TNIL) {
    lua_pop(L, 1);
    rille_fault_push(L, "ECANCELED", "cancelled by %s", s->opened);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, -3, SIGNAL);
    call_note(L);
  }
  lua_remove(L, -2);
}

static void drop(struct rille_scope *s) {
  struct cancel_scope *c = (struct cancel_scope *)s;
  struct rille *rt = c->scope.task->fiber.rt;
  rille_deadline_stop(rt, &c->deadline);
  c->scope.task = NULL;
  lua_pushnil(rt->L);
  lua_rawsetp(rt->L, LUA_REGISTRYINDEX, s); /* the key is there: nothing to allocate */
}

static void signal_scope(struct cancel_scope *c) {
  if (c->scope.task == NULL || c->scope.state != RILLE_OPEN)
    return;
  c->sent = true;
  c->scope.state = RILLE_SIGNALLED;
  rille_task_interrupt(c->scope.task);
}

static void on_due(struct rille_deadline *d) {
  signal_scope(LIST_ENTRY(d, struct cancel_scope, deadline));
}

/* Pushes a scope that is open nowhere. `what` names it: "rille.timeout opened at". */
static struct cancel_scope *push_scope(lua_State *L, const char *what, double seconds) {
  struct cancel_scope *c = lua_newuserdatauv(L, sizeof *c, VALUES);
  *c = (struct cancel_scope){.seconds = seconds};
  c->scope.ends = true; /* it is the function that is to end, not the task */
  c->scope.push_signal = push_signal;
  c->scope.drop = drop;
  c->deadline.due = on_due;
  luaL_setmetatable(L, SCOPE);
  rille_push_line(L, L);
  c->scope.opened = lua_pushfstring(L, "%s %s", what, lua_tostring(L, -1));
  lua_setiuservalue(L, -3, OPENED);
  lua_pop(L, 1);
  return c;
}

/* Opens the scope at `index` in task t. The last thing to raise. */
static void enter_scope(lua_State *L, struct cancel_scope *c, int index, struct rille_task *t) {
  if (c->scope.task != NULL)
    luaL_error(L, "the scope is open already");
  lua_pushvalue(L, index);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &c->scope);
  if (c->seconds >= 0 && !rille_deadline_start(t->fiber.rt, &c->deadline, c->seconds))
    luaL_error(L, "not enough memory");
  c->scope.state = RILLE_OPEN;
  c->scope.raised = 0;
  c->sent = false;
  c->scope.swallowed = 0;
  c->scope.task = t;
  rille_scope_enter(t, &c->scope);
}

/* Opens the scope at `index` in the task of L. The last thing to raise before the function runs. */
static void open_scope(lua_State *L, struct cancel_scope *c, int index) {
  struct rille_fiber *f = rille_fiber_of(L);
  if (f->task == NULL) {
    rille_push_boundary(L);
    luaL_error(L, "cannot open a scope inside %s", lua_tostring(L, -1));
  }
  enter_scope(L, c, index, f->task);
}

static void close_scope(struct cancel_scope *c) {
  if (c->scope.task == NULL) /* that has ended: a C module has yielded out of the scope */
    return;
  rille_scope_leave(&c->scope);
  drop(&c->scope);
}

/* Stack of the functions below: scope, message handler, results or error. */
enum { AT_SCOPE = 1, AT_RESULTS = 3 };

/* Puts the message handler below the function that is to be called. It remembers what unwinds that. */
static void insert_handler(lua_State *L) {
  lua_pushnil(L);
  lua_pushcclosure(L, rille_fiber_on_error, 1);
  lua_insert(L, AT_SCOPE + 1);
}

/* Raises the error on top again; its story was told where it was raised. */
static int raise_again(lua_State *L) {
  rille_of(L)->passing = true;
  return lua_error(L);
}

/* The error on top is the signal of the scope at AT_SCOPE. Raises nothing: the scope is still open. */
static bool is_own_signal(lua_State *L) {
  bool own = lua_getiuservalue(L, AT_SCOPE, SIGNAL) != LUA_TNIL && lua_rawequal(L, -1, -2);
  lua_pop(L, 1);
  return own;
}

/* Raises the time-out, whose story begins where its signal was raised. An error of the function, on top if
 * it `failed`, is attached to it. */
static int raise_timeout(lua_State *L, struct cancel_scope *c, bool failed) {
  lua_pushfstring(L, "timed out after %f s", c->seconds);
  rille_fault_push(L, "ETIMEDOUT", "%s (%s)", lua_tostring(L, -1), c->scope.opened);
  lua_getiuservalue(L, AT_SCOPE, SIGNAL);
  rille_fault_push_story(L, -1);
  lua_replace(L, -2);
  rille_fault_add(L, -2);
  if (failed)
    rille_fault_suppress(L, -1, -3);
  return lua_error(L);
}

static int timeout_k(lua_State *L, int status, lua_KContext ctx) {
  struct cancel_scope *c = (struct cancel_scope *)ctx;
  bool failed = status != LUA_OK && status != LUA_YIELD;
  bool own = failed && is_own_signal(L);
  struct rille_task *task = c->scope.task;
  close_scope(c);
  bool outer = failed && !own && rille_task_is_signal(L, task, -1);
  /* A function that was done before the signal was raised has handed its results over (R69). */
  if (c->sent && c->scope.raised != 0 && !outer)
    return raise_timeout(L, c, failed && !own);
  return failed ? raise_again(L) : lua_gettop(L) - (AT_RESULTS - 1);
}

/* Calls the function at AT_RESULTS, with what is above it, inside the open scope. */
static int call_inside(lua_State *L, struct cancel_scope *c, lua_KFunction k) {
  lua_KContext ctx = (lua_KContext)c;
  int nargs = lua_gettop(L) - AT_RESULTS;
  return k(L, lua_pcallk(L, nargs, LUA_MULTRET, AT_SCOPE + 1, ctx, k), ctx);
}

/* timeout(seconds, fn, ...) -> results of fn; raises ETIMEDOUT if it is not done in time */
static int l_timeout(lua_State *L) {
  if (lua_isfunction(L, 1))
    luaL_argerror(L, 1, "number expected, got function; the seconds come first: 'timeout(seconds, f, ...)'");
  double seconds = rille_check_seconds(L, 1);
  rille_check_function(L, 2, "timeout(seconds, f, ...)");
  struct cancel_scope *c = push_scope(L, "rille.timeout opened at", seconds);
  lua_replace(L, 1);
  insert_handler(L);
  open_scope(L, c, AT_SCOPE);
  return call_inside(L, c, timeout_k);
}

static int shield_k(lua_State *L, int status, lua_KContext ctx) {
  bool failed = status != LUA_OK && status != LUA_YIELD;
  close_scope((struct cancel_scope *)ctx);
  return failed ? raise_again(L) : lua_gettop(L) - (AT_RESULTS - 1);
}

/* shield(fn, ...) -> results of fn; signals from outside wait until it is done */
static int l_shield(lua_State *L) {
  rille_check_function(L, 1, "shield(f, ...)");
  struct cancel_scope *c = push_scope(L, "rille.shield opened at", -1);
  c->scope.shield = true;
  lua_insert(L, 1);
  insert_handler(L);
  open_scope(L, c, AT_SCOPE);
  return call_inside(L, c, shield_k);
}

/* new(what) -> a scope; what, with the line, is for messages: "rille.group opened at".
 * new(what, seconds, note): it sends its signal after so many seconds of real time; note(signal) is called,
 * and may not wait, where it first strikes, before anything unwinds. */
static int l_new(lua_State *L) {
  const char *what = luaL_checkstring(L, 1);
  lua_settop(L, 3);
  if (lua_isnil(L, 2)) {
    (void)push_scope(L, what, -1);
    return 1;
  }
  double seconds = rille_check_seconds(L, 2);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  push_scope(L, what, seconds)->deadline.real = true;
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, -2, NOTE);
  return 1;
}

/* Closes the scope; tells how its failed function ended. Its error is on top. */
static const char *close_failed(lua_State *L, struct cancel_scope *c) {
  bool own = is_own_signal(L);
  struct rille_task *task = c->scope.task;
  close_scope(c);
  if (own)
    return "cancelled";
  if (rille_task_is_signal(L, task, -1))
    return "outer";
  return c->sent ? "suppressed" : "failed";
}

static int run_k(lua_State *L, int status, lua_KContext ctx) {
  struct cancel_scope *c = (struct cancel_scope *)ctx;
  if (status == LUA_OK || status == LUA_YIELD) {
    close_scope(c);
    lua_pushliteral(L, "done");
    lua_replace(L, AT_RESULTS - 1);
    return lua_gettop(L) - (AT_RESULTS - 2);
  }
  lua_pushstring(L, close_failed(L, c));
  lua_insert(L, -2);
  return 2;
}

/* scope:run(fn, ...) -> "done" and the results of fn, or how it failed and its error: "cancelled", its
 * error is the scope's own signal; "suppressed", it is another error though the signal was raised;
 * "outer", the signal of a scope around, to be raised again; "failed", any other. */
static int l_run(lua_State *L) {
  struct cancel_scope *c = luaL_checkudata(L, 1, SCOPE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  insert_handler(L);
  open_scope(L, c, AT_SCOPE);
  return call_inside(L, c, run_k);
}

/* raise(err): raises again an error that a scope gave back; its story goes on */
static int l_raise(lua_State *L) {
  lua_settop(L, 1);
  return raise_again(L);
}

/* pass(err): raises the error of another task, whose story says that this one awaited it */
static int l_pass(lua_State *L) {
  lua_settop(L, 1);
  return rille_fiber_pass_error(L, "awaited by");
}

/* scope:cancel(): sends the signal to what runs inside; idempotent */
static int l_cancel(lua_State *L) {
  signal_scope(luaL_checkudata(L, 1, SCOPE));
  return 0;
}

/* Coroutines that have opened no scope since their step began are to see it so: f and its consumers. */
static void remark(struct rille_fiber *f, const struct rille_scope *from, struct rille_scope *to) {
  for (; f != NULL; f = f->consumer)
    if (f->mark == from)
      f->mark = to;
}

/* A signal sent to t would strike now: it waits, and nothing that must not be cut short is under way. */
static bool is_exposed(const struct rille_task *t) {
  if (t->leaf == NULL || t->leaf->op == NULL || t->leaf->op->done)
    return false;
  for (struct rille_scope *s = t->scope; s != NULL; s = s->outer)
    if (s->shield || s->state == RILLE_UNWINDING)
      return false;
  return true;
}

/* scope:strike(task) -> boolean: opens the scope inside of all others in a task that waits, and sends its
 * signal; false if it would not strike now. Whoever is struck leaves the scope. */
static int l_strike(lua_State *L) {
  struct cancel_scope *c = luaL_checkudata(L, 1, SCOPE);
  struct rille_task *t = rille_task_check_arg(L, 2);
  bool exposed = is_exposed(t);
  lua_pushboolean(L, exposed);
  if (!exposed)
    return 1;
  enter_scope(L, c, 1, t);
  remark(t->leaf, c->scope.outer, &c->scope);
  signal_scope(c);
  return 1;
}

/* scope:leave(): idempotent */
static int l_leave(lua_State *L) {
  struct cancel_scope *c = luaL_checkudata(L, 1, SCOPE);
  if (c->scope.task == NULL)
    return 0;
  remark(rille_fiber_of(L), &c->scope, c->scope.outer);
  remark(c->scope.task->leaf, &c->scope, c->scope.outer); /* another task has taken the step over */
  close_scope(c);
  return 0;
}

static const luaL_Reg methods[] = {
    {"run", l_run}, {"cancel", l_cancel}, {"strike", l_strike}, {"leave", l_leave}, {NULL, NULL}};

static const luaL_Reg meta[] = {{NULL, NULL}};

static const luaL_Reg lib[] = {{"timeout", l_timeout},
                               {"shield", l_shield},
                               {"new", l_new},
                               {"raise", l_raise},
                               {"pass", l_pass},
                               {NULL, NULL}};

int luaopen_rille_cancel_scope(lua_State *L) {
  rille_class(L, SCOPE, meta, methods);
  luaL_newlib(L, lib);
  return 1;
}
