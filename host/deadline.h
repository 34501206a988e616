/* deadline.h -- what is due when, and what time it is.
 *
 * Model.  A timeline is a clock with a heap of deadlines and one uv_timer_t, so that a deadline costs no
 * handle, stops at once, and fires in the order of its time, first come first served among equals. A
 * runtime has two: `time`, in which scripts live, and `real`, for what the world outside sees (how long a
 * client may take to send its request).
 *   Clocks run. That of `time` can be made virtual (clock.c): its hands then stand still, but for jumps to
 * the earliest deadline, and for the time that the loop really waits. A timer of libuv that was set by
 * standing hands fires too early, never too late, and is then set again: the hands alone decide what is due.
 * When the hands go on, they go on from where they stand: a clock never goes back.
 *
 * Owner.  The runtime owns the heaps; a deadline is embedded in whoever waits for it, who takes it out
 * before its memory goes.
 *
 * Errors.  rille_deadline_start returns false when out of memory; nothing raises. C only. */
#ifndef RILLE_DEADLINE_H
#define RILLE_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

struct rille;

struct rille_deadline {
  double at;           /* on the scale of its timeline */
  uint64_t sequence;   /* order among equals */
  uint32_t index;      /* place in the heap, from 1; 0: not in it */
  bool real;           /* of the timeline rt->real; set before it starts */
  void (*due)(struct rille_deadline *d); /* C only; the deadline is out of the heap by then */
};

struct rille_timeline {
  struct rille_deadline **heap; /* heap[1 .. count] */
  uint32_t count;
  uint32_t size;
  uint64_t sequence;
  uv_timer_t timer;
  bool standing;    /* the hands stand */
  double hands;     /* where, while they stand */
  double ahead;     /* of the system's monotonic clock, while they run */
};

void rille_timeline_init(struct rille_timeline *t, uv_loop_t *loop);
/* Closes the handle; the loop must run until libuv has let go of it. */
void rille_timeline_close(struct rille_timeline *t);
/* Frees the heap, once nobody is left who could start a deadline. */
void rille_timeline_free(struct rille_timeline *t);

/* Stops the hands; lets them go on from where they stand. */
void rille_timeline_halt(struct rille_timeline *t);
void rille_timeline_run(struct rille_timeline *t);

/* Moves standing hands to the earliest deadline, and fires what is due then. False if there is none. */
bool rille_timeline_jump(struct rille_timeline *t);

/* Seconds, monotonic, of rt->time. */
double rille_now(struct rille *rt);

/* Puts d into its heap, due in `seconds`. Returns false when out of memory. */
bool rille_deadline_start(struct rille *rt, struct rille_deadline *d, double seconds);
/* Takes d out of the heap, if it is there. */
void rille_deadline_stop(struct rille *rt, struct rille_deadline *d);

#endif
