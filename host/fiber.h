/* fiber.h -- coroutines that can yield items and wait, and the one place that resumes them.
 *
 * Model.  A fiber is the record of a coroutine that the host made; lua_getextraspace leads to it in
 * O(1). A fiber leaves the processor in two ways: it *yields* (coroutine.yield: the values are an item
 * for its consumer) or it *waits* (rille_op_park: for a timer, a transfer, another fiber). Which of the
 * two is told by a flag beside the values, never by the values.
 *   While a producer answers at once, a step is one nested lua_resume. When the producer waits, its
 * consumer is parked too, and so on down to the loop. When the op is done the loop resumes the
 * innermost fiber; once that yields, ends or fails, its parked consumer is resumed, in a loop and
 * never by recursion. A wait costs the same at any depth. Past NESTING_CAP nested resumes a step is
 * handed over flat, so that the depth of a chain is bounded by memory (and DEPTH_LIMIT), not by the C
 * stack.
 *
 * Waiting, for a binding.  In this order:
 *   1. check arguments, then rille_check_wait(L): both may raise, nothing has started yet;
 *   2. allocate whatever the op needs (may raise), rille_op_init;
 *   3. start the op. A start that fails stores its status and calls rille_op_done: one path out;
 *   4. return rille_op_park(L, op).
 * The library's callback (on_*) stores its result in the op and calls rille_op_done(op): C only, no
 * Lua. The fiber then runs the op's `finish` on its own stack, where Lua may raise; the stack is as the
 * function left it at the park. If the wait is cancelled, `abort` is called at once (C only, it may run
 * inside anything) and must leave nothing behind that could still touch the op; the signal is then
 * raised where the fiber waited. An op that is already done is never aborted: what was handed over is
 * delivered, and the signal strikes at the next wait (rule R69).
 *
 * Owner.  A record lives in a userdata in the first slot of its coroutine's stack: it lives as long as
 * the coroutine. A parked fiber is kept by its consumer's stack, the root of the chain by its task's
 * anchor (task.h). An op belongs to the binding; a userdata on the waiter's stack lives long enough.
 *
 * Errors.  rille_check_wait raises when nobody could resume the caller: across a C call that cannot
 * yield (it names it), on a coroutine that the host did not make, on the main thread. */
#ifndef RILLE_FIBER_H
#define RILLE_FIBER_H

#include <stdbool.h>
#include <stdint.h>

#include <lauxlib.h>
#include <lua.h>

#include "list.h"

struct rille;
struct rille_task;
struct rille_op;
struct rille_scope;

enum rille_fiber_kind {
  RILLE_OUTSIDE,   /* the main thread's record, and that of threads which the host did not make */
  RILLE_COROUTINE, /* coroutine.create, coroutine.wrap */
  RILLE_GENERATOR, /* rille.generator */
  RILLE_TASK       /* the root of a task */
};

enum rille_fiber_state {
  RILLE_CREATED,   /* has not run yet */
  RILLE_SUSPENDED, /* at a yield */
  RILLE_RUNNING,   /* on the C stack: running, or it resumed one that runs */
  RILLE_WAITING,   /* parked: for an op, or for a fiber that it resumed */
  RILLE_DEAD       /* ended, failed or killed */
};

enum rille_inject {
  RILLE_INJECT_NOTHING,
  RILLE_INJECT_SIGNAL, /* the due signal of the task that resumes it */
  RILLE_INJECT_ERROR   /* the last value that it is resumed with */
};

enum rille_outcome { RILLE_ITEM, RILLE_DONE, RILLE_FAILED };

struct rille_fiber {
  lua_State *L;                 /* NULL once killed */
  struct rille *rt;
  struct rille_task *task;      /* on whose behalf it runs; set by every step */
  struct rille_fiber *consumer; /* who gets the next item; NULL at a root and between steps */
  struct rille_op *op;          /* what it waits for; NULL when that is another fiber */
  struct list ready;            /* in rt->ready while queued */
  int count;                    /* values of the last step, on top of L */
  int nargs;                    /* arguments on top of L for a step that was handed over */
  struct rille_scope *mark;     /* innermost scope of the task when the step under way began */
  uint32_t depth;               /* consumers below it */
  uint8_t kind;
  uint8_t state;
  uint8_t outcome;              /* of the last step */
  bool can_wait;                /* every consumer down to the root can be parked */
  bool failed;                  /* the base call ended with an error */
  uint8_t inject;               /* what the next resume raises at the pending yield */
  bool ignored;                 /* the last step did not raise what it was to inject */
  bool evicted;                 /* it waited for a fiber that another task has taken over */
  intptr_t raises;              /* rt->raises when the step began */
};

struct rille_op_class {
  const char *name;                               /* what a report calls it: "sleep", "http.get" */
  void (*abort)(struct rille_op *op);             /* stop; C only */
  int (*finish)(lua_State *L, struct rille_op *op); /* push results or raise; on the waiter's stack */
  bool external; /* what it waits for comes from outside of the program: virtual time does not jump over it */
};

struct rille_op {
  const struct rille_op_class *class;
  const char *name;          /* what a report calls it: the class's, unless the binding knows better */
  struct rille_fiber *fiber; /* who waits; NULL before the park and after */
  bool done;                 /* handed over: queued, or about to be */
  bool aborted;              /* done because of a signal */
  uint32_t since;            /* when it was parked: the loop's milliseconds */
};

/* The record of L's coroutine; the main thread's for one the host did not make. Never NULL. A new thread's
 * extra space is a copy of the main thread's, so a thread that the host did not make leads to
 * rt->outside. Here, as each step asks a few times. */
