/* transfer_pool.c -- a pool: a multi handle of libcurl with its transfers. The model is told in
 * transfer_pool.h.
 * Owner:  as told there.
 * Errors: as told there. */
#include "transfer_pool.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "cookie_jar.h"
#include "transfer_http2.h"
#include "transfer_receive.h"

enum { KEPT_CONNECTIONS = 1024 };

/* --- what libcurl says --- */

void rille_pool_note(struct rille_transfer *t) {
  if (list_empty(&t->news))
    list_append(&t->pool->news, &t->news);
}

void rille_pool_note_sent(struct rille_transfer *t) {
  if (list_empty(&t->send->news))
    list_append(&t->pool->sent, &t->send->news);
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
    bool answered = t->send != NULL && t->send->answered; /* what the sending has failed with is no matter */
    t->code = answered ? CURLE_OK : code;
    if (!rille_transfer_again(t))
      rille_transfer_finish(t, rille_receive_judge(t));
  }
}

/* Tells what is new of requests' bodies. One whose response is complete is over. */
static void tell_sent(struct rille_pool *pool) {
  while (!list_empty(&pool->sent)) {
    struct rille_send *send = LIST_ENTRY(pool->sent.next, struct rille_send, news);
    list_remove(&send->news);
    if (send->answered)
      rille_transfer_finish(send->transfer, rille_receive_judge(send->transfer));
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
        rille_http2_rejoin(t);
      rille_transfer_collect(t);
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
    rille_transfer_finish(t, end);
  }
}

void rille_pool_act(struct rille_pool *pool, curl_socket_t fd, int flags) {
  int running = 0;
  CURLMcode code = curl_multi_socket_action(pool->multi, fd, flags, &running);
  drain(pool);
  tell_sent(pool);
  tell(pool);
  if (code != CURLM_OK && !pool->closed)
    finish_all(pool, RILLE_END_CURL, CURLE_OUT_OF_MEMORY);
}

static void on_socket_ready(struct rille_sockets *sockets, curl_socket_t fd, int flags) {
  rille_pool_act(sockets->pool, fd, flags);
}

/* --- the life of a pool --- */

static bool set_multi(struct rille_pool *pool, const struct rille_pool_options *options) {
  CURLM *m = pool->multi;
  return rille_sockets_serve_multi(&pool->sockets, m) && rille_time_serve_multi(pool) &&
         curl_multi_setopt(m, CURLMOPT_MAX_TOTAL_CONNECTIONS, options->max_connections) == CURLM_OK &&
         curl_multi_setopt(m, CURLMOPT_MAX_HOST_CONNECTIONS, options->max_per_host) == CURLM_OK &&
         /* libcurl's default, four times the transfers now in flight, would close connections
          * whenever many of them end together. */
         curl_multi_setopt(m, CURLMOPT_MAXCONNECTS,
                           options->max_connections > 0 ? options->max_connections
                                                        : (long)KEPT_CONNECTIONS) ==
             CURLM_OK;
}

void rille_pool_reap(struct rille_pool *pool) {
  if (pool->held || pool->time.open || pool->sockets.handles > 0 || pool->transfers > 0)
    return;
  rille_sockets_free(&pool->sockets);
  free(pool);
  curl_global_cleanup();
}

static void on_sockets_closed(struct rille_sockets *sockets) { rille_pool_reap(sockets->pool); }

/* 7.88 makes a pair of sockets for itself that every child would inherit. It takes the two lowest numbers
 * that are free. */
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
  list_init(&pool->busy);
  list_init(&pool->ended);
  list_init(&pool->news);
  list_init(&pool->sent);
  if (!set_multi(pool, options) || !rille_time_open(pool, loop)) {
    (void)curl_multi_cleanup(multi); /* a multi handle that was never used */
    free(pool);
    curl_global_cleanup();
    return NULL;
  }
  pool->held = true;
  return pool;
}

void rille_pool_use_jar(struct rille_pool *pool, struct rille_jar *jar) { pool->jar = jar; }

struct rille_jar *rille_pool_jar(const struct rille_pool *pool) { return pool->jar; }

bool rille_pool_is_closed(const struct rille_pool *pool) { return pool->closed; }

void rille_pool_close(struct rille_pool *pool) {
  if (pool->closed)
    return;
  pool->closed = true; /* before on_done is called: nothing can be started any more */
  finish_all(pool, RILLE_END_CLOSED, CURLE_OK);
  for (struct list *l = pool->ended.next; l != &pool->ended; l = l->next) {
    struct rille_transfer *t = LIST_ENTRY(l, struct rille_transfer, link);
    curl_easy_cleanup(t->easy);
    t->easy = NULL;
  }
  (void)curl_multi_cleanup(pool->multi); /* it fails only inside a libcurl callback */
  pool->multi = NULL;
  rille_sockets_close(&pool->sockets);
  rille_time_close(pool);
}

void rille_pool_free(struct rille_pool *pool) {
  rille_pool_close(pool);
  while (!list_empty(&pool->ended))
    rille_transfer_destroy(LIST_ENTRY(pool->ended.next, struct rille_transfer, link));
  if (pool->jar != NULL)
    rille_jar_free(pool->jar);
  pool->jar = NULL;
  pool->held = false;
  rille_pool_reap(pool);
}
