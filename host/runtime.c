/* runtime.c -- the loop, its start and its end. The model is told in runtime.h.
 * Owner:  struct rille owns the Lua state, the libuv loop and the timelines (not the deadlines in them).
 * Errors: a failure to set up is NULL from rille_new. While it runs, a deadlock is reported and ends the
 *         program with status 1; whatever libuv refuses at the end is a defect and aborts. */
#include "runtime.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <lualib.h>

#include "leak.h"
#include "memory.h"
#include "report.h"
#include "slow.h"
#include "strict.h"
#include "task.h"

/* libuv 1.49 watches the wake-up of its threads for edges: who looks first would have it alone. */
enum { EDGES_SINCE = 1 << 16 | 49 << 8 };

/* --- set up --- */

/* libuv runs timers first and then polls: with a fiber made ready in between, the poll must not block. */
static void on_prepare(uv_prepare_t *prepare) {
  struct rille *rt = prepare->data;
  if (!list_empty(&rt->ready))
    uv_stop(&rt->loop);
}

static bool reader_is_gone(void) {
  struct pollfd out = {.fd = STDOUT_FILENO};
  return poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP)) != 0;
}

/* A peer that went away is an error of the write. If it is the reader of standard output, the program ends
 * when it waits (flush), or, like one that is interrupted twice, when it writes again without a wait. Other
 * writes fail while that reader is gone: the mark of stdout, which is read without its lock, says that this
 * is not the first of its own. */
static void on_broken_pipe(int signum) {
  int kept = errno;
  if (ferror_unlocked(stdout) && reader_is_gone()) {
    (void)signal(signum, SIG_DFL);
    (void)raise(signum); /* when this returns */
  }
  errno = kept;
}

static void init_record(struct rille_fiber *f, struct rille *rt, lua_State *L, int kind, int state) {
  list_init(&f->ready);
  f->rt = rt;
  f->L = L;
  f->kind = (uint8_t)kind;
  f->state = (uint8_t)state;
}

struct rille *rille_new(void) {
  struct rille *rt = calloc(1, sizeof *rt);
  if (rt == NULL)
    return NULL;
  rt->L = rille_memory_newstate();
  if (rt->L == NULL || uv_loop_init(&rt->loop) != 0) {
    if (rt->L != NULL)
      lua_close(rt->L);
    free(rt);
    return NULL;
  }
  list_init(&rt->ready);
  list_init(&rt->tasks);
  list_init(&rt->generators);
  list_init(&rt->leftovers);
  init_record(&rt->outside, rt, rt->L, RILLE_OUTSIDE, RILLE_RUNNING);
  init_record(&rt->dead, rt, NULL, RILLE_COROUTINE, RILLE_DEAD);
  *(struct rille_fiber **)lua_getextraspace(rt->L) = &rt->outside;
  rille_timeline_init(&rt->time, &rt->loop);
  rille_timeline_init(&rt->real, &rt->loop);
  (void)uv_prepare_init(&rt->loop, &rt->prepare);
  rt->prepare.data = rt;
  (void)uv_prepare_start(&rt->prepare, on_prepare);
  rille_signals_open(rt);
  rille_strict_open(rt);
  if (rt->debugging)
    rt->slow = rille_slow_open(rt);
  (void)signal(SIGPIPE, on_broken_pipe);
  return rt;
}

/* --- run --- */

void rille_flush(struct rille *rt) {
  if (rt->console != NULL)
    rt->console->hide(rt->console);
  (void)fflush(stdout);
}

static void on_overdue(struct rille_deadline *d) {
  LIST_ENTRY(d, struct rille, cleanup)->overdue = true;
}

/* Starts the time that cleanup may take, once. */
static void limit_cleanup(struct rille *rt) {
  rt->cleanup.due = on_overdue;
  rt->cleanup.real = true;
  if (rt->cleanup.index == 0 && !rille_deadline_start(rt, &rt->cleanup, RILLE_CLEANUP_SECONDS))
    rt->overdue = true;
}

static void cancel_tasks(struct rille *rt) {
  for (struct list *l = rt->tasks.next; l != &rt->tasks; l = l->next)
    rille_task_cancel(LIST_ENTRY(l, struct rille_task, link));
}

void rille_stop(struct rille *rt, int status, const char *why) {
  if (rt->stopping)
    return;
  rt->stopping = true;
  rt->status = status;
  rt->why = why;
  limit_cleanup(rt);
  cancel_tasks(rt);
}

static void kill_tasks(struct rille *rt, const char *why) {
  while (!list_empty(&rt->tasks))
    rille_task_kill(LIST_ENTRY(rt->tasks.next, struct rille_task, link), why);
}

/* Nothing is ready and nothing in flight could make it so. */
static void deadlock(struct rille *rt) {
  if (rt->stopping) {
    kill_tasks(rt, "could not be cancelled and was killed");
    return;
  }
  rille_report_tasks(rt, "deadlock: these tasks wait for what can never come");
  rille_stop(rt, 1, "deadlock");
}

/* What was printed reaches its reader before the program may wait. Nobody reads any more: end quietly,
 * as a program does that SIGPIPE ends. `print` flushes too, and leaves of a failure only the mark. */
