/* runtime.h -- one Lua state on one libuv loop: what ties them, runs them and takes them down.
 *
 * Model.  The loop is the host's own: run what is ready, then let libuv poll (without waiting if more
 * is ready), until nothing is alive. Standard output is flushed before every poll that may block, so
 * nothing printed stays behind while the program waits.
 *   While a virtual clock is open (clock.c) and no op waits for the world outside, time does not pass: it
 * jumps to the earliest deadline (deadline.h).
 *
 * Owner.  rille_new makes the state and the loop, rille_close takes both down, in this order: daemons
 * cancelled and joined, generators closed (both within RILLE_CLEANUP_SECONDS), lua_close (finalisers close
 * what bindings hold), the loop run until its last close callback, the loop closed.
 *
 * Errors.  rille_new returns NULL when out of memory. The program's exit status is kept in rt->status. */
#ifndef RILLE_RUNTIME_H
#define RILLE_RUNTIME_H

#include <uv.h>

#include "deadline.h"
#include "fiber.h"
#include "list.h"
#include "signals.h"

/* The terminal of a REPL (repl.c). */
struct rille_console {
  void (*hide)(struct rille_console *c);  /* something will be written: takes the prompt away; C only */
  void (*flush)(struct rille_console *c); /* between two turns: what was printed goes out; runs Lua */
};

enum { RILLE_CLEANUP_SECONDS = 5 }; /* that tasks may take to end once the program was told to */

struct rille {
  uv_loop_t loop;
  lua_State *L;              /* the main thread: runs no script, only the loop's own work */
  struct rille_fiber outside; /* record of the main thread and of threads made elsewhere */
  struct rille_fiber dead;    /* record of coroutines that were killed */
  struct list ready;
  struct list generators;     /* those that have begun and not ended, the first to begin first */
  struct list leftovers;      /* those that the end of the program closes, in that order */
  uint32_t batches;           /* of leftovers so far */
  bool (*at_end)(struct rille *rt); /* called when no task is left; true: look again; or NULL */
  struct list tasks;          /* every task that has not ended */
  uint32_t task_count;
  uint32_t daemon_count;      /* those among them that do not keep the program alive */
  int anchors;                /* registry reference of the table that keeps live tasks */
  bool waiting;               /* the yield under way is a wait (told beside the values, R12) */
  bool passing;               /* the error being raised came from another coroutine */
  struct rille_fiber *handover; /* the fiber to step next, flat */
  int nesting;                /* nested lua_resume calls now */
  int budget;                 /* steps without a wait left in this turn (R27) */
  intptr_t raises;            /* signals raised so far: tells pcall what was raised inside it */
  uv_prepare_t prepare;       /* keeps libuv from blocking when its timers have made a fiber ready */
  struct rille_timeline time; /* in which scripts live; virtual while a clock is open */
  struct rille_timeline real; /* of what the world outside sees */
  const char *clock;          /* where the virtual clock that is open was opened; NULL: none is */
  uint32_t external;          /* ops that are parked and wait for the world outside */
  struct rille_signals signals;
  struct rille_deadline cleanup; /* how long tasks may take to end once the program was told to */
  int status;                 /* exit status */
  uint32_t task_number;       /* tasks spawned so far */
  struct rille_console *console; /* of the REPL while there is one, or NULL */
  lua_State *running;         /* the innermost coroutine that runs, or NULL */
  bool inquired;              /* the tree is to be printed */
  struct rille_slow *slow;    /* watches steps that take long (slow.h), or NULL */
  bool watching;              /* what is opened is noted (leak.h) */
  bool debugging;             /* RILLE_DEBUG: what is left open is told of, and what was never used */
  bool strict;                /* warnings are errors of the program (strict.h) */
  bool warning;               /* a warning has begun, more of it is to come */
  bool stopping;              /* the program was told to end */
  const char *why;            /* by what, such as "SIGINT": the reason of its tasks' signals */
  bool overdue;               /* and some task did not, in time */
  bool closing;               /* lua_close is under way */
};

/* Makes a runtime with Lua's standard libraries. NULL when out of memory. */
struct rille *rille_new(void);

/* Runs until nothing is alive. */
void rille_run(struct rille *rt);

/* What was printed so far goes to standard output now, before something else is written. */
void rille_flush(struct rille *rt);

/* The last of what was printed goes out. Returns the exit status, which is not 0 if some of it did not. */
int rille_finish_output(int status);

/* Cancels every task, for the reason `why`; rille_run returns `status` when they have ended, or after
 * RILLE_CLEANUP_SECONDS. The first call counts. C only. */
void rille_stop(struct rille *rt, int status, const char *why);

/* Takes it down. Returns the exit status: a finaliser may have changed it. */
int rille_close(struct rille *rt);

#endif
