/* transfer_time.c -- the time of a pool. The model is told in transfer_time.h.
 * Rules:  on_curl_timer and on_moved are called by libcurl: they call nothing of curl_multi_*.
 * Owner:  as told there.
 * Errors: as told there. */
#include "transfer_time.h"

#include "transfer_pool.h"

static const double NEVER = 1e300;

static double now_ms(void) { return (double)uv_hrtime() / 1e6; }

/* --- the timer --- */

static void on_timer(uv_timer_t *timer);

/* Runs the timer for the earlier of libcurl's time-out and ours. A timer that runs for an earlier
 * one is left alone: it fires in vain, once, which costs less than moving it at every request. */
static void arm(struct rille_pool *pool) {
  struct rille_time *time = &pool->time;
  double at = time->curl_at < time->scan_at ? time->curl_at : time->scan_at;
  if (pool->closed || at >= time->armed_at)
    return;
  double left = at - now_ms();
  uint64_t ms = left > 0 ? (uint64_t)left + 1 : 0;
  /* From within the timer's own callback, 0 would run it again at once and starve the loop. */
  if (ms == 0 && time->in_timer)
    ms = 1;
  if (uv_timer_start(&time->timer, on_timer, ms, 0) == 0)
    time->armed_at = at;
}

static double earlier(double a, double b) { return b > 0 && b < a ? b : a; }

/* The idle time of t is over, and was so before the loop has polled: libuv runs timers first, and while the
 * program computed something may have come. */
static bool is_idle(struct rille_transfer *t) {
  bool polled = t->idle_over;
  t->idle_over = true;
  return polled;
}

/* Ends what is overdue and finds the next time to look. */
static void scan(struct rille_pool *pool, double now) {
  struct list late;
  list_init(&late);
  pool->time.scan_at = NEVER;
  struct list *next;
  for (struct list *l = pool->busy.next; l != &pool->busy; l = next) {
    next = l->next;
    struct rille_transfer *t = LIST_ENTRY(l, struct rille_transfer, link);
    double at = earlier(earlier(NEVER, t->total_at), t->idle_at);
    if (at > now) {
      pool->time.scan_at = earlier(pool->time.scan_at, at);
      continue;
    }
    bool total = t->total_at > 0 && t->total_at <= now;
    if (!total && !is_idle(t)) {
      pool->time.scan_at = now; /* in the next turn */
      continue;
    }
    if (t->end == RILLE_END_NONE)
      t->end = total ? RILLE_END_TOTAL_TIMEOUT : RILLE_END_IDLE_TIMEOUT;
    list_remove(l);
    list_append(&late, l);
  }
  while (!list_empty(&late))
    rille_transfer_finish(LIST_ENTRY(late.next, struct rille_transfer, link), RILLE_END_NONE);
}

static void on_timer(uv_timer_t *timer) {
  struct rille_pool *pool = timer->data;
  struct rille_time *time = &pool->time;
  double now = now_ms();
  time->armed_at = NEVER;
  time->in_timer = true;
  if (time->curl_at <= now) {
    time->curl_at = NEVER;
    rille_pool_act(pool, CURL_SOCKET_TIMEOUT, 0);
  }
  if (!pool->closed && time->scan_at <= now)
    scan(pool, now);
  arm(pool);
  time->in_timer = false;
}

static int on_curl_timer(CURLM *multi, long ms, void *data) {
  (void)multi;
  struct rille_pool *pool = data;
  pool->time.curl_at = ms < 0 ? NEVER : now_ms() + (double)ms;
  arm(pool);
  return 0;
}

bool rille_time_serve_multi(struct rille_pool *pool) {
  return curl_multi_setopt(pool->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer) == CURLM_OK &&
         curl_multi_setopt(pool->multi, CURLMOPT_TIMERDATA, pool) == CURLM_OK;
}

bool rille_time_open(struct rille_pool *pool, uv_loop_t *loop) {
  struct rille_time *time = &pool->time;
  time->armed_at = time->curl_at = time->scan_at = NEVER;
  if (uv_timer_init(loop, &time->timer) != 0)
    return false;
  time->timer.data = pool;
  time->open = true;
  rille_time_hold(pool, false);
  return true;
}

static void on_timer_closed(uv_handle_t *handle) {
  struct rille_pool *pool = handle->data;
  pool->time.open = false;
  rille_pool_reap(pool);
}

void rille_time_close(struct rille_pool *pool) {
  uv_close((uv_handle_t *)&pool->time.timer, on_timer_closed);
}

void rille_time_hold(struct rille_pool *pool, bool hold) {
  uv_handle_t *timer = (uv_handle_t *)&pool->time.timer;
  if (hold)
    uv_ref(timer);
  else
    uv_unref(timer);
}

/* --- the time-outs of a transfer --- */

/* Makes sure that scan() runs at `at`. */
static void scan_by(struct rille_pool *pool, double at) {
  if (at < pool->time.scan_at) {
    pool->time.scan_at = at;
    arm(pool);
  }
}

void rille_time_start_total(struct rille_transfer *t, long ms) {
  if (ms == 0)
    return;
  t->total_at = now_ms() + (double)ms;
  scan_by(t->pool, t->total_at);
}

static void restart_idle(struct rille_transfer *t) {
  t->idle_at = now_ms() + (double)t->idle_ms;
  t->idle_over = false;
}

void rille_time_start_idle(struct rille_transfer *t) {
  if (t->idle_ms == 0)
    return;
  restart_idle(t);
  scan_by(t->pool, t->idle_at);
}

/* The scan that comes too early for it finds the new time. */
void rille_time_touch_idle(struct rille_transfer *t) {
  if (t->idle_at > 0)
    restart_idle(t);
}

void rille_time_stop_idle(struct rille_transfer *t) { t->idle_at = 0; }

static int on_moved(void *data, curl_off_t total, curl_off_t received, curl_off_t send_total,
                    curl_off_t sent) {
  (void)total;
  (void)send_total;
  struct rille_transfer *t = data;
  if (received + sent != t->moved) {
    t->moved = received + sent;
    rille_time_touch_idle(t);
  }
  return 0;
}

CURLcode rille_time_set_idle(struct rille_transfer *t, long ms) {
  t->idle_ms = ms;
  if (ms == 0)
    return CURLE_OK;
  CURLcode code = curl_easy_setopt(t->easy, CURLOPT_XFERINFOFUNCTION, on_moved);
  if (code == CURLE_OK)
    code = curl_easy_setopt(t->easy, CURLOPT_XFERINFODATA, t);
  return code != CURLE_OK ? code : curl_easy_setopt(t->easy, CURLOPT_NOPROGRESS, 0L);
}
