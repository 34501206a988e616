/* fiber.c -- the driver: the only file that calls lua_resume. The model is told in fiber.h.
 * Owner:  nothing here owns a fiber; records are userdata in their coroutines' first slot.
 * Errors: whatever is raised inside a coroutine becomes the outcome of its step. The driver itself
 *         runs outside any protected call and does nothing that may raise. */
#include "fiber.h"

#include <string.h>

#include "describe.h"
#include "fault.h"
#include "runtime.h"
#include "slow.h"
#include "task.h"

enum {
  NESTING_CAP = 40,    /* nested steps; Lua allows 200 C calls, and bodies need some of them */
  DEPTH_LIMIT = 16000, /* consumers below a fiber: a runaway recursion ends before memory does */
  STEP_BUDGET = 1024   /* steps without a wait before the loop gets its turn (R27) */
};

static void set_record(lua_State *co, struct rille_fiber *f) {
  *(struct rille_fiber **)lua_getextraspace(co) = f;
}

/* --- waiting --- */

void rille_check_wait(lua_State *L, const char *what) {
  struct rille_fiber *f = rille_fiber_of(L);
  if (!rille_fiber_can_wait(L)) {
    rille_push_boundary(L);
    const char *boundary = lua_tostring(L, -1);
    rille_error(L, "cannot wait for %s inside %s%s", what, boundary, rille_boundary_way_out(boundary));
  }
  rille_task_check(L, f->task, what);
}

void rille_check_yield(lua_State *L) {
  struct rille_fiber *f = rille_fiber_of(L);
  if (!lua_isyieldable(L)) {
    rille_push_boundary(L);
    rille_error(L, "cannot yield an item inside %s: attempt to yield across a C-call boundary",
                lua_tostring(L, -1));
  }
  if (f->task == NULL || f->task->scope == f->mark)
    return;
  const char *opened = f->task->scope->opened;
  rille_error(L, "yield inside %s: close it first, or give its work to a task",
             opened != NULL ? opened : "a scope");
}

void rille_op_init(struct rille_op *op, const struct rille_op_class *class) {
  memset(op, 0, sizeof *op);
  op->class = class;
  op->name = class->name;
}

static int park_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  struct rille_op *op = (struct rille_op *)ctx;
  struct rille_fiber *f = op->fiber;
  f->op = NULL;
  op->fiber = NULL;
  f->task->leaf = NULL;
  if (op->aborted) {
    rille_task_check(L, f->task, op->name);
    return luaL_error(L, "%s was interrupted", op->name);
  }
  return op->class->finish(L, op);
}

int rille_op_park(lua_State *L, struct rille_op *op) {
  struct rille_fiber *f = rille_fiber_of(L);
  f->op = op;
  op->fiber = f;
  f->task->leaf = f;
  op->since = (uint32_t)uv_now(&f->rt->loop);
  if (op->done) { /* it was over before it was parked */
    list_append(&f->rt->ready, &f->ready);
  } else {
    f->rt->external += op->class->external;
    rille_task_interrupt(f->task); /* a finaliser may have sent a signal since the check */
  }
  f->rt->waiting = true;
  return lua_yieldk(L, 0, (lua_KContext)op, park_k);
}

/* The op is done: if it was parked, its wait is over. */
static void settle(struct rille_op *op) {
  op->done = true;
  if (op->fiber != NULL)
    op->fiber->rt->external -= op->class->external;
}

void rille_op_done(struct rille_op *op) {
  if (op->done)
    return;
  settle(op);
  if (op->fiber != NULL)
    list_append(&op->fiber->rt->ready, &op->fiber->ready);
}

void rille_op_interrupt(struct rille_op *op) {
  if (op->done)
    return;
  op->aborted = true;
  op->class->abort(op);
  rille_op_done(op);
}

void rille_op_abandon(struct rille_op *op) {
  if (!op->done) {
    settle(op);
    op->class->abort(op);
  }
  op->fiber = NULL;
}

/* --- making --- */

struct rille_fiber *rille_fiber_new(lua_State *L, size_t size, int nuvalue,
                                    enum rille_fiber_kind kind) {
  struct rille_fiber *f = lua_newuserdatauv(L, size, nuvalue);
  memset(f, 0, size);
  list_init(&f->ready);
  f->rt = rille_of(L);
  f->kind = (uint8_t)kind;
  f->state = RILLE_DEAD; /* born closed: until it has a coroutine */
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, -2);
  lua_xmove(L, co, 1);
  f->L = co;
  f->state = RILLE_CREATED;
  set_record(co, f);
  return f;
}

/* Adds L's part to the story of the error at `index`: its frames and, of a task, where it comes from. */
static void tell(lua_State *L, int index, const char *how) {
  struct rille_fiber *f = rille_fiber_of(L);
  rille_push_fiber(L, f);
  rille_fault_tell(L, index, 1, how, lua_tostring(L, -1));
  lua_pop(L, 1);
  if (f->kind == RILLE_TASK) {
    rille_task_push_origin(L, f->task);
    rille_fault_add(L, index);
  }
}

