/* scope.h -- scopes of cancellation, and the signals that end them.
 *
 * Model.  Scopes nest inside a task: the task's own, one for every generator that it is closing, one for
 * every time-out, group, race and shield. Cancelling a scope sends a signal: the wait in flight is aborted
 * and the signal is raised there. From then on the scope is
 *   SIGNALLED   the signal is due at the next wait (or at the pending yield of a generator);
 *   UNWINDING   it was raised and nobody has caught it: <close> handlers run, and may wait;
 *   SWALLOWED   a pcall caught it: finalisers written with pcall run, but the next wait raises again.
 * A scope with a shield, and one that is UNWINDING, keeps what runs in it from the signals of the scopes
 * around it (R63, R71).
 *   How a pcall knows: every raise gets a number, and a scope keeps the number of its last. A protected
 * call that failed, and inside which an UNWINDING scope was raised, has swallowed it; it does not
 * matter what the error has been turned into on the way.
 *   A scope that a coroutine opened must be closed before that coroutine yields (R72, R73): its signal
 * could strike in the consumer. A fiber notes the innermost scope when its step begins (fiber.h, mark).
 *
 * Owner.  A scope is embedded in whoever opened it and must outlive its place in the stack. If its task is
 * killed, or ends before it is left (who leaves it may be of another task by then), `drop` is told so.
 *
 * Errors.  The signal is an error like any other on its way; whoever sent it takes it back. */
#ifndef RILLE_SCOPE_H
#define RILLE_SCOPE_H

#include "fiber.h"

enum rille_scope_state { RILLE_OPEN, RILLE_SIGNALLED, RILLE_UNWINDING, RILLE_SWALLOWED };

enum { RILLE_SWALLOW_LIMIT = 100 }; /* a signal is caught so often at most; then the task is killed (R66) */

struct rille_scope {
  struct rille_task *task;   /* that it is open in */
  struct rille_scope *outer; /* the scope around it, in the same task */
  intptr_t raised;           /* number of its last raise; 0: it was not raised */
  int swallowed;             /* how often a pcall has caught it */
  uint8_t state;
  bool shield;               /* signals of the scopes around it wait until it is left */
  bool ends;                 /* past the limit no pcall keeps its signal, and the task lives on (R66) */
  const char *opened;        /* "rille.timeout opened at file:line", for messages; or NULL */
  void (*push_signal)(lua_State *L, struct rille_task *t, struct rille_scope *s); /* pushes one value */
  void (*drop)(struct rille_scope *s); /* its task has ended; raises nothing; or NULL */
};

/* Enters a scope of task t, and leaves it in the task that it is in by then. */
void rille_scope_enter(struct rille_task *t, struct rille_scope *s);
void rille_scope_leave(struct rille_scope *s);

/* Moves the scopes that `from` has entered since `mark` to t, inside of what t has entered. */
void rille_scope_move(struct rille_task *t, struct rille_task *from, struct rille_scope *mark);

/* Empties the stack of a task that ends, but for the task's own scope. */
void rille_scope_drop_all(struct rille_task *t);

/* Aborts the wait in flight if a signal is due. C only. */
void rille_task_interrupt(struct rille_task *t);

/* Raises the due signal of the outermost scope that has one and is not shielded; returns if none is. `what`
 * is waited for, for the story of the signal; NULL at a yield. */
void rille_task_check(lua_State *L, struct rille_task *t, const char *what);

/* A protected call of L that began when rt->raises was `before` has failed with the error on top: marks
 * what it swallowed. Raises the error again if the task is exiting, or if a scope that `ends` had enough. */
void rille_task_caught(lua_State *L, intptr_t before);

/* True if the value at `index` is a signal sent to task t (NULL: no task), not an error to tell of. */
bool rille_task_is_signal(lua_State *L, struct rille_task *t, int index);

/* The script raises the value at `index` again: if it is a signal that a pcall had caught, the task
 * unwinds as if it had not been. */
void rille_task_raised_again(lua_State *L, struct rille_task *t, int index);

#endif
