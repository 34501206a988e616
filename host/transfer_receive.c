/* transfer_receive.c -- what a transfer makes of a response. The model is told in transfer_receive.h.
 * Owner:  buffers and decoder belong to the transfer.
 * Errors: faults are stored in t->end. */
#include "transfer_receive.h"

#include <string.h>
#include <strings.h>

#include "transfer_cookie.h"
#include "transfer_pool.h"

enum { FIRST_RESERVE = 1024 * 1024 }; /* what a Content-Length alone may make us allocate */

/* --- the head of a response --- */

static bool fault(struct rille_transfer *t, enum rille_transfer_end end) {
  if (t->end == RILLE_END_NONE)
    t->end = end;
  return false;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* "HTTP/1.1 200 OK": the version and the status; false if it is not a status line. */
static bool read_status(struct rille_transfer *t, const char *line, size_t length) {
  size_t i = sizeof "HTTP/" - 1;
  if (length < i + 5 || !is_digit(line[i]))
    return false;
  t->version = (line[i++] - '0') * 10;
  if (line[i] == '.' && is_digit(line[i + 1])) {
    t->version += line[i + 1] - '0';
    i += 2;
  }
  if (i + 4 > length || line[i] != ' ' || !is_digit(line[i + 1]) || !is_digit(line[i + 2]) ||
      !is_digit(line[i + 3]))
    return false;
  t->status = (line[i + 1] - '0') * 100 + (line[i + 2] - '0') * 10 + (line[i + 3] - '0');
  return true;
}

static bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* libcurl follows any 3xx with a Location, which it sees later. RFC 9110 has these five; a 304 says
 * something else with it. */
static void stay(struct rille_transfer *t) {
  if (t->status / 100 != 3 || is_redirect(t->status) || t->max_redirects < 0)
    return;
  (void)curl_easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, 0L); /* a flag: it cannot fail */
  t->max_redirects = -1;
}

static bool begin_head(struct rille_transfer *t, const char *line, size_t length) {
  if (t->head_open)
    return fault(t, RILLE_END_CUT_HEAD);
  if (t->status / 100 == 3) { /* one more redirect was followed */
    const char *url = rille_transfer_url(t);
    if (url != NULL && !rille_buffer_append(&t->trail, url, strlen(url) + 1))
      return false;
    t->hops++;
  }
  if (t->status / 100 != 1)
    t->head_total = 0;
  if (!read_status(t, line, length))
    return fault(t, RILLE_END_FRAMING);
  stay(t);
  /* libcurl sent the request again when a kept connection failed: forget what it said then. */
  t->detail[0] = '\0';
  t->head.length = 0;
  t->body.length = 0;
  t->received = 0;
  t->length = -1;
  t->chunked = false;
  t->codings = (struct rille_codings){.count = 0};
  t->coded = false;
  t->location_length = 0;
  t->last_head = false;
  t->closing = false;
  t->head_open = true;
  t->unanswered = false;
  return true;
}

static bool follows(const struct rille_transfer *t) {
  return t->status / 100 == 3 && t->location_length > 0 && t->max_redirects >= 0;
}

/* The method becomes GET where RFC 9110 says so and libcurl would keep the method that was set by
 * name; the content's type goes with the content. */
static void become_get(struct rille_transfer *t) {
  bool post = t->shape == RILLE_SHAPE_POST && (t->status == 301 || t->status == 302);
  if (!post && t->status != 303)
    return;
  rille_send_stop(t);
  if (t->shape == RILLE_SHAPE_OTHER || t->shape == RILLE_SHAPE_OTHER_BODY)
    (void)curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, NULL); /* frees a string: cannot fail */
  if (t->type_node >= 0) /* it is the first of the list */
    (void)curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->nodes[t->type_node].next);
}

/* 417: libcurl sends a request again whose body it has not sent, if the connection stays. We let it do so if
 * none was asked for, and take the header that was refused out of the list. */