int rille_fiber_on_error(lua_State *L) {
  struct rille_fiber *f = rille_fiber_of(L);
  if (!rille_task_is_signal(L, f->task, 1)) {
    if (!f->rt->passing)
      tell(L, 1, NULL);
    rille_fault_unwind(L, 1);
  }
  f->rt->passing = false;
  lua_settop(L, 1);
  return 1;
}

static int body_k(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  rille_fiber_of(L)->failed = status != LUA_OK && status != LUA_YIELD;
  return lua_gettop(L) - 1;
}

/* The base of a guarded coroutine: the body runs under a protected call, so that its <close> variables
 * may wait when an error unwinds it. */
static int body(lua_State *L) {
  lua_pushcfunction(L, rille_fiber_on_error);
  lua_insert(L, 1);
  return body_k(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, body_k), 0);
}

void rille_fiber_load(lua_State *L, struct rille_fiber *f, int nargs, bool guarded) {
  if (!lua_checkstack(f->L, nargs + 3))
    luaL_error(L, "too many arguments");
  if (guarded)
    lua_pushcfunction(f->L, body);
  lua_xmove(L, f->L, nargs + 1);
  f->nargs = nargs + (guarded ? 1 : 0);
}

/* --- stepping --- */

/* Resumes f. Returns false if it waits; otherwise f->outcome and f->count tell what came. Inline: a step is
 * to cost little more than the lua_resume in it. */
static inline bool resume(struct rille_fiber *f, lua_State *from) {
  struct rille *rt = f->rt;
  int count;
  int nargs = f->nargs;
  f->nargs = 0;
  f->state = RILLE_RUNNING;
  int nesting = rt->nesting++;
  lua_State *resumer = rt->running;
  rt->running = f->L;
  int status = lua_resume(f->L, from, nargs, &count);
  rt->running = resumer;
  f->ignored = f->inject != RILLE_INJECT_NOTHING;
  f->inject = RILLE_INJECT_NOTHING;
  rt->nesting = nesting; /* what it called in place may have been left by a yield or an error */
  if (status == LUA_YIELD) {
    if (rt->waiting) {
      f->state = RILLE_WAITING;
      return false;
    }
    f->state = RILLE_SUSPENDED;
    f->outcome = RILLE_ITEM;
    f->count = count;
  } else if (status == LUA_OK) {
    f->state = RILLE_DEAD;
    f->outcome = f->failed ? RILLE_FAILED : RILLE_DONE;
    f->count = count - 1; /* all but the record in the first slot */
  } else {
    /* Still at its yield: lua_resume would not start, and it is as it was but for the arguments. */
    f->state = lua_status(f->L) == LUA_YIELD ? RILLE_SUSPENDED : RILLE_DEAD;
    f->outcome = RILLE_FAILED;
    f->count = 1;
  }
  return true;
}

/* The step is over: f is nobody's. An item that came while a signal unwound the body means that the body
 * has kept the signal: the consumer's next wait raises it again. */
static inline void leave(struct rille_fiber *f) {
  if (f->outcome == RILLE_ITEM && f->rt->raises != f->raises && f->task != NULL)
    for (struct rille_scope *s = f->task->scope; s != NULL; s = s->outer)
      if (s->state == RILLE_UNWINDING && s->raised > f->raises) {
        s->state = RILLE_SWALLOWED;
        s->swallowed++;
      }
  f->consumer = NULL;
  f->task = NULL;
  f->mark = NULL;
  f->can_wait = false;
}

bool rille_fiber_may_nest(lua_State *L) { return rille_of(L)->nesting < NESTING_CAP; }

void rille_fiber_nest(lua_State *L, int nargs, lua_KContext ctx, lua_KFunction k) {
  struct rille *rt = rille_of(L);
  rt->nesting++;
  lua_callk(L, nargs, LUA_MULTRET, ctx, k);
  rt->nesting--;
}

/* Callers and k are left by jumps, not calls: after a yield's longjmp the processor predicts no return
 * right, and each frame on the way back to the consumer costs some nanoseconds. */
int rille_fiber_step(lua_State *L, struct rille_fiber *f, int nargs, bool can_wait, lua_KContext ctx,
                     lua_KFunction k) {
  struct rille_fiber *me = rille_fiber_of(L);
  struct rille *rt = me->rt;
  if (me->depth >= DEPTH_LIMIT && f->inject == RILLE_INJECT_NOTHING)
    luaL_error(L, "C stack overflow (coroutines nested %d deep)", DEPTH_LIMIT);
  if (nargs > 0) {
    if (!lua_checkstack(f->L, nargs))
      luaL_error(L, "too many arguments to resume");
    lua_xmove(L, f->L, nargs);
    f->nargs += nargs;
  }
  f->consumer = me;
  f->task = me->task;
  f->raises = rt->raises;
  f->mark = me->task != NULL ? me->task->scope : NULL;
  f->depth = me->depth + 1;
  f->can_wait = can_wait;
  if (rt->nesting < NESTING_CAP || !can_wait) {
    if (resume(f, L)) {
      leave(f);
      return k(L, LUA_OK, ctx);
    }
  } else {
    rt->handover = f;
    rt->waiting = true;
  }
  return lua_yieldk(L, 0, ctx, k);
}

