/* transfer.c -- HTTP transfers on libcurl's multi interface and libuv. The model is told in
 * transfer.h.
 *
 * Parts.  transfer_options.c sets up the easy handle of a request, transfer_receive.c reads its response,
 *         transfer_socket.c watches the sockets, transfer_access.c knows proxies, TLS and credentials,
 *         transfer_cookie.c a request's own Cookie; here is the rest: time, and who lives how long.
 * Rules.  on_moved, on_request and on_curl_timer, and the callbacks of the other parts, are called by
 *         libcurl: they call nothing of curl_multi_*, and tell nobody. Every curl_multi_socket_action
 *         is followed by drain(), whatever it returned.
 * Owner:  the pool owns transfers, sockets and its timer. It is freed when handles and transfers are all
 *         gone.
 * Errors: kept in the transfer. A fault found in a libcurl callback is stored in t->end, and the
 *         callback makes libcurl fail. If the multi handle itself fails, so do its transfers. */
#include "transfer.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cookie_jar.h"
#include "transfer_options.h"
#include "transfer_receive.h"
#include "transfer_socket.h"

enum {
  IDLE_TRANSFERS = 256,        /* kept for the next request */
  KEPT_CONNECTIONS = 1024,
  TRIES = 2                    /* to send a request again */
};

static const double NEVER = 1e300;

struct rille_pool {
  CURLM *multi;
  const struct rille_pool_calls *calls;
  struct list idle, busy, ended;
  struct list news;      /* streamed transfers to tell of */
  struct list sent;      /* bodies of requests to tell of */
  uint32_t idle_count;
  uint32_t busy_count;
  uint32_t transfers;    /* in all */
  struct rille_sockets sockets;
  struct rille_jar *jar; /* NULL: no cookies */
  uv_timer_t timer;
  bool timer_open;       /* libuv has not let go of it */
  double armed_at;       /* when the timer fires; NEVER: it is not running */
  double curl_at;        /* when libcurl wants to be called */
  double scan_at;        /* when the next of our own time-outs may be due */
  uint32_t apart;        /* transfers whose connections are not to be shared */
  enum rille_http_version http;
  bool in_timer;
  bool closed;
  bool held;             /* whoever made it has not let go */
};

/* --- the end of a pool's memory --- */

static void pool_reap(struct rille_pool *pool) {
  if (pool->held || pool->timer_open || pool->sockets.handles > 0 || pool->transfers > 0)
    return;
  rille_sockets_free(&pool->sockets);
  free(pool);
  curl_global_cleanup();
}

static void on_timer_closed(uv_handle_t *handle) {
  struct rille_pool *pool = handle->data;
  pool->timer_open = false;
  pool_reap(pool);
}

static void on_sockets_closed(struct rille_sockets *sockets) { pool_reap(sockets->pool); }

/* --- time --- */

static double now_ms(void) { return (double)uv_hrtime() / 1e6; }

static void on_timer(uv_timer_t *timer);

/* Runs the timer for the earlier of libcurl's time-out and ours. A timer that runs for an earlier
 * one is left alone: it fires in vain, once, which costs less than moving it at every request. */
static void arm(struct rille_pool *pool) {
  double at = pool->curl_at < pool->scan_at ? pool->curl_at : pool->scan_at;
  if (pool->closed || at >= pool->armed_at)
    return;
  double left = at - now_ms();
  uint64_t ms = left > 0 ? (uint64_t)left + 1 : 0;
  /* From within the timer's own callback, 0 would run it again at once and starve the loop. */
  if (ms == 0 && pool->in_timer)
    ms = 1;
  if (uv_timer_start(&pool->timer, on_timer, ms, 0) == 0)
    pool->armed_at = at;
}

/* Makes sure that scan() runs at `at`. */
static void scan_by(struct rille_pool *pool, double at) {
  if (at < pool->scan_at) {
    pool->scan_at = at;
    arm(pool);
  }
}