static bool withdraw_expect(struct rille_transfer *t) {
  if (t->status != 417 || !t->own_expect || t->closing || t->send == NULL || t->send->round > 0)
    return false;
  t->own_expect = false;
  for (uint32_t i = 0; i < t->node_count; i++)
    if (strncasecmp(t->nodes[i].data, "expect:", 7) == 0)
      t->nodes[i].data[7] = '\0';
  return true;
}

/* A streamed transfer has the head of its last response. */
static void announce(struct rille_transfer *t) {
  t->head_done = true;
  rille_pool_note(t);
}

/* The body of the last response comes. `expected` is its length if that is known, else 0. */
static bool await_body(struct rille_transfer *t, uint64_t expected) {
  t->last_head = true;
  /* libcurl may answer a 401, and drop its body. If it does not, the first piece or the end tells. */
  if (t->streamed && !(t->challenged && t->status == 401))
    announce(t);
  if (t->streamed || expected == 0)
    return true;
  if (!t->coded && expected > t->max_body)
    return fault(t, RILLE_END_BODY_SIZE);
  return rille_buffer_reserve(&t->body, expected < FIRST_RESERVE ? (size_t)expected : FIRST_RESERVE);
}

static bool begin_decoding(struct rille_transfer *t) {
  if (t->codings.count > RILLE_CODINGS_LIMIT)
    return fault(t, RILLE_END_CODINGS);
  if (t->decoder == NULL && (t->decoder = rille_decoder_new()) == NULL)
    return false;
  return rille_decoder_begin(t->decoder, &t->codings);
}

static bool end_head(struct rille_transfer *t) {
  t->head_open = false;
  if (t->status < 200)
    return t->status != 101 || fault(t, RILLE_END_FRAMING);
  if (follows(t)) {
    rille_cookie_follow(t, t->head.data + t->location_at, t->location_length);
    become_get(t);
    return true;
  }
  if (withdraw_expect(t))
    return true;
  bool bare = t->shape == RILLE_SHAPE_HEAD || t->status == 204 || t->status == 304;
  t->coded = !bare && t->decompress && rille_codings_apply(&t->codings);
  if (t->coded && !begin_decoding(t))
    return false;
  if (bare || t->length == 0)
    rille_send_on_answer(t);
  return await_body(t, !bare && t->length > 0 ? (uint64_t)t->length : 0);
}

/* The value of a header line if it has this name, of n bytes, else NULL; *length is that of the line, then of
 * the value without the space around it. */
