/* deadline.c -- timelines: a binary heap of deadlines, heap[1] the earliest, and its clock. The model is
 * told in deadline.h.
 * Owner:  told there.
 * Errors: told there. */
#include "deadline.h"

#include <math.h>
#include <stdlib.h>

#include "runtime.h"

/* --- the clock --- */

static double system_now(void) { return (double)uv_hrtime() / 1e9; }

static double now(const struct rille_timeline *t) {
  return t->standing ? t->hands : system_now() + t->ahead;
}

double rille_now(struct rille *rt) { return now(&rt->time); }

/* The hands stop at a multiple of a small power of two, so that whole seconds add up without rounding. */
void rille_timeline_halt(struct rille_timeline *t) {
  const double steps = 1 << 20; /* a second */
  t->hands = ceil(now(t) * steps) / steps;
  t->standing = true;
}

void rille_timeline_run(struct rille_timeline *t) {
  t->ahead = now(t) - system_now();
  t->standing = false;
}

/* --- the heap --- */

static bool before(const struct rille_deadline *a, const struct rille_deadline *b) {
  return a->at < b->at || (a->at == b->at && a->sequence < b->sequence);
}

static void place(struct rille_timeline *t, uint32_t i, struct rille_deadline *d) {
  t->heap[i] = d;
  d->index = i;
}

/* Puts d where it belongs, starting from the free place i. */
static void sift(struct rille_timeline *t, uint32_t i, struct rille_deadline *d) {
  while (i > 1 && before(d, t->heap[i / 2])) {
    place(t, i, t->heap[i / 2]);
    i /= 2;
  }
  for (uint32_t child = 2 * i; child <= t->count; child = 2 * i) {
    if (child < t->count && before(t->heap[child + 1], t->heap[child]))
      child++;
    if (!before(t->heap[child], d))
      break;
    place(t, i, t->heap[child]);
    i = child;
  }
  place(t, i, d);
}

static void take_out(struct rille_timeline *t, struct rille_deadline *d) {
  struct rille_deadline *last = t->heap[t->count--];
  if (last != d)
    sift(t, d->index, last);
  d->index = 0;
}

/* --- firing --- */

static void on_timer(uv_timer_t *timer);

/* Sets the timer to the earliest deadline. libuv counts in whole milliseconds: round up. */
static void arm(struct rille_timeline *t) {
  if (t->count == 0) {
    (void)uv_timer_stop(&t->timer);
    return;
  }
  double left = ceil((t->heap[1]->at - now(t)) * 1000);
  uv_update_time(t->timer.loop);
  (void)uv_timer_start(&t->timer, on_timer, left > 0 ? (uint64_t)left : 0, 0);
}

static void fire(struct rille_timeline *t) {
  double time = now(t);
  uint64_t sequence = t->sequence; /* what is started in here waits for its own turn */
  while (t->count > 0 && t->heap[1]->at <= time && t->heap[1]->sequence < sequence) {
    struct rille_deadline *d = t->heap[1];
    take_out(t, d);
    d->due(d);
  }
  arm(t);
}

static void on_timer(uv_timer_t *timer) { fire(timer->data); }

bool rille_timeline_jump(struct rille_timeline *t) {
  if (t->count == 0)
    return false;
  if (t->heap[1]->at > t->hands)
    t->hands = t->heap[1]->at;
  fire(t);
  return true;
}

/* --- deadlines --- */

static struct rille_timeline *timeline_of(struct rille *rt, const struct rille_deadline *d) {
  return d->real ? &rt->real : &rt->time;
}

bool rille_deadline_start(struct rille *rt, struct rille_deadline *d, double seconds) {
  struct rille_timeline *t = timeline_of(rt, d);
  rille_deadline_stop(rt, d);
  if (t->count + 2 > t->size) {
    uint32_t size = t->size == 0 ? 64 : t->size * 2;
    void *heap = realloc(t->heap, size * sizeof *t->heap);
    if (heap == NULL)
      return false;
    t->heap = heap;
    t->size = size;
  }
  d->at = now(t) + seconds;
  d->sequence = t->sequence++;
  t->count++;
  sift(t, t->count, d);
  if (d->index == 1)
    arm(t);
  return true;
}

void rille_deadline_stop(struct rille *rt, struct rille_deadline *d) {
  if (d->index == 0)
    return;
  struct rille_timeline *t = timeline_of(rt, d);
  bool first = d->index == 1;
  take_out(t, d);
  if (first)
    arm(t);
}

/* --- set up --- */

void rille_timeline_init(struct rille_timeline *t, uv_loop_t *loop) {
  (void)uv_timer_init(loop, &t->timer);
  t->timer.data = t;
}

void rille_timeline_close(struct rille_timeline *t) { uv_close((uv_handle_t *)&t->timer, NULL); }

void rille_timeline_free(struct rille_timeline *t) { free(t->heap); }