/* --- streams of HTTP/2 --- */

enum { SHARED_STREAMS = 100 }; /* libcurl's default */

/* While a body is read as it comes, every new request takes a connection that no other uses. On a shared
 * one, libcurl 7.88 would go on to read for the others and keep up to 32 MiB of the stream that is
 * paused; what it has kept when that is aborted, it would give to the next transfer of the handle. */
static void part(struct rille_transfer *t) {
  struct rille_pool *pool = t->pool;
  t->apart = true;
  if (pool->apart++ == 0) /* it fails only inside a libcurl callback */
    (void)curl_multi_setopt(pool->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, 1L);
}

static void rejoin(struct rille_transfer *t) {
  struct rille_pool *pool = t->pool;
  if (!t->apart)
    return;
  t->apart = false;
  if (--pool->apart == 0)
    (void)curl_multi_setopt(pool->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)SHARED_STREAMS);
}

/* --- ends --- */

static void easy_drop(struct rille_transfer *t) {
  if (!t->added)
    return;
  struct rille_pool *pool = t->pool;
  /* It fails for a handle that is not in it, or from a libcurl callback: neither is so. */
  (void)curl_multi_remove_handle(pool->multi, t->easy);
  t->added = false;
  rille_sockets_pause(t->sockets, &t->paused, false);
  rejoin(t);
  if (--pool->busy_count == 0)
    uv_unref((uv_handle_t *)&pool->timer);
}

static void transfer_destroy(struct rille_transfer *t) {
  struct rille_pool *pool = t->pool;
  easy_drop(t);
  list_remove(&t->link);
  if (t->easy != NULL)
    curl_easy_cleanup(t->easy);
  rille_decoder_free(t->decoder);
  rille_buffer_free(&t->head);
  rille_buffer_free(&t->body);
  rille_buffer_free(&t->trail);
  rille_buffer_free(&t->lines);
  rille_buffer_free(&t->rest);
  rille_buffer_free(&t->proxy);
  rille_buffer_free(&t->cookie);
  curl_slist_free_all(t->connect_to);
  list_remove(&t->news);
  free(t->nodes);
  free(t);
  pool->transfers--;
}

/* What libcurl can tell about the transfer. It knows these options: no call can fail. */
static void collect(struct rille_transfer *t) {
  curl_off_t us[6] = {0};
  (void)curl_easy_getinfo(t->easy, CURLINFO_NAMELOOKUP_TIME_T, &us[0]);
  (void)curl_easy_getinfo(t->easy, CURLINFO_CONNECT_TIME_T, &us[1]);
  (void)curl_easy_getinfo(t->easy, CURLINFO_APPCONNECT_TIME_T, &us[2]);
  (void)curl_easy_getinfo(t->easy, CURLINFO_STARTTRANSFER_TIME_T, &us[3]);
  (void)curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_TIME_T, &us[4]);
  (void)curl_easy_getinfo(t->easy, CURLINFO_TOTAL_TIME_T, &us[5]);
  t->time_lookup = us[0];
  t->time_connect = us[1];
  t->time_tls = us[2];
  t->time_first = us[3];
  t->time_redirect = us[4];
  t->time_total = us[5];
  (void)curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &t->os_error);
}

/* Lets go of the request's body. */
static void let_go(struct rille_transfer *t) {
  struct rille_send *send = t->send;
  if (send == NULL)
    return;
  rille_send_end(t);
  t->pool->calls->on_sent(send);
}

/* Ends t. A fault that a callback found goes before `end`. */
static void finish(struct rille_transfer *t, enum rille_transfer_end end) {
  struct rille_pool *pool = t->pool;
  if (t->added)
    collect(t);
  easy_drop(t);
  if (t->end == RILLE_END_NONE)
    t->end = end;
  list_remove(&t->link);
  list_append(&pool->ended, &t->link);
  list_remove(&t->news); /* on_done tells of all */
  let_go(t);
  pool->calls->on_done(t);
}

