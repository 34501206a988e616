/* signals.c -- SIGINT, SIGTERM and SIGUSR1. The model is told in signals.h.
 * Owner:  as told there.
 * Errors: as told there. */
#include "signals.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#include "runtime.h"

/* Of a signal that ends the program. One of each in a process, as there is one handler. */
static struct ending {
  int signum;
  bool has_timer;
  timer_t again;             /* sends the signal once more */
  void (*of_libuv)(int);     /* its handler, which tells the loop */
} endings[] = {{.signum = SIGINT}, {.signum = SIGTERM}};

static struct ending *ending_of(int signum) { return &endings[signum == SIGINT ? 0 : 1]; }

static void send_again(const struct ending *e, int seconds) {
  struct itimerspec time = {.it_value = {.tv_sec = seconds}};
  if (e->has_timer)
    (void)timer_settime(e->again, 0, &time, NULL);
}

/* As the signal comes, whatever runs. */
static void on_first(int signum) {
  const struct ending *e = ending_of(signum);
  send_again(e, RILLE_CLEANUP_SECONDS);
  e->of_libuv(signum);
}

/* In the loop. */
static void on_ending(uv_signal_t *handle, int signum) {
  send_again(ending_of(signum), 2 * RILLE_CLEANUP_SECONDS);
  rille_stop(handle->data, 128 + signum, signum == SIGINT ? "SIGINT" : "SIGTERM");
}

/* libuv's handler stands for one signal; ours is put in front of it, in the same way. */
static void watch(uv_signal_t *handle, int signum) {
  struct sigaction action;
  struct ending *e = ending_of(signum);
  if (uv_signal_start_oneshot(handle, on_ending, signum) != 0 || sigaction(signum, NULL, &action) != 0)
    return;
  e->of_libuv = action.sa_handler;
  action.sa_handler = on_first;
  (void)sigaction(signum, &action, NULL);
}

static void init(struct rille *rt, uv_signal_t *handle) {
  (void)uv_signal_init(&rt->loop, handle); /* fails only for want of descriptors: then no cleanup */
  handle->data = rt;
  uv_unref((uv_handle_t *)handle);
}

static void open_ending(struct rille *rt, uv_signal_t *handle, int signum) {
  struct ending *e = ending_of(signum);
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = signum;
  e->has_timer = timer_create(CLOCK_MONOTONIC, &event, &e->again) == 0;
  init(rt, handle);
  watch(handle, signum);
}

static void on_inquire(uv_signal_t *handle, int signum) {
  (void)signum;
  ((struct rille *)handle->data)->inquired = true;
}

void rille_signals_open(struct rille *rt) {
  open_ending(rt, &rt->signals.interrupt, SIGINT);
  open_ending(rt, &rt->signals.terminate, SIGTERM);
  init(rt, &rt->signals.inquire);
  (void)uv_signal_start(&rt->signals.inquire, on_inquire, SIGUSR1);
}

void rille_signals_close(struct rille *rt) {
  uv_close((uv_handle_t *)&rt->signals.interrupt, NULL);
  uv_close((uv_handle_t *)&rt->signals.terminate, NULL);
  uv_close((uv_handle_t *)&rt->signals.inquire, NULL);
}

void rille_signals_take_interrupt(struct rille *rt, bool on) {
  if (on)
    watch(&rt->signals.interrupt, SIGINT);
  else
    (void)uv_signal_stop(&rt->signals.interrupt);
}