static inline struct rille_fiber *rille_fiber_of(lua_State *L) {
  return *(struct rille_fiber **)lua_getextraspace(L);
}

/* The runtime that L belongs to. */
static inline struct rille *rille_of(lua_State *L) { return rille_fiber_of(L)->rt; }

/* True if L is a coroutine of the host's (dead ones included). */
static inline bool rille_fiber_owns(lua_State *L) {
  return rille_fiber_of(L)->kind != RILLE_OUTSIDE;
}

/* True if L may be parked: it and every consumer down to the root, with no C call in between. */
static inline bool rille_fiber_can_wait(lua_State *L) {
  return rille_fiber_of(L)->can_wait && lua_isyieldable(L);
}

/* Raises unless L may wait now; raises the pending signal of a cancelled task. `what` names the
 * caller in the message: "http.get". Nothing may have been started. */
void rille_check_wait(lua_State *L, const char *what);

/* Raises if L cannot yield an item here: across a C call, which it names, or out of a scope that its
 * coroutine has opened, which would stay open around the consumer (R72, R73). */
void rille_check_yield(lua_State *L);

void rille_op_init(struct rille_op *op, const struct rille_op_class *class);

/* Parks L's fiber until rille_op_done: `return rille_op_park(L, op);`. Does not return. */
int rille_op_park(lua_State *L, struct rille_op *op);

/* The op has its result: its waiter, if it has one, is queued. Idempotent. C only. */
void rille_op_done(struct rille_op *op);

/* Aborts a wait that is still pending, so that its fiber raises its task's signal. C only. */
void rille_op_interrupt(struct rille_op *op);

/* The waiter of op is killed: aborts a wait that is still pending, and parts the two. C only. */
void rille_op_abandon(struct rille_op *op);

/* Makes a fiber: a new coroutine and, in its first slot, a userdata of `size` bytes that begins with a
 * struct rille_fiber, with `nuvalue` user values. Pushes the userdata, then the coroutine. */
struct rille_fiber *rille_fiber_new(lua_State *L, size_t size, int nuvalue, enum rille_fiber_kind kind);

/* The message handler of a base call, or with an upvalue of a call inside it: keeps the story of the error,
 * attaches the one that it replaces, returns it untouched. */
int rille_fiber_on_error(lua_State *L);

/* Moves a function and its `nargs` arguments from the top of L to the new fiber f. Pops them.
 * With `guarded`, the body runs under a base call that keeps its error's story (fault.h). */
void rille_fiber_load(lua_State *L, struct rille_fiber *f, int nargs, bool guarded);

/* One step of f on behalf of L; takes `nargs` values from the top of L. `can_wait` is what
 * rille_fiber_can_wait(L) says: most callers have asked. Raises if the chain is too deep; never for a step
 * that injects a signal and has no arguments. Ends with k(L, status, ctx), at once or once L was parked and
 * the step is over: `return rille_fiber_step(...);`. There f->outcome tells, and f->count values are on
 * top of f->L: fetch them with rille_fiber_take. */
int rille_fiber_step(lua_State *L, struct rille_fiber *f, int nargs, bool can_wait, lua_KContext ctx,
                     lua_KFunction k);

/* lua_callk, for any number of results, that counts as a nested step; and whether one more may be taken. */
void rille_fiber_nest(lua_State *L, int nargs, lua_KContext ctx, lua_KFunction k);
bool rille_fiber_may_nest(lua_State *L);

/* Takes over a step that is under way: f waits on behalf of another task. L becomes its consumer, parks,
 * and continues with k when the step is over. Scopes entered since the step began move to L's task. Who
 * waited for f is resumed, `evicted`. The caller has called rille_check_wait; nothing raises. */
int rille_fiber_take_over(lua_State *L, struct rille_fiber *f, lua_KContext ctx, lua_KFunction k);

/* Makes room on L for the values of f's last step, or drops them and raises "too many results". */
void rille_fiber_make_room(lua_State *L, struct rille_fiber *f);

/* Moves the values of f's last step to L, returns how many. May raise. */
static inline int rille_fiber_take(lua_State *L, struct rille_fiber *f) {
  int n = f->count;
  if (n > LUA_MINSTACK / 2) /* fewer fit: a C function has LUA_MINSTACK */
    rille_fiber_make_room(L, f);
  lua_xmove(f->L, L, n);
  f->count = 0;
  return n;
}

/* Pushes copies of the n values on top of f's coroutine, and returns n. */
int rille_fiber_push_top(lua_State *L, const struct rille_fiber *f, int n);

/* Ends f's coroutine where it stands, with lua_resetthread: its <close> variables run now and cannot
 * wait. Returns false, with the error pushed on L, if one of them failed. */
bool rille_fiber_kill(lua_State *L, struct rille_fiber *f);

/* lua_error for the error on top, which comes from another coroutine: its story goes on here (fault.h).
 * `how`: "advanced by", "awaited by". */
int rille_fiber_pass_error(lua_State *L, const char *how);

/* lua_error for the error on top, which a protected call has caught: its story goes on, of a string too. */
int rille_fiber_raise_again(lua_State *L);

/* lua_resume for a coroutine that the host did not make: whoever made it resumes it as Lua does. */
int rille_thread_resume(lua_State *L, lua_State *co, int nargs, int *count);

/* Queues a fiber that is created or parked, to be resumed in the next turn. C only. */
void rille_fiber_ready(struct rille_fiber *f);

/* Resumes every fiber that was ready when called, in order. The loop's half of the mechanism. */
void rille_fiber_run_ready(struct rille *rt);

#endif