/* Nothing is known of a response. */
static void forget_response(struct rille_transfer *t) {
  rille_buffer_clear(&t->head);
  rille_buffer_clear(&t->body);
  rille_buffer_clear(&t->trail);
  t->code = CURLE_OK;
  t->status = 0;
  t->version = 0;
  t->hops = 0;
  t->detail[0] = '\0';
  t->length = -1;
  t->head_total = 0;
  t->moved = 0;
  t->fd = -1;
  t->rests = false;
  t->codings = (struct rille_codings){.count = 0};
  t->coded = false;
  t->chunked = false;
  t->head_open = t->last_head = t->unanswered = false;
}

/* When the server lets go of an HTTP/2 connection while another of its streams is aborted, libcurl 7.88
 * may fail a stream that has done nothing, where it would have sent the request again otherwise. It is
 * sent again here if that can do no harm. */
static bool again(struct rille_transfer *t) {
  bool safe = t->shape == RILLE_SHAPE_GET || t->shape == RILLE_SHAPE_HEAD;
  if (t->code != CURLE_HTTP2 || t->end != RILLE_END_NONE || !safe || t->head_done ||
      t->tries == TRIES)
    return false;
  t->tries++;
  (void)curl_multi_remove_handle(t->pool->multi, t->easy);
  if (curl_multi_add_handle(t->pool->multi, t->easy) != CURLM_OK)
    return false; /* it cannot be in another */
  forget_response(t);
  return true;
}

void rille_transfer_fail(struct rille_transfer *t, enum rille_transfer_end end) {
  if (t->added)
    finish(t, end);
}

/* Reads the completions. A user's on_done may remove transfers: their messages go with them. */
static void drain(struct rille_pool *pool) {
  int left = 0;
  CURLMsg *message;
  while (!pool->closed && (message = curl_multi_info_read(pool->multi, &left)) != NULL) {
    if (message->msg != CURLMSG_DONE)
      continue;
    struct rille_transfer *t = NULL;
    CURLcode code = message->data.result;
    if (curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t) != CURLE_OK || t == NULL)
      continue;
    t->code = code;
    if (!again(t))
      finish(t, rille_receive_judge(t));
  }
}

void rille_transfer_note(struct rille_transfer *t) {
  if (list_empty(&t->news))
    list_append(&t->pool->news, &t->news);
}

void rille_transfer_note_sent(struct rille_transfer *t) {
  if (list_empty(&t->send->news))
    list_append(&t->pool->sent, &t->send->news);
}

/* Tells what is new of requests' bodies. One whose response is complete is over. */
static void tell_sent(struct rille_pool *pool) {
  while (!list_empty(&pool->sent)) {
    struct rille_send *send = LIST_ENTRY(pool->sent.next, struct rille_send, news);
    list_remove(&send->news);
    if (send->answered)
      finish(send->transfer, rille_receive_judge(send->transfer));
    else
      pool->calls->on_sent(send);
  }
}

/* Tells what is new of streamed transfers that have not ended. */
static void tell(struct rille_pool *pool) {
  while (!list_empty(&pool->news)) {
    struct rille_transfer *t = LIST_ENTRY(pool->news.next, struct rille_transfer, news);
    list_remove(&t->news);
    if (t->head_done && !t->head_told) {
      t->head_told = true;
      if (t->version < 20)
        rejoin(t);
      collect(t);
      pool->calls->on_head(t);
    } else {
      pool->calls->on_data(t);
    }
  }
}

static void finish_all(struct rille_pool *pool, enum rille_transfer_end end, CURLcode code) {
  struct list all;
  list_init(&all);
  list_take(&all, &pool->busy);
  while (!list_empty(&all)) {
    struct rille_transfer *t = LIST_ENTRY(all.next, struct rille_transfer, link);
    t->code = code;
    finish(t, end);
  }
}