static void flush(struct rille *rt) {
  if (rt->console != NULL)
    rt->console->flush(rt->console);
  if ((fflush(stdout) != 0 || ferror(stdout)) && reader_is_gone()) {
    (void)signal(SIGPIPE, SIG_IGN); /* cleanup may print */
    rille_stop(rt, 128 + SIGPIPE, "SIGPIPE");
  }
}

/* Tasks are left to wait for: any, or such that keep the program alive. */
static bool goes_on(const struct rille *rt, bool for_daemons) {
  return rt->task_count > (for_daemons ? 0 : rt->daemon_count);
}

/* True if libuv has something to do: a handle to watch or to close, a timer that is due, what has come. To
 * look costs less than uv_run, which reads the clock twice. */
static bool has_news(struct rille *rt) {
  struct epoll_event first;
  uv_update_time(&rt->loop);
  return uv_backend_timeout(&rt->loop) == 0 || epoll_wait(uv_backend_fd(&rt->loop), &first, 1, 0) != 0;
}

/* One turn of the loop that takes what has come, and does not wait. */
static void poll_now(struct rille *rt) {
  if (uv_version() >= EDGES_SINCE || has_news(rt))
    (void)uv_run(&rt->loop, UV_RUN_NOWAIT);
}

/* True if something could make a fiber ready. The handle of on_prepare, which could not, is one of those
 * that count, because with none libuv would not poll at all, not even for SIGINT. */
static bool can_go_on(struct rille *rt) {
  uv_unref((uv_handle_t *)&rt->prepare);
  bool alive = uv_loop_alive(&rt->loop) != 0;
  uv_ref((uv_handle_t *)&rt->prepare);
  return alive;
}

/* In virtual time: takes what has come, or else jumps to what is due next, unless the world outside owes a
 * result. False if the loop has to wait. */
static bool jump(struct rille *rt) {
  poll_now(rt);
  if (!list_empty(&rt->ready) || rt->overdue)
    return true;
  return rt->external == 0 && rille_timeline_jump(&rt->time);
}

/* Nothing is ready: waits until something may be. */
static void wait_for_news(struct rille *rt) {
  bool virtual = rt->clock != NULL;
  if (virtual && jump(rt))
    return;
  flush(rt);
  if (!can_go_on(rt)) {
    deadlock(rt);
    return;
  }
  if (virtual)
    rille_timeline_run(&rt->time); /* time passes while the loop waits */
  (void)uv_run(&rt->loop, UV_RUN_ONCE);
  if (virtual)
    rille_timeline_halt(&rt->time);
}

/* More is ready; on the terminal of a REPL what was printed is seen meanwhile. */
static void take_turn(struct rille *rt) {
  if (rt->console != NULL)
    flush(rt);
  poll_now(rt);
}

static void run_tasks(struct rille *rt, bool for_daemons) {
  while (goes_on(rt, for_daemons)) {
    if (rt->inquired)
      rille_report_tree(rt);
    rille_fiber_run_ready(rt);
    if (rt->overdue)
      kill_tasks(rt, "took too long to end and was killed");
    else if (!list_empty(&rt->ready))
      take_turn(rt);
    else if (goes_on(rt, for_daemons))
      wait_for_news(rt);
  }
}

/* The program's tasks have ended: so do the daemons, and what they have spawned on the way. */
static void end_daemons(struct rille *rt) {
  while (rt->task_count > 0) {
    limit_cleanup(rt);
    cancel_tasks(rt);
    run_tasks(rt, true);
  }
}

void rille_run(struct rille *rt) {
  run_tasks(rt, false);
  if (rt->debugging)
    rille_leak_report(rt);
  end_daemons(rt);
  while (rt->at_end != NULL && rt->at_end(rt)) {
    limit_cleanup(rt);
    run_tasks(rt, false);
    end_daemons(rt);
  }
  rille_deadline_stop(rt, &rt->cleanup);
}

int rille_finish_output(int status) {
  (void)signal(SIGPIPE, SIG_IGN);
  bool is_lost = fflush(stdout) != 0 || ferror(stdout) != 0;
  if (!is_lost || status != EXIT_SUCCESS)
    return status;
  if (reader_is_gone())
    return 128 + SIGPIPE;
  (void)fputs("rille: standard output: not all of it could be written\n", stderr);
  return EXIT_FAILURE;
}

int rille_close(struct rille *rt) {
  rt->closing = true;
  if (rt->slow != NULL)
    rille_slow_summary(rt->slow);
  lua_close(rt->L); /* finalisers close what bindings still hold ... */
  rille_slow_close(rt->slow);
  rille_timeline_close(&rt->time);
  rille_timeline_close(&rt->real);
  uv_close((uv_handle_t *)&rt->prepare, NULL);
  rille_signals_close(rt);
  (void)uv_run(&rt->loop, UV_RUN_DEFAULT); /* ... and their close callbacks run here */
  if (uv_loop_close(&rt->loop) != 0)
    abort();
  int status = rille_finish_output(rt->status);
  rille_timeline_free(&rt->time);
  rille_timeline_free(&rt->real);
  free(rt);
  return status;
}
