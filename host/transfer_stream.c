/* transfer_stream.c -- a transfer goes on that has paused, or is left. Declared in transfer.h.
 * Model:  a callback of libcurl has paused it (transfer_receive.c, transfer_send.c), until its user has made
 *         room for its body, or has more of the request's. Then libcurl calls back at once with what it
 *         has kept.
 * Owner:  nothing is owned here.
 * Errors: what cannot go on ends. */
#include "transfer_pool.h"
#include "transfer_receive.h"

/* Lets what is not paused any more go on. A peer whose response we do not take may well take nothing more of
 * the request. */
static void go_on(struct rille_transfer *t) {
  if (!t->paused)
    rille_time_start_idle(t);
  bool wait_send = t->send != NULL && t->send->paused;
  CURLcode code = curl_easy_pause(t->easy, (t->paused ? CURLPAUSE_RECV : CURLPAUSE_RECV_CONT) |
                                               (wait_send ? CURLPAUSE_SEND : CURLPAUSE_SEND_CONT));
  /* It is so called if there is no connection: a request is about to be sent again. */
  if (code != CURLE_OK && code != CURLE_BAD_FUNCTION_ARGUMENT) {
    t->code = code;
    rille_transfer_finish(t, RILLE_END_CURL);
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
    rille_transfer_finish(t, RILLE_END_CURL);
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
    rille_pool_act(pool, t->fd, CURL_CSELECT_IN);
  }
}

void rille_transfer_leave(struct rille_transfer *t) {
  if (t->added)
    drain_rest(t);
  rille_transfer_release(t);
}