static void act(struct rille_pool *pool, curl_socket_t fd, int flags) {
  int running = 0;
  CURLMcode code = curl_multi_socket_action(pool->multi, fd, flags, &running);
  drain(pool);
  tell_sent(pool);
  tell(pool);
  if (code != CURLM_OK && !pool->closed)
    finish_all(pool, RILLE_END_CURL, CURLE_OUT_OF_MEMORY);
}

static void on_socket_ready(struct rille_sockets *sockets, curl_socket_t fd, int flags) {
  act(sockets->pool, fd, flags);
}

/* --- time-outs --- */

static double earlier(double a, double b) { return b > 0 && b < a ? b : a; }

/* Ends what is overdue and finds the next time to look. */
static void scan(struct rille_pool *pool, double now) {
  struct list late;
  list_init(&late);
  pool->scan_at = NEVER;
  struct list *next;
  for (struct list *l = pool->busy.next; l != &pool->busy; l = next) {
    next = l->next;
    struct rille_transfer *t = LIST_ENTRY(l, struct rille_transfer, link);
    double at = earlier(earlier(NEVER, t->total_at), t->idle_at);
    if (at > now) {
      pool->scan_at = earlier(pool->scan_at, at);
      continue;
    }
    bool total = t->total_at > 0 && t->total_at <= now;
    if (t->end == RILLE_END_NONE)
      t->end = total ? RILLE_END_TOTAL_TIMEOUT : RILLE_END_IDLE_TIMEOUT;
    list_remove(l);
    list_append(&late, l);
  }
  while (!list_empty(&late))
    finish(LIST_ENTRY(late.next, struct rille_transfer, link), RILLE_END_NONE);
}

static void on_timer(uv_timer_t *timer) {
  struct rille_pool *pool = timer->data;
  double now = now_ms();
  pool->armed_at = NEVER;
  pool->in_timer = true;
  if (pool->curl_at <= now) {
    pool->curl_at = NEVER;
    act(pool, CURL_SOCKET_TIMEOUT, 0);
  }
  if (!pool->closed && pool->scan_at <= now)
    scan(pool, now);
  arm(pool);
  pool->in_timer = false;
}

static int on_curl_timer(CURLM *multi, long ms, void *data) {
  (void)multi;
  struct rille_pool *pool = data;
  pool->curl_at = ms < 0 ? NEVER : now_ms() + (double)ms;
  arm(pool);
  return 0;
}

/* --- progress, for the idle time-out --- */

static void start_idle(struct rille_transfer *t) {
  if (t->idle_ms == 0)
    return;
  t->idle_at = now_ms() + (double)t->idle_ms;
  scan_by(t->pool, t->idle_at);
}

/* libcurl sends any request again when a kept connection ends without an answer. One that is not idempotent may
 * have been carried out (RFC 9110, 9.2.2). */
static bool may_send(struct rille_transfer *t) {
  bool ok = t->idempotent || !t->unanswered;
  if (!ok && t->end == RILLE_END_NONE)
    t->end = RILLE_END_UNANSWERED;
  return ok;
}

static int on_request(void *data, char *remote, char *local, int remote_port, int local_port) {
  (void)local;
  (void)remote_port;
  (void)local_port;
  struct rille_transfer *t = data;
  if (!may_send(t) || !rille_access_allows(t, remote) || !rille_send_begin(t))
    return CURL_PREREQFUNC_ABORT;
  t->unanswered = true;
  start_idle(t);
  return CURL_PREREQFUNC_OK;
}

static int on_moved(void *data, curl_off_t total, curl_off_t received, curl_off_t send_total,
                    curl_off_t sent) {
  (void)total;
  (void)send_total;
  struct rille_transfer *t = data;
  if (received + sent != t->moved) {
    t->moved = received + sent;
    rille_receive_touch(t);
  }
  return 0;
}

