/* slow.h -- RILLE_DEBUG: tasks that run for long without waiting, and so keep all others from running.
 * Model:  a step is what a task does from when the loop resumes it until it waits or ends. It is slow from a
 *         tenth of a second on. A timer sends a signal then, to the loop's thread; the handler may do little:
 *         it sets a hook in the coroutine that runs, as that of lua.c does. The hook looks at the stack, as
 *         Lua may be asked. While a C function runs no hook is called: its return is the first to call one.
 *           The step is told of when it is over, or after a second, once for each place. It is a report and
 *         no warning: whether a step is slow depends on the machine, so it fails no strict program.
 * Owner:  struct rille has the watch, if the environment asks for it, else NULL, and then nothing costs more
 *         than a look at that. The hook that a script has set is kept and given back.
 * Errors: what cannot be told, for want of memory, is not. */
#ifndef RILLE_SLOW_H
#define RILLE_SLOW_H

#include "runtime.h"

struct rille_slow;

/* Steps are watched from here on. NULL, and a line on stderr, if that is not possible. One in a process. */
struct rille_slow *rille_slow_open(struct rille *rt);

/* A step begins, and ends; the Task is on top of the main thread's stack. */
void rille_slow_begin(struct rille_slow *s);
void rille_slow_end(struct rille_slow *s);

/* Tells what was not told of yet, when the program is over. */
void rille_slow_summary(struct rille_slow *s);

/* Steps are watched no more. NULL is fine. */
void rille_slow_close(struct rille_slow *s);

#endif
