/* task.h -- tasks.
 *
 * Model.  A task is a root coroutine and the chain of fibers that wait on its behalf. The scopes that are
 * open in it (scope.h) nest; the outermost is its own, which task:cancel signals.
 *
 * Owner.  A live task is kept by an anchor in the registry until it ends. Its results, or its error,
 * stay on the stack of its coroutine, which the Task userdata keeps.
 *
 * A daemon is a task that does not keep the program alive: a stream's own. When only daemons are left they
 * are cancelled, as what is left of the program is.
 *
 * Errors.  A task that fails while nobody awaits it ends the program with its trace, status 1; or its error
 * is taken by the runner of specs. */
#ifndef RILLE_TASK_H
#define RILLE_TASK_H

#include "deadline.h"
#include "fiber.h"
#include "runtime.h"
#include "scope.h"

/* A wait for a deadline (timer.c). */
struct rille_sleep {
  struct rille_op op;
  struct rille_deadline deadline;
};

struct rille_task {
  struct rille_fiber fiber;
  struct rille_scope root;
  struct rille_scope *scope; /* innermost */
  struct rille_fiber *leaf;  /* the fiber of this task that waits for an op; NULL: none */
  struct list link;          /* in rt->tasks until it ends */
  struct list awaiters;      /* ops of those who wait for its end */
  struct rille_sleep sleep;  /* of its root fiber, which so allocates nothing to sleep */
  int anchor;                /* in rt->anchors */
  int parent;                /* anchor of the task that spawned it; LUA_NOREF: the host did */
  uint32_t number;           /* in the order of spawning */
  /* Packed: a sleeping task costs what is in here. */
  int line : 26;             /* where it was spawned, in the function that is its user value */
  bool owned : 1;            /* whoever spawned it looks after its error */
  bool daemon : 1;           /* it does not keep the program alive */
  bool cancelled : 1;        /* ended by its own signal */
  bool exiting : 1;          /* it called os.exit: no protected call keeps its signal */
  bool killed : 1;           /* swallowed its signal SWALLOW_LIMIT times */
  bool must_begin : 1;       /* its first step is taken even if it was cancelled before */
};

/* Spawns a task that calls the function under its `nargs` arguments on top of L. Pops them, pushes the
 * Task. It is queued, not run. */
struct rille_task *rille_task_spawn(lua_State *L, int nargs, bool owned);

/* The task does not keep the program alive. Once for each. */
void rille_task_make_daemon(struct rille_task *t);

/* A wait for the end of a task: an op on the waiter's stack, or the first member of one. */
struct rille_join {
  struct rille_op op;
  struct rille_task *task;
  struct list link;               /* in the task's awaiters */
  struct rille_deadline deadline; /* not in the heap if it waits without limit */
  struct rille *rt;
  bool outcome; /* it waits for the outcome too, and so looks after a failure */
};

/* Has the op, which is initialised, done when t has ended, or in so many seconds (below 0: no limit).
 * Returns false when out of memory. C only. */
bool rille_task_join(struct rille_task *t, struct rille_join *j, double seconds);

/* `abort` of its class: takes the wait back. */
void rille_task_join_abort(struct rille_op *op);

/* Pushes the results of the Task at `index`, which has ended, and returns how many; or raises its error. */
int rille_task_push_results(lua_State *L, int index);

/* The Task at argument `arg`; raises if it is none. */
struct rille_task *rille_task_check_arg(lua_State *L, int arg);

/* Names the Task at index `task` of L: the string at `name`. */
void rille_task_set_name(lua_State *L, int task, int name);

/* Tells that the Task at index `task` was spawned by the host, not by the running task. */
void rille_task_disown(lua_State *L, int task);

/* Sends the task its signal. Idempotent; nothing happens to one that has ended. C only. */
void rille_task_cancel(struct rille_task *t);

/* True once the task was sent its signal. */
bool rille_task_is_cancelled(const struct rille_task *t);

/* The root fiber has ended, or need not begin: its outcome is on its stack. Wakes who awaits it. */
void rille_task_finished(struct rille_task *t);

/* Ends a task that goes on swallowing its signal, or that outlived the end of the program: each of its
 * coroutines is reset, the innermost first, and its <close> variables run without waiting. A warning says
 * `why`: "took too long to end and was killed". */
void rille_task_kill(struct rille_task *t, const char *why);

/* Pushes the Task of a task that has not ended. */
void rille_task_push(lua_State *L, struct rille_task *t);

/* The task whose end the op waits for; NULL if it waits for something else. */
struct rille_task *rille_task_awaited(const struct rille_op *op);

/* Pushes "task 'main'". */
void rille_task_push_name(lua_State *L, struct rille_task *t);

/* "ready" "running" "waiting" "done" "failed" "cancelled" */
const char *rille_task_status(const struct rille_task *t);

/* Pushes "file:line", where the task was spawned, or nil: the host did. */
void rille_task_push_birthplace(lua_State *L, struct rille_task *t);

/* Pushes "task 'x' spawned at file:line by task 'main'", or nil: the host did. */
void rille_task_push_origin(lua_State *L, struct rille_task *t);

/* The task that spawned t; NULL if that has ended, or if the host did. */
struct rille_task *rille_task_parent(lua_State *L, const struct rille_task *t);

/* The fiber that waits for the end of t, whatever happens to it: it opened the group of t, or takes the steps
 * of the stream that t belongs to. NULL: none. */
struct rille_fiber *rille_task_keeper(lua_State *L, struct rille_task *t);

int luaopen_rille_task(lua_State *L);

#endif