/* --- starting --- */

static CURLcode set_idle(struct rille_transfer *t, long idle_ms) {
  t->idle_ms = idle_ms;
  if (idle_ms == 0)
    return CURLE_OK;
  t->seldom = true;
  CURLcode code = curl_easy_setopt(t->easy, CURLOPT_XFERINFOFUNCTION, on_moved);
  if (code == CURLE_OK)
    code = curl_easy_setopt(t->easy, CURLOPT_XFERINFODATA, t);
  return code != CURLE_OK ? code : curl_easy_setopt(t->easy, CURLOPT_NOPROGRESS, 0L);
}

static bool set_base(struct rille_transfer *t) {
  return rille_options_base(t) && rille_sockets_serve_easy(&t->pool->sockets, t->easy) &&
         curl_easy_setopt(t->easy, CURLOPT_PREREQFUNCTION, on_request) == CURLE_OK &&
         curl_easy_setopt(t->easy, CURLOPT_PREREQDATA, t) == CURLE_OK;
}

static CURLcode set_up(struct rille_transfer *t, const struct rille_transfer_request *request) {
  if (t->seldom) {
    curl_easy_reset(t->easy);
    if (!set_base(t))
      return CURLE_OUT_OF_MEMORY;
  }
  CURLcode code = rille_options_set(t, request);
  return code != CURLE_OK ? code : set_idle(t, request->idle_timeout);
}

void rille_transfer_start(struct rille_transfer *t, const struct rille_transfer_request *request) {
  struct rille_pool *pool = t->pool;
  list_remove(&t->link);
  list_append(&pool->busy, &t->link);
  t->send = request->send;
  if (t->send != NULL)
    t->send->transfer = t;
  if (pool->closed) {
    finish(t, RILLE_END_CLOSED);
    return;
  }
  t->code = set_up(t, request);
  if (t->code == CURLE_OK && curl_multi_add_handle(pool->multi, t->easy) != CURLM_OK)
    t->code = CURLE_OUT_OF_MEMORY;
  if (t->code != CURLE_OK) {
    t->seldom = true;
    finish(t, RILLE_END_CURL);
    return;
  }
  t->added = true;
  t->started = uv_now(pool->sockets.loop);
  t->body_length = request->body_length;
  bool paces = request->stream || request->send != NULL; /* it may pause */
  if (t->once || (paces && pool->http != RILLE_HTTP_1_1))
    part(t);
  if (pool->busy_count++ == 0)
    uv_ref((uv_handle_t *)&pool->timer);
  if (request->total_timeout > 0) {
    t->total_at = now_ms() + (double)request->total_timeout;
    scan_by(pool, t->total_at);
  }
}

/* --- transfers --- */

static struct rille_transfer *transfer_new(struct rille_pool *pool) {
  struct rille_transfer *t = calloc(1, sizeof *t);
  if (t == NULL)
    return NULL;
  t->pool = pool;
  t->sockets = &pool->sockets;
  t->jar = pool->jar;
  t->http = pool->http;
  t->type_node = -1;
  t->length = -1;
  t->fd = -1;
  list_init(&t->link);
  list_init(&t->news);
  pool->transfers++;
  t->easy = curl_easy_init();
  if (t->easy == NULL || !set_base(t) ||
      (t->jar != NULL && rille_jar_serve(t->jar, t->easy) != CURLE_OK)) {
    transfer_destroy(t);
    return NULL;
  }
  return t;
}

struct rille_transfer *rille_pool_take(struct rille_pool *pool) {
  if (list_empty(&pool->idle))
    return transfer_new(pool);
  struct rille_transfer *t = LIST_ENTRY(pool->idle.prev, struct rille_transfer, link);
  list_remove(&t->link);
  pool->idle_count--;
  return t;
}

