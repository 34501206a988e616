/* transfer_options.c -- what a request is to a libcurl easy handle. The model is told in transfer_options.h.
 * Owner:  strings are copied by libcurl, all but the body and the header list.
 * Errors: CURLcodes, passed on. */
#include "transfer_options.h"

#include <stdlib.h>
#include <string.h>

#include "transfer_cookie.h"
#include "transfer_http2.h"
#include "transfer_receive.h"

/* As large as a head may be: over HTTP/2, parts of one that does not fit would be mixed up. A large body
 * comes in fewer system calls. */
enum { RECEIVE_BUFFER = 128 * 1024 };

/* --- setting up a request --- */

static bool set_callbacks(struct rille_transfer *t) {
  CURL *e = t->easy;
  return curl_easy_setopt(e, CURLOPT_PRIVATE, t) == CURLE_OK &&
         curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->detail) == CURLE_OK &&
         curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, rille_receive_on_head) == CURLE_OK &&
         curl_easy_setopt(e, CURLOPT_HEADERDATA, t) == CURLE_OK &&
         curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, rille_receive_on_body) == CURLE_OK &&
         curl_easy_setopt(e, CURLOPT_WRITEDATA, t) == CURLE_OK;
}

/* What all requests share. QUICK_EXIT lets an abort leave a name look-up to its thread, where
 * libcurl would wait for it. NOSIGNAL spares three system calls a step: the runtime handles
 * SIGPIPE. Content is decoded by transfer_receive.c, and libcurl, which would set up decoders of its own, is
 * not told that it is asked for. PROTOCOLS binds redirects, too. */
bool rille_options_base(struct rille_transfer *t) {
  CURL *e = t->easy;
  return set_callbacks(t) && rille_access_base(t) == CURLE_OK && rille_http2_base(t) == CURLE_OK &&
         curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
         curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER) == CURLE_OK &&
         curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
         curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
         curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) == CURLE_OK &&
         curl_easy_setopt(e, CURLOPT_USERAGENT, "rille/" RILLE_VERSION) == CURLE_OK;
}

static bool has_body(const struct rille_transfer_request *r) { return r->body != NULL || r->send != NULL; }

static enum rille_transfer_shape shape_of(const struct rille_transfer_request *r) {
  if (strcmp(r->method, "HEAD") == 0)
    return RILLE_SHAPE_HEAD;
  if (!has_body(r))
    return strcmp(r->method, "GET") == 0 ? RILLE_SHAPE_GET : RILLE_SHAPE_OTHER;
  return strcmp(r->method, "POST") == 0 ? RILLE_SHAPE_POST : RILLE_SHAPE_OTHER_BODY;
}

/* Method and body. Methods with a name of their own keep it and the body on 301 and 302. */
static CURLcode set_shape(struct rille_transfer *t, const struct rille_transfer_request *r) {
  t->shape = shape_of(r);
  bool named = t->shape == RILLE_SHAPE_OTHER || t->shape == RILLE_SHAPE_OTHER_BODY;
  CURLcode code = CURLE_OK; /* a new handle is for GET */
  if (t->shape == RILLE_SHAPE_HEAD)
    code = curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
  else if (has_body(r))
    code = curl_easy_setopt(t->easy, CURLOPT_POST, 1L);
  if (code == CURLE_OK && named)
    code = curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, r->method);
  if (code == CURLE_OK && named)
    code = curl_easy_setopt(t->easy, CURLOPT_POSTREDIR, (long)(CURL_REDIR_POST_301 | CURL_REDIR_POST_302));
  if (code != CURLE_OK || !has_body(r) || t->shape == RILLE_SHAPE_HEAD)
    return code;
  if (r->send != NULL)
    return rille_send_set(t, r->send);
  code = curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_length);
  return code != CURLE_OK ? code : curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, r->body);
}

/* RFC 9110, 9.2.2. */
static bool is_idempotent(const char *method) {
  static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};
  for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
    if (strcmp(method, methods[i]) == 0)
      return true;
  return false;
}

