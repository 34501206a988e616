/* transfer_http2.c -- what libcurl 7.88 needs to share connections safely. The model is told in
 * transfer_http2.h.
 * Owner:  as told there.
 * Errors: CURLcodes, passed on. */
#include "transfer_http2.h"

#include <strings.h>

#include "transfer_pool.h"

enum {
  SHARED_STREAMS = 100,        /* libcurl's default */
  TRIES = 2                    /* to send a request again */
};

CURLcode rille_http2_base(struct rille_transfer *t) {
  static const long versions[] = {[RILLE_HTTP_1_1] = CURL_HTTP_VERSION_1_1,
                                  [RILLE_HTTP_AUTO] = CURL_HTTP_VERSION_2TLS,
                                  [RILLE_HTTP_2] = CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE};
  return curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, versions[t->http]);
}

/* Over TLS, requests wait until it is known whether they can share the connection that is being made,
 * instead of making one each. Without TLS, libcurl 7.88 fails at the second request on a connection:
 * each has one of its own. */
CURLcode rille_http2_set(struct rille_transfer *t, const struct rille_transfer_request *r) {
  bool tls = strncasecmp(r->url, "https:", 6) == 0;
  t->once = !tls && t->http == RILLE_HTTP_2;
  if (t->http == RILLE_HTTP_1_1)
    return CURLE_OK;
  if (tls)
    return curl_easy_setopt(t->easy, CURLOPT_PIPEWAIT, 1L);
  if (!t->once)
    return CURLE_OK;
  CURLcode code = curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L);
  return code != CURLE_OK ? code : curl_easy_setopt(t->easy, CURLOPT_FORBID_REUSE, 1L);
}

/* It fails only inside a callback of libcurl, where this is not called. */
static void share(struct rille_pool *pool, long streams) {
  (void)curl_multi_setopt(pool->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, streams);
}

void rille_http2_part(struct rille_transfer *t, const struct rille_transfer_request *r) {
  bool may_pause = r->stream || r->send != NULL;
  if (!t->once && (!may_pause || t->http == RILLE_HTTP_1_1))
    return;
  t->apart = true;
  if (t->pool->apart++ == 0)
    share(t->pool, 1);
}

void rille_http2_rejoin(struct rille_transfer *t) {
  if (!t->apart)
    return;
  t->apart = false;
  if (--t->pool->apart == 0)
    share(t->pool, SHARED_STREAMS);
}

/* A part of a head has come. */
static bool has_header(const struct rille_transfer *t) {
  unsigned any = CURLH_HEADER | CURLH_TRAILER | CURLH_CONNECT | CURLH_1XX | CURLH_PSEUDO;
  return t->hops > 0 || curl_easy_nextheader(t->easy, any, -1, NULL) != NULL;
}

/* When the server lets go of a connection while another of its streams is aborted, 7.88 may fail a stream
 * that has done nothing, where it would have sent the request again otherwise. */
bool rille_http2_may_repeat(const struct rille_transfer *t) {
  bool safe = t->shape == RILLE_SHAPE_GET || t->shape == RILLE_SHAPE_HEAD;
  return t->code == CURLE_HTTP2 && t->end == RILLE_END_NONE && safe && !has_header(t) &&
         t->tries < TRIES;
}