static void forget_stream(struct rille_transfer *t) {
  list_remove(&t->news);
  rille_buffer_clear(&t->rest);
  t->rest_at = 0;
  t->streamed = t->head_done = t->head_told = false;
  t->behind = t->discard = false;
}

void rille_transfer_release(struct rille_transfer *t) {
  struct rille_pool *pool = t->pool;
  let_go(t);
  /* An easy handle never forgets the errno of a failure. */
  bool spoilt = t->code != CURLE_OK || t->os_error != 0;
  /* One whose HTTP/2 connection went on with others keeps its receive buffer, and refuses the size when it
   * is set back. */
  spoilt = spoilt || (t->seldom && t->http != RILLE_HTTP_1_1);
  if (pool->closed || spoilt || pool->idle_count >= IDLE_TRANSFERS) {
    transfer_destroy(t);
    pool_reap(pool);
    return;
  }
  forget_response(t);
  rille_buffer_clear(&t->lines);
  t->owner = NULL;
  t->end = RILLE_END_NONE;
  t->os_error = 0;
  t->node_count = 0;
  t->type_node = -1;
  t->total_at = 0;
  t->idle_at = 0;
  t->received = 0;
  rille_decoder_end(t->decoder);
  t->own_expect = t->own_accept = false;
  t->cookie.length = 0;
  rille_access_clear(t);
  t->tries = 0;
  if (t->streamed)
    forget_stream(t);
  list_remove(&t->link);
  list_append(&pool->idle, &t->link);
  pool->idle_count++;
}

void rille_transfer_abort(struct rille_transfer *t) {
  if (t->added)
    (void)curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &t->os_error);
  easy_drop(t);
  rille_transfer_release(t);
}

/* --- who has the connections --- */

/* One that pauses at once has a connection before libcurl has asked for its socket. */
static bool is_holder(const struct rille_transfer *t) {
  return t->added && (t->paused || (t->fd >= 0 && !t->rests));
}

/* True if a transfer before t in the list has the same connection. */
static bool is_sharing(const struct rille_pool *pool, const struct rille_transfer *t) {
  const struct rille_transfer *other = NULL;
  if (t->apart)
    return false;
  while ((other = rille_pool_holder(pool, other)) != t)
    if (other->fd == t->fd)
      return true;
  return false;
}

void rille_pool_count(const struct rille_pool *pool, struct rille_pool_tally *tally) {
  const struct rille_transfer *t = NULL;
  uint32_t holders = 0;
  *tally = (struct rille_pool_tally){.open = pool->sockets.open};
  while ((t = rille_pool_holder(pool, t)) != NULL) {
    holders++;
    if (pool->http == RILLE_HTTP_1_1 || !is_sharing(pool, t))
      tally->in_use++;
  }
  tally->waiting = pool->busy_count - holders;
  if (tally->in_use > tally->open) /* one looks up a name */
    tally->in_use = tally->open;
}

const struct rille_transfer *rille_pool_holder(const struct rille_pool *pool,
                                               const struct rille_transfer *t) {
  const struct list *l = t == NULL ? pool->busy.next : t->link.next;
  while (l != &pool->busy && !is_holder(LIST_ENTRY(l, const struct rille_transfer, link)))
    l = l->next;
  return l == &pool->busy ? NULL : LIST_ENTRY(l, const struct rille_transfer, link);
}

const char *rille_transfer_state(const struct rille_transfer *t) {
  curl_off_t begun = 0, sent = 0;
  if (t->paused)
    return "paused";
  if (t->head_open || t->status >= 200)
    return "receiving";
  if (curl_easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &begun) != CURLE_OK || begun == 0)
    return "connecting";
  if (curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &sent) != CURLE_OK)
    sent = 0;
  bool more = t->send != NULL ? !t->send->finished : (uint64_t)sent < t->body_length;
  return more ? "sending" : "waiting";
}

