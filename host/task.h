/* task.h -- tasks, and the signals that end them.
 *
 * Model.  A task is a root coroutine and the chain of fibers that wait on its behalf. Scopes nest inside
 * a task: the task's own, and one for every generator that it is closing. Cancelling a scope sends a
 * signal: the wait in flight is aborted and the signal is raised there. From then on the scope is
 *   SIGNALLED   the signal is due at the next wait (or at the pending yield of a generator);
 *   UNWINDING   it was raised and nobody has caught it: <close> handlers run, and may wait;
 *   SWALLOWED   a pcall caught it: finalisers written with pcall run, but the next wait raises again.
 * A scope that is closing shields what runs in it from the scopes around it (R63, R71).
 *   How a pcall knows: every raise gets a number, and a scope keeps the number of its last. A protected
 * call that failed, and inside which an UNWINDING scope was raised, has swallowed it; it does not
 * matter what the error has been turned into on the way.
 *
 * Owner.  A live task is kept by an anchor in the registry until it ends. Its results, or its error,
 * stay on the stack of its coroutine, which the Task userdata keeps.
 *
 * Errors.  A task that fails while nobody awaits it ends the program with its trace, status 1. */
#ifndef RILLE_TASK_H
#define RILLE_TASK_H

#include "fiber.h"

enum rille_scope_state { RILLE_OPEN, RILLE_SIGNALLED, RILLE_UNWINDING, RILLE_SWALLOWED };

struct rille_scope {
  struct rille_scope *outer; /* the scope around it, in the same task */
  intptr_t raised;           /* number of its last raise */
  int swallowed;             /* how often a pcall has caught it */
  uint8_t state;
  bool shield;               /* signals of the scopes around it wait until it is left */
  void (*push_signal)(lua_State *L, struct rille_task *t); /* what it raises: pushes one value */
};

struct rille_task {
  struct rille_fiber fiber;
  struct rille_scope root;
  struct rille_scope *scope; /* innermost */
  struct rille_fiber *leaf;  /* the fiber of this task that waits for an op; NULL: none */
  struct list link;          /* in rt->tasks until it ends */
  struct list awaiters;      /* ops of those who wait for its end */
  int anchor;                /* in rt->anchors */
  int line;                  /* where it was spawned, in the function that is its user value */
  bool owned;                /* whoever spawned it looks after its error */
  bool cancelled;            /* ended by its own signal */
  bool exiting;              /* it called os.exit: no protected call keeps its signal */
  bool killed;               /* swallowed its signal SWALLOW_LIMIT times */
};

/* Spawns a task that calls the function under its `nargs` arguments on top of L. Pops them, pushes the
 * Task. It is queued, not run. */
struct rille_task *rille_task_spawn(lua_State *L, int nargs, bool owned);

/* Names the Task on top of L: the string at `name`. */
void rille_task_set_name(lua_State *L, int task, int name);

/* Sends the task its signal. Idempotent; nothing happens to one that has ended. C only. */
void rille_task_cancel(struct rille_task *t);

/* True once the task was sent its signal. */
bool rille_task_is_cancelled(const struct rille_task *t);

/* The root fiber has ended, or need not begin: its outcome is on its stack. Wakes who awaits it. */
void rille_task_finished(struct rille_task *t);

/* Ends a task that goes on swallowing its signal, or that outlived the end of the program: each of its
 * coroutines is reset, the innermost first, and its <close> variables run without waiting. */
void rille_task_kill(struct rille_task *t);

/* Enters and leaves a scope of task t. A scope is left in the order opposite to that of entering. */
void rille_scope_enter(struct rille_task *t, struct rille_scope *s);
void rille_scope_leave(struct rille_task *t, struct rille_scope *s);

/* Moves the scopes that `from` has entered since `mark` to t, inside of what t has entered. */
void rille_scope_move(struct rille_task *t, struct rille_task *from, struct rille_scope *mark);

/* Aborts the wait in flight if a signal is due. C only. */
void rille_task_interrupt(struct rille_task *t);

/* Raises the due signal of the outermost scope that has one and is not shielded; returns if none is. */
void rille_task_check(lua_State *L, struct rille_task *t);

/* A protected call of L that began when rt->raises was `before` has failed with the error on top: marks
 * what it swallowed. Raises the error again if the task is exiting. */
void rille_task_caught(lua_State *L, intptr_t before);

/* True if the value at `index` is a signal sent to task t (NULL: no task), not an error to tell of. */
bool rille_task_is_signal(lua_State *L, struct rille_task *t, int index);

/* The script raises the value at `index` again: if it is a signal that a pcall had caught, the task
 * unwinds as if it had not been. */
void rille_task_raised_again(lua_State *L, struct rille_task *t, int index);

/* Pushes "task 'main'". */
void rille_task_push_name(lua_State *L, struct rille_task *t);

/* Prints, for every live task, what it waits for and its stack. */
void rille_task_report(struct rille *rt, const char *title);

int luaopen_rille_task(lua_State *L);

#endif
