/* transfer_time.h -- the time of a pool: when libcurl wants to be called, and which transfers are overdue. A
 * part of transfer.c; no Lua.
 * Model:  one timer, for the earlier of libcurl's time-out and the next of ours. Total and idle time-outs are
 *         counted here: libcurl's do not cover the time spent waiting for a free connection. The idle one
 *         starts again whenever something moves, and stands still while it is we who wait; when it is over
 *         the loop polls once more before the transfer ends.
 * Owner:  the pool has one of these, and is not freed while it is `open`.
 * Errors: RILLE_END_TOTAL_TIMEOUT and RILLE_END_IDLE_TIMEOUT of the transfers. */
#ifndef RILLE_TRANSFER_TIME_H
#define RILLE_TRANSFER_TIME_H

#include <stdbool.h>

#include <curl/curl.h>
#include <uv.h>

struct rille_pool;
struct rille_transfer;

struct rille_time {
  uv_timer_t timer;
  bool open;       /* libuv has not let go of it */
  bool in_timer;
  double armed_at; /* ms: when the timer fires */
  double curl_at;  /* when libcurl wants to be called */
  double scan_at;  /* when the next of our own time-outs may be due */
};

/* False if there is no timer: then nothing is open. */
bool rille_time_open(struct rille_pool *pool, uv_loop_t *loop);
void rille_time_close(struct rille_pool *pool);

/* Whether the timer keeps the loop alive. */
void rille_time_hold(struct rille_pool *pool, bool hold);

/* Sets the callback of libcurl that concerns its time-out. */
bool rille_time_serve_multi(struct rille_pool *pool);

/* The idle time-out of t is so long (0: none); libcurl is to tell what moves. */
CURLcode rille_time_set_idle(struct rille_transfer *t, long ms);

/* t has so long from now (0: for ever). */
void rille_time_start_total(struct rille_transfer *t, long ms);

/* The idle time-out begins; something has moved, and it begins again if it runs; it stands still. */
void rille_time_start_idle(struct rille_transfer *t);
void rille_time_touch_idle(struct rille_transfer *t);
void rille_time_stop_idle(struct rille_transfer *t);

#endif