uint64_t rille_transfer_age(const struct rille_transfer *t) {
  uint64_t now = uv_now(t->pool->sockets.loop);
  return now > t->started ? now - t->started : 0;
}

/* --- streamed transfers --- */

/* Lets what is not paused any more go on. libcurl calls on_body at once with what it has kept. */
static void go_on(struct rille_transfer *t) {
  start_idle(t);
  bool wait_send = t->send != NULL && t->send->paused;
  CURLcode code = curl_easy_pause(t->easy, (t->paused ? CURLPAUSE_RECV : CURLPAUSE_RECV_CONT) |
                                               (wait_send ? CURLPAUSE_SEND : CURLPAUSE_SEND_CONT));
  /* It is so called if there is no connection: a request is about to be sent again. */
  if (code != CURLE_OK && code != CURLE_BAD_FUNCTION_ARGUMENT) {
    t->code = code;
    finish(t, RILLE_END_CURL);
  }
}

static void resume(struct rille_transfer *t) {
  rille_sockets_pause(t->sockets, &t->paused, false);
  go_on(t);
}

void rille_transfer_feed(struct rille_transfer *t) {
  if (!t->send->paused)
    return;
  t->send->paused = false;
  go_on(t);
}

void rille_transfer_consume(struct rille_transfer *t) {
  t->body.length = 0;
  list_remove(&t->news); /* who consumes sees what there is */
  if (t->behind && !rille_receive_catch_up(t) && t->added) {
    t->code = CURLE_WRITE_ERROR;
    finish(t, RILLE_END_CURL);
    return;
  }
  if (t->paused && t->added && !t->behind)
    resume(t);
  list_remove(&t->news);
}

bool rille_transfer_is_read(const struct rille_transfer *t) {
  return t->end != RILLE_END_NONE && t->body.length == 0 && !t->behind;
}

/* Reads and drops what is here of the rest, if that may be all of it. libcurl reads a piece a step. */
static void drain_rest(struct rille_transfer *t) {
  struct rille_pool *pool = t->pool;
  bool small = t->length >= 0 ? t->length - t->received <= RILLE_DRAIN_LIMIT : t->chunked;
  if (!small || !t->head_done)
    return;
  int64_t start = t->received, before = -1;
  t->discard = true;
  if (t->paused)
    resume(t);
  while (t->added && t->received != before && t->received - start <= RILLE_DRAIN_LIMIT) {
    before = t->received;
    act(pool, t->fd, CURL_CSELECT_IN);
  }
}

void rille_transfer_leave(struct rille_transfer *t) {
  if (t->added)
    drain_rest(t);
  rille_transfer_abort(t);
}

const char *rille_transfer_method(const struct rille_transfer *t) {
  char *method = NULL;
  if (t->easy == NULL || curl_easy_getinfo(t->easy, CURLINFO_EFFECTIVE_METHOD, &method) != CURLE_OK)
    return NULL;
  return method;
}

const char *rille_transfer_url(const struct rille_transfer *t) {
  char *url = NULL;
  if (t->easy == NULL || curl_easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &url) != CURLE_OK)
    return NULL;
  return url;
}

/* --- pools --- */

static bool set_multi(struct rille_pool *pool, const struct rille_pool_options *options) {
  CURLM *m = pool->multi;
  return rille_sockets_serve_multi(&pool->sockets, m) &&
         curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, on_curl_timer) == CURLM_OK &&
         curl_multi_setopt(m, CURLMOPT_TIMERDATA, pool) == CURLM_OK &&
         curl_multi_setopt(m, CURLMOPT_MAX_TOTAL_CONNECTIONS, options->max_connections) == CURLM_OK &&
         curl_multi_setopt(m, CURLMOPT_MAX_HOST_CONNECTIONS, options->max_per_host) == CURLM_OK &&
         /* libcurl's default, four times the transfers now in flight, would close connections
          * whenever many of them end together. */
         curl_multi_setopt(m, CURLMOPT_MAXCONNECTS,
                           options->max_connections > 0 ? options->max_connections
                                                        : (long)KEPT_CONNECTIONS) ==
             CURLM_OK;
}