int rille_fiber_take_over(lua_State *L, struct rille_fiber *f, lua_KContext ctx, lua_KFunction k) {
  struct rille_fiber *me = rille_fiber_of(L);
  struct rille_task *from = f->task;
  struct rille_fiber *leaf = from->leaf;
  struct rille_scope *mark = f->mark;
  for (struct rille_fiber *x = leaf;; x = x->consumer) {
    x->task = me->task;
    if (x->mark == mark)
      x->mark = me->task->scope;
    if (x == f)
      break;
  }
  from->leaf = f->consumer; /* innermost of what is left to it */
  me->task->leaf = leaf;
  rille_scope_move(me->task, from, mark);
  f->consumer->evicted = true;
  rille_fiber_ready(f->consumer);
  f->consumer = me;
  rille_task_interrupt(me->task);
  me->rt->waiting = true;
  return lua_yieldk(L, 0, ctx, k);
}

void rille_fiber_make_room(lua_State *L, struct rille_fiber *f) {
  if (lua_checkstack(L, f->count))
    return;
  lua_pop(f->L, f->count);
  f->count = 0;
  luaL_error(L, "too many results to resume");
}

int rille_fiber_push_top(lua_State *L, const struct rille_fiber *f, int n) {
  luaL_checkstack(L, n, "too many results");
  if (!lua_checkstack(f->L, n))
    return luaL_error(L, "too many results");
  int top = lua_gettop(f->L);
  for (int i = top - n + 1; i <= top; i++)
    lua_pushvalue(f->L, i);
  lua_xmove(f->L, L, n);
  return n;
}

bool rille_fiber_kill(lua_State *L, struct rille_fiber *f) {
  lua_State *co = f->L;
  if (co == NULL)
    return true;
  list_remove(&f->ready);
  f->consumer = NULL;
  f->state = RILLE_RUNNING;
  f->task = rille_fiber_of(L)->task;
  f->mark = f->task != NULL ? f->task->scope : NULL;
  f->can_wait = false; /* what <close> handlers run from here on cannot be parked */
  int status = lua_resetthread(co);
  f->state = RILLE_DEAD;
  f->L = NULL;
  f->count = 0;
  set_record(co, &f->rt->dead);
  if (status == LUA_OK)
    return true;
  if (lua_checkstack(L, 1))
    lua_xmove(co, L, 1);
  return false;
}

int rille_fiber_pass_error(lua_State *L, const char *how) {
  struct rille_fiber *f = rille_fiber_of(L);
  if (!rille_task_is_signal(L, f->task, -1))
    tell(L, lua_gettop(L), how);
  f->rt->passing = true; /* told already: the base handler need not */
  return lua_error(L);
}

int rille_fiber_raise_again(lua_State *L) {
  return rille_fiber_pass_error(L, rille_fault_has_story(L, -1) ? "raised again in" : NULL);
}

int rille_thread_resume(lua_State *L, lua_State *co, int nargs, int *count) {
  return lua_resume(co, L, nargs, count);
}

/* --- the loop's half --- */

/* Resumes f, then whoever waited for it, until the chain waits again or its root has ended. */
static void drive(struct rille_fiber *f) {
  struct rille *rt = f->rt;
  struct rille_task *task = f->task;
  rt->budget = STEP_BUDGET;
  for (;;) {
    if (!resume(f, rt->L)) {
      rt->waiting = false;
      f = rt->handover;
      rt->handover = NULL;
      if (task->killed) {
        rille_task_kill(task, "caught its cancellation too often and was killed");
        return;
      }
      if (f == NULL)
        return;
      continue;
    }
    if (f->consumer == NULL)
      break;
    struct rille_fiber *consumer = f->consumer;
    leave(f);
    f = consumer;
  }
  rille_task_finished(task);
}

/* The Task is kept meanwhile: it is told of when it may have ended. */
static void drive_watched(struct rille_fiber *f) {
  struct rille *rt = f->rt;
  rille_task_push(rt->L, f->task);
  rille_slow_begin(rt->slow);
  drive(f);
  rille_slow_end(rt->slow);
  lua_pop(rt->L, 1);
}

void rille_fiber_ready(struct rille_fiber *f) { list_append(&f->rt->ready, &f->ready); }

void rille_fiber_run_ready(struct rille *rt) {
  struct list batch;
  list_init(&batch);
  list_take(&batch, &rt->ready);
  while (!list_empty(&batch)) {
    struct list *first = batch.next;
    list_remove(first);
    struct rille_fiber *f = LIST_ENTRY(first, struct rille_fiber, ready);
    if (f->kind == RILLE_TASK && f->state == RILLE_CREATED && rille_task_is_cancelled(f->task) &&
        !f->task->must_begin)
      rille_task_finished(f->task);
    else if (rt->slow == NULL)
      drive(f);
    else
      drive_watched(f);
  }
}