static CURLcode set_limits(struct rille_transfer *t, const struct rille_transfer_request *r) {
  /* To libcurl 0 is its default: five minutes. None is as long as it can count. */
  long ms = r->connect_timeout > 0 ? r->connect_timeout : INT32_MAX;
  CURLcode code = curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, ms);
  if (code == CURLE_OK && r->max_redirects >= 0)
    code = curl_easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, 1L);
  if (code == CURLE_OK && r->max_redirects >= 0)
    code = curl_easy_setopt(t->easy, CURLOPT_MAXREDIRS, r->max_redirects);
  t->max_redirects = r->max_redirects;
  t->max_body = r->max_body;
  t->streamed = r->stream;
  t->decompress = r->decompress;
  t->idempotent = is_idempotent(r->method);
  return code;
}

static bool add_line(struct rille_transfer *t, const char *line) {
  t->node_count++;
  return rille_buffer_append(&t->lines, line, strlen(line) + 1);
}

/* Links the lines to a list, the content type first (see become_get). */
static bool link_lines(struct rille_transfer *t) {
  t->nodes = malloc(t->node_count * sizeof *t->nodes);
  if (t->nodes == NULL)
    return false;
  char *text = t->lines.data;
  struct curl_slist *last = NULL;
  for (uint32_t i = 0; i < t->node_count; i++, text += strlen(text) + 1) {
    t->nodes[i] = (struct curl_slist){text, NULL};
    if ((int32_t)i == t->type_node)
      continue;
    if (last != NULL)
      last->next = &t->nodes[i];
    last = &t->nodes[i];
  }
  if (t->type_node == 0)
    t->nodes[0].next = t->node_count > 1 ? &t->nodes[1] : NULL;
  else if (t->type_node > 0)
    t->nodes[t->type_node].next = &t->nodes[0];
  return true;
}

/* The header list. "Name:" keeps libcurl from adding a header of its own. */
static CURLcode set_headers(struct rille_transfer *t, const struct rille_transfer_request *r) {
  bool ask = r->decompress && !t->own_accept;
  if (t->node_count == 0 && !has_body(r) && !ask)
    return CURLE_OK;
  bool ok = true;
  if (has_body(r) && t->type_node < 0) {
    t->type_node = (int32_t)t->node_count;
    ok = add_line(t, "Content-Type:");
  }
  if (has_body(r) && !t->own_expect)
    ok = ok && add_line(t, "Expect:"); /* no pause before a large body */
  if (ask)
    ok = ok && add_line(t, "Accept-Encoding: " RILLE_ACCEPT_ENCODING);
  if (!ok || !link_lines(t))
    return CURLE_OUT_OF_MEMORY;
  return curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER,
                          &t->nodes[t->type_node >= 0 ? t->type_node : 0]);
}

CURLcode rille_options_set(struct rille_transfer *t, const struct rille_transfer_request *r) {
  CURLcode code = rille_access_set(t, &r->access);
  if (code == CURLE_OK)
    code = rille_cookie_set(t);
  if (code == CURLE_OK)
    code = rille_http2_set(t, r);
  if (code == CURLE_OK)
    code = set_limits(t, r);
  if (code == CURLE_OK)
    code = set_shape(t, r);
  if (code == CURLE_OK)
    code = set_headers(t, r);
  return code != CURLE_OK ? code : curl_easy_setopt(t->easy, CURLOPT_URL, r->url);
}

bool rille_transfer_header(struct rille_transfer *t, const char *name, size_t name_length,
                           const char *value, size_t value_length) {
  if (t->jar != NULL && rille_receive_is_word(name, name_length, "cookie"))
    return rille_cookie_add(t, value, value_length);
  if (rille_receive_is_word(name, name_length, "content-type") && t->type_node < 0)
    t->type_node = (int32_t)t->node_count;
  t->own_expect = t->own_expect || rille_receive_is_word(name, name_length, "expect");
  t->own_accept = t->own_accept || rille_receive_is_word(name, name_length, "accept-encoding");
  t->node_count++;
  struct rille_buffer *b = &t->lines;
  if (!rille_buffer_append(b, name, name_length))
    return false;
  if (value_length == 0) /* libcurl's way to ask for an empty header */
    return rille_buffer_append(b, ";", 2);
  return rille_buffer_append(b, ": ", 2) && rille_buffer_append(b, value, value_length) &&
         rille_buffer_append(b, "", 1);
}
