/* transfer_stats.c -- who has the connections of a pool, and what for. Declared in transfer.h.
 * Model:  libcurl 7.88 does not tell the connection of a transfer in flight: what it asks of the sockets does
 *         (transfer_socket.c notes t->fd and t->rests).
 * Owner:  nothing is owned here.
 * Errors: none. */
#include "transfer_pool.h"

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
