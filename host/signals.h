/* signals.h -- what the system tells the program: SIGINT and SIGTERM end it, SIGUSR1 asks for its tasks.
 * Model:  the first SIGINT or SIGTERM cancels every task, when the loop comes to see it; its disposition is
 *         then the default, so that a second one ends the program at once. If the loop does not, because the
 *         script computes, the kernel sends that second one when the time is over that cleanup may take; and
 *         after twice that time if cleanup computes. SIGUSR1 sets a flag that the loop looks at.
 * Owner:  struct rille has the watchers of libuv; the timers are the process's, as signals are.
 * Errors: none; what the system refuses is not there. */
#ifndef RILLE_SIGNALS_H
#define RILLE_SIGNALS_H

#include <stdbool.h>

#include <uv.h>

struct rille;

struct rille_signals {
  uv_signal_t interrupt, terminate, inquire;
};

/* The loop is initialised. */
void rille_signals_open(struct rille *rt);
void rille_signals_close(struct rille *rt);

/* SIGINT ends the program, as at the start; or is left to another handler. */
void rille_signals_take_interrupt(struct rille *rt, bool on);

#endif