/* 7.88 makes a pair of sockets for itself that every child would inherit. It takes the two lowest numbers that
 * are free. */
static CURLM *multi_new(void) {
  int first = open("/dev/null", O_RDONLY | O_CLOEXEC);
  int second = first < 0 ? -1 : fcntl(first, F_DUPFD_CLOEXEC, 0);
  int guesses[] = {first, second};
  for (int i = 0; i < 2; i++)
    if (guesses[i] >= 0)
      (void)close(guesses[i]); /* nothing was written */
  CURLM *multi = curl_multi_init();
  for (int i = 0; i < 2 && multi != NULL; i++)
    if (guesses[i] >= 0)
      (void)fcntl(guesses[i], F_SETFD, FD_CLOEXEC); /* a guess that is wrong is of nobody, or a thread's */
  return multi;
}

struct rille_pool *rille_pool_new(uv_loop_t *loop, const struct rille_pool_calls *calls,
                                  const struct rille_pool_options *options) {
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return NULL;
  struct rille_pool *pool = calloc(1, sizeof *pool);
  CURLM *multi = pool != NULL ? multi_new() : NULL;
  if (multi == NULL) {
    free(pool);
    curl_global_cleanup();
    return NULL;
  }
  pool->sockets = (struct rille_sockets){
      .loop = loop, .pool = pool, .on_ready = on_socket_ready, .on_closed = on_sockets_closed};
  pool->multi = multi;
  pool->calls = calls;
  pool->http = options->http;
  pool->armed_at = pool->curl_at = pool->scan_at = NEVER;
  list_init(&pool->idle);
  list_init(&pool->busy);
  list_init(&pool->ended);
  list_init(&pool->news);
  list_init(&pool->sent);
  if (!set_multi(pool, options) || uv_timer_init(loop, &pool->timer) != 0) {
    (void)curl_multi_cleanup(multi); /* a multi handle that was never used */
    free(pool);
    curl_global_cleanup();
    return NULL;
  }
  pool->timer.data = pool;
  pool->held = true;
  pool->timer_open = true;
  uv_unref((uv_handle_t *)&pool->timer);
  return pool;
}

void rille_pool_use_jar(struct rille_pool *pool, struct rille_jar *jar) { pool->jar = jar; }

struct rille_jar *rille_pool_jar(const struct rille_pool *pool) { return pool->jar; }

bool rille_pool_is_closed(const struct rille_pool *pool) { return pool->closed; }

static void destroy_all(struct list *transfers) {
  while (!list_empty(transfers))
    transfer_destroy(LIST_ENTRY(transfers->next, struct rille_transfer, link));
}

void rille_pool_close(struct rille_pool *pool) {
  if (pool->closed)
    return;
  pool->closed = true; /* before on_done is called: nothing can be started any more */
  finish_all(pool, RILLE_END_CLOSED, CURLE_OK);
  destroy_all(&pool->idle);
  for (struct list *l = pool->ended.next; l != &pool->ended; l = l->next) {
    struct rille_transfer *t = LIST_ENTRY(l, struct rille_transfer, link);
    curl_easy_cleanup(t->easy);
    t->easy = NULL;
  }
  (void)curl_multi_cleanup(pool->multi); /* it fails only inside a libcurl callback */
  pool->multi = NULL;
  rille_sockets_close(&pool->sockets);
  uv_close((uv_handle_t *)&pool->timer, on_timer_closed);
}

void rille_pool_free(struct rille_pool *pool) {
  rille_pool_close(pool);
  destroy_all(&pool->ended);
  if (pool->jar != NULL)
    rille_jar_free(pool->jar);
  pool->jar = NULL;
  pool->held = false;
  pool_reap(pool);
}
