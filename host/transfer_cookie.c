/* transfer_cookie.c -- a Cookie header that the request itself gives. The model is told in transfer_cookie.h.
 * Owner:  as told there.
 * Errors: as told there; what cannot be compared is another origin. */
#include "transfer_cookie.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool rille_cookie_add(struct rille_transfer *t, const char *value, size_t length) {
  struct rille_buffer *b = &t->cookie;
  if (b->length > 0) {
    b->length--; /* the '\0' */
    if (!rille_buffer_append(b, "; ", 2))
      return false;
  }
  return rille_buffer_append(b, value, length) && rille_buffer_append(b, "", 1);
}

CURLcode rille_cookie_set(struct rille_transfer *t) {
  return t->cookie.length == 0 ? CURLE_OK : curl_easy_setopt(t->easy, CURLOPT_COOKIE, t->cookie.data);
}

static bool is_same_part(CURLU *a, CURLU *b, CURLUPart part) {
  char *of_a = NULL, *of_b = NULL;
  bool same = curl_url_get(a, part, &of_a, CURLU_DEFAULT_PORT) == CURLUE_OK &&
              curl_url_get(b, part, &of_b, CURLU_DEFAULT_PORT) == CURLUE_OK && strcasecmp(of_a, of_b) == 0;
  curl_free(of_a);
  curl_free(of_b);
  return same;
}

/* Does the reference lead from the URL to the same scheme, host and port? It is read as libcurl reads it. */
static bool is_same_origin(const char *url, const char *reference) {
  CURLU *from = curl_url(), *to = curl_url();
  bool same = from != NULL && to != NULL && curl_url_set(from, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_set(to, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_set(to, CURLUPART_URL, reference, CURLU_URLENCODE | CURLU_ALLOW_SPACE) == CURLUE_OK &&
              is_same_part(from, to, CURLUPART_SCHEME) && is_same_part(from, to, CURLUPART_HOST) &&
              is_same_part(from, to, CURLUPART_PORT);
  curl_url_cleanup(from);
  curl_url_cleanup(to);
  return same;
}

void rille_cookie_follow(struct rille_transfer *t, const char *location, size_t length) {
  if (t->cookie.length == 0)
    return;
  const char *url = rille_transfer_url(t);
  char *reference = strndup(location, length);
  if (url == NULL || reference == NULL || !is_same_origin(url, reference)) {
    (void)curl_easy_setopt(t->easy, CURLOPT_COOKIE, NULL); /* frees a string: cannot fail */
    t->cookie.length = 0;
  }
  free(reference);
}