static const char *value_of(const char *line, size_t *length, const char *name, size_t n) {
  if (*length <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
    return NULL;
  const char *from = line + n + 1;
  const char *to = line + *length;
  while (from < to && (*from == ' ' || *from == '\t'))
    from++;
  while (to > from && (to[-1] == ' ' || to[-1] == '\t' || to[-1] == '\r' || to[-1] == '\n'))
    to--;
  *length = (size_t)(to - from);
  return from;
}

#define VALUE_OF(line, length, name) value_of(line, length, name, sizeof(name) - 1)

bool rille_receive_is_word(const char *value, size_t length, const char *word) {
  return length == strlen(word) && strncasecmp(value, word, length) == 0;
}

static bool read_length(struct rille_transfer *t, const char *value, size_t length) {
  int64_t n = 0;
  if (length == 0)
    return fault(t, RILLE_END_FRAMING);
  for (size_t i = 0; i < length; i++) {
    if (!is_digit(value[i]) || n > (INT64_MAX - 9) / 10)
      return fault(t, RILLE_END_FRAMING);
    n = n * 10 + (value[i] - '0');
  }
  if (t->length >= 0 && t->length != n)
    return fault(t, RILLE_END_FRAMING);
  t->length = n;
  return true;
}

/* Headers that say how the body is sent. */
static bool read_header(struct rille_transfer *t, const char *line, size_t length) {
  size_t n = length;
  const char *value;
  if ((value = VALUE_OF(line, &n, "content-length")) != NULL)
    return read_length(t, value, n);
  if ((value = VALUE_OF(line, &n, "content-encoding")) != NULL) {
    rille_codings_add(&t->codings, value, n);
  } else if ((value = VALUE_OF(line, &n, "transfer-encoding")) != NULL) {
    t->chunked = rille_receive_is_word(value, n, "chunked");
    if (!t->chunked && !rille_receive_is_word(value, n, "identity"))
      return fault(t, RILLE_END_FRAMING);
  } else if ((value = VALUE_OF(line, &n, "connection")) != NULL) {
    t->closing = rille_receive_is_word(value, n, "close");
  } else if ((value = VALUE_OF(line, &n, "location")) != NULL) {
    if (t->location_length == 0) { /* libcurl takes the first that is not empty */
      t->location_at = t->head.length - length + (size_t)(value - line);
      t->location_length = n;
    }
  }
  return true;
}

/* True if read_header wants to see a header with this first letter. */
static bool is_of_interest(char first) {
  return first == 'c' || first == 'C' || first == 't' || first == 'T' || first == 'l' || first == 'L';
}

static bool head_line(struct rille_transfer *t, const char *line, size_t length) {
  bool status = length > 5 && memcmp(line, "HTTP/", 5) == 0;
  if (status && !begin_head(t, line, length))
    return false;
  t->head_total += length;
  if (t->head_total > RILLE_HEAD_LIMIT)
    return fault(t, RILLE_END_HEAD_SIZE);
  if (!t->head_open) /* a trailer: dropped */
    return true;
  if (line[0] == '\r' || line[0] == '\n')
    return end_head(t);
  if (!rille_buffer_append(&t->head, line, length))
    return false;
  return status || !is_of_interest(line[0]) || read_header(t, line, length);
}

size_t rille_receive_on_head(char *line, size_t one, size_t length, void *data) {
  struct rille_transfer *t = data;
  length *= one;
  rille_time_touch_idle(t);
  return length > 0 && head_line(t, line, length) ? length : 0;
}

/* --- the body of a response --- */

/* False if the decoder has failed, or is out of memory. */
static bool has_decoded(struct rille_transfer *t, enum rille_decode_status status) {
  if (status == RILLE_DECODE_CORRUPT)
    return fault(t, RILLE_END_BAD_CODING);
  if (status == RILLE_DECODE_WINDOW)
    return fault(t, RILLE_END_WINDOW);
  return status != RILLE_DECODE_NOMEM;
}

/* Decodes from the piece until the body has `limit` bytes. */
static enum rille_decode_status decode(struct rille_transfer *t, struct rille_piece *piece, uint64_t limit) {
  enum rille_decode_status status = RILLE_DECODE_FULL;
  while (status == RILLE_DECODE_FULL && t->body.length < limit) {
    if (!rille_buffer_reserve(&t->body, 1024))
      return RILLE_DECODE_NOMEM;
    uint64_t left = limit - t->body.length;
    size_t room = t->body.size - t->body.length;
    piece->out = t->body.data + t->body.length;
    piece->out_length = room < left ? room : (size_t)left;
    status = rille_decoder_step(t->decoder, piece);
    t->body.length += piece->out_length;
  }
  return status;
}

static bool body_decoded(struct rille_transfer *t, const char *data, size_t length) {
  struct rille_piece piece = {data, length, NULL, 0};
  if (!has_decoded(t, decode(t, &piece, t->max_body + 1))) /* one more than allowed: it tells */
    return false;
  return t->body.length <= t->max_body || fault(t, RILLE_END_BODY_SIZE);
}

/* --- a body that is read as it comes --- */

/* Decodes from the piece while there is room. Sets t->behind if there was not enough. */
static bool stream_decoded(struct rille_transfer *t, struct rille_piece *piece) {
  enum rille_decode_status status = decode(t, piece, RILLE_STREAM_LIMIT);
  t->behind = status == RILLE_DECODE_FULL;
  return has_decoded(t, status);
}

/* Takes a piece, which libcurl made no larger than its buffer. */
static bool stream_piece(struct rille_transfer *t, const char *data, size_t length) {
  if (!t->coded)
    return rille_buffer_append(&t->body, data, length);
  struct rille_piece piece = {data, length, NULL, 0};
  if (!stream_decoded(t, &piece))
    return false;
  t->rest.length = t->rest_at = 0;
  return !t->behind || rille_buffer_append(&t->rest, piece.in, piece.in_length);
}

/* After a refusal libcurl sends no more. */
static void refuse(struct rille_transfer *t) {
  if (t->send != NULL && t->status >= 300)
    rille_send_stop(t);
}

static size_t on_stream(struct rille_transfer *t, const char *data, size_t length) {
  if (!t->head_done) /* libcurl does not follow this redirect or answer this 401: it hides their bodies */
    announce(t);
  if (!t->discard && (t->behind || t->body.length >= RILLE_STREAM_LIMIT)) {
    rille_sockets_pause(t->sockets, &t->paused, true);
    rille_time_stop_idle(t); /* we are the ones who wait */
    return CURL_WRITEFUNC_PAUSE;
  }
  rille_time_touch_idle(t);
  t->received += (int64_t)length;
  if (t->discard)
    return length;
  if (!stream_piece(t, data, length))
    return length == 0 ? 1 : 0;
  if (t->body.length > 0)
    rille_pool_note(t);
  return length;
}

bool rille_receive_catch_up(struct rille_transfer *t) {
  struct rille_piece piece = {t->rest.data + t->rest_at, t->rest.length - t->rest_at, NULL, 0};
  bool over = t->end == RILLE_END_OK;
  if (over)
    t->end = RILLE_END_NONE;
  bool ok = stream_decoded(t, &piece);
  t->rest_at = t->rest.length - piece.in_length;
  t->behind = ok && t->behind;
  if (!ok && over && t->end == RILLE_END_NONE) {
    t->code = CURLE_OUT_OF_MEMORY;
    t->end = RILLE_END_CURL;
  } else if (over && t->end == RILLE_END_NONE)
    t->end = rille_receive_judge(t);
  return ok;
}

/* --- libcurl's callback, and the end --- */

/* A piece of a body that is kept until all of it is here. */
static size_t on_whole(struct rille_transfer *t, const char *data, size_t length) {
  rille_time_touch_idle(t);
  t->received += (int64_t)length;
  bool ok;
  if (t->coded)
    ok = body_decoded(t, data, length);
  else if (length > t->max_body - t->body.length)
    ok = fault(t, RILLE_END_BODY_SIZE);
  else
    ok = rille_buffer_append(&t->body, data, length);
  return ok ? length : (length == 0 ? 1 : 0);
}

size_t rille_receive_on_body(char *data, size_t one, size_t length, void *user) {
  struct rille_transfer *t = user;
  length *= one;
  refuse(t);
  size_t taken = t->streamed ? on_stream(t, data, length) : on_whole(t, data, length);
  if (taken == length && t->received == t->length)
    rille_send_on_answer(t);
  return taken;
}

/* libcurl takes a head without its last line, or half of a compressed body, for a success. What is
 * still to be decoded is judged when that is done. */
enum rille_transfer_end rille_receive_judge(const struct rille_transfer *t) {
  if (t->head_open && (t->code == CURLE_OK || t->code == CURLE_PARTIAL_FILE))
    return RILLE_END_CUT_HEAD;
  if (t->code != CURLE_OK)
    return RILLE_END_CURL;
  if (t->status < 200)
    return RILLE_END_CUT_HEAD;
  if (t->coded && !t->behind && !rille_decoder_is_complete(t->decoder))
    return RILLE_END_CUT_CODING;
  return RILLE_END_OK;
}
