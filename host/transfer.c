/* transfer.c -- the life of a transfer: taken, started, ended, released. The model is told in transfer.h.
 * Parts:  transfer_pool.c has the multi handle and tells the user; transfer_time.c counts time,
 *         transfer_socket.c watches the sockets, transfer_stats.c tells who has them. transfer_options.c
 *         sets up the easy handle, with transfer_access.c (ways, TLS, credentials), transfer_cookie.c (a
 *         request's own Cookie) and transfer_http2.c (who shares a connection). transfer_send.c has the
 *         body of the request, transfer_receive.c the response; transfer_stream.c goes on with what has
 *         paused; transfer_proxy.c tells whether a proxy is to blame.
 * Owner:  the pool owns transfers.
 * Errors: kept in the transfer. A fault found in a libcurl callback is stored in t->end, and the
 *         callback makes libcurl fail. */
#include "transfer.h"

#include <stdlib.h>

#include "cookie_jar.h"
#include "transfer_http2.h"
#include "transfer_options.h"
#include "transfer_pool.h"

/* --- ends --- */

static void easy_drop(struct rille_transfer *t) {
  if (!t->added)
    return;
  struct rille_pool *pool = t->pool;
  /* It fails for a handle that is not in it, or from a libcurl callback: neither is so. */
  (void)curl_multi_remove_handle(pool->multi, t->easy);
  t->added = false;
  rille_sockets_pause(t->sockets, &t->paused, false);
  rille_http2_rejoin(t);
  if (--pool->busy_count == 0)
    rille_time_hold(pool, false);
}

void rille_transfer_destroy(struct rille_transfer *t) {
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

/* libcurl knows these options: no call can fail. */
void rille_transfer_collect(struct rille_transfer *t) {
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

void rille_transfer_finish(struct rille_transfer *t, enum rille_transfer_end end) {
  struct rille_pool *pool = t->pool;
  if (t->added)
    rille_transfer_collect(t);
  easy_drop(t);
  if (t->end == RILLE_END_NONE)
    t->end = end;
  list_remove(&t->link);
  list_append(&pool->ended, &t->link);
  list_remove(&t->news); /* on_done tells of all */
  let_go(t);
  pool->calls->on_done(t);
}

bool rille_transfer_again(struct rille_transfer *t) {
  if (!rille_http2_may_repeat(t))
    return false;
  t->tries++;
  (void)curl_multi_remove_handle(t->pool->multi, t->easy);
  if (curl_multi_add_handle(t->pool->multi, t->easy) != CURLM_OK)
    return false; /* it cannot be in another */
  t->code = CURLE_OK; /* nothing has come that would be to be forgotten */
  t->detail[0] = '\0';
  t->moved = 0;
  t->fd = -1;
  t->rests = t->unanswered = false;
  rille_time_stop_idle(t); /* until it is sent again */
  return true;
}

void rille_transfer_fail(struct rille_transfer *t, enum rille_transfer_end end) {
  if (t->added)
    rille_transfer_finish(t, end);
}

/* --- starting --- */

/* libcurl sends any request again when a kept connection ends without an answer. One that is not idempotent
 * may have been carried out (RFC 9110, 9.2.2). */
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
  rille_time_start_idle(t);
  return CURL_PREREQFUNC_OK;
}

static bool set_base(struct rille_transfer *t) {
  return rille_options_base(t) && rille_sockets_serve_easy(&t->pool->sockets, t->easy) &&
         curl_easy_setopt(t->easy, CURLOPT_PREREQFUNCTION, on_request) == CURLE_OK &&
         curl_easy_setopt(t->easy, CURLOPT_PREREQDATA, t) == CURLE_OK;
}

static CURLcode set_up(struct rille_transfer *t, const struct rille_transfer_request *request) {
  CURLcode code = rille_options_set(t, request);
  return code != CURLE_OK ? code : rille_time_set_idle(t, request->idle_timeout);
}

void rille_transfer_start(struct rille_transfer *t, const struct rille_transfer_request *request) {
  struct rille_pool *pool = t->pool;
  list_remove(&t->link);
  list_append(&pool->busy, &t->link);
  t->send = request->send;
  if (t->send != NULL)
    t->send->transfer = t;
  if (pool->closed) {
    rille_transfer_finish(t, RILLE_END_CLOSED);
    return;
  }
  t->code = set_up(t, request);
  if (t->code == CURLE_OK && curl_multi_add_handle(pool->multi, t->easy) != CURLM_OK)
    t->code = CURLE_OUT_OF_MEMORY;
  if (t->code != CURLE_OK) {
    rille_transfer_finish(t, RILLE_END_CURL);
    return;
  }
  t->added = true;
  t->started = uv_now(pool->sockets.loop);
  t->body_length = request->body_length;
  rille_http2_part(t, request);
  if (pool->busy_count++ == 0)
    rille_time_hold(pool, true);
  rille_time_start_total(t, request->total_timeout);
}

/* --- transfers --- */

struct rille_transfer *rille_pool_take(struct rille_pool *pool) {
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
    rille_transfer_destroy(t);
    return NULL;
  }
  return t;
}

void rille_transfer_release(struct rille_transfer *t) {
  struct rille_pool *pool = t->pool;
  let_go(t);
  rille_transfer_destroy(t);
  rille_pool_reap(pool);
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

