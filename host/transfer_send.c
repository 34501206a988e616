/* transfer_send.c -- a request body that is sent as it comes. The model is told in transfer_send.h.
 * Rules:  on_read and on_seek are called by libcurl: they call nothing of libcurl, and tell nobody.
 * Owner:  as told there.
 * Errors: as told there; stored in t->end. */
#include "transfer_send.h"

#include <string.h>

#include "transfer_pool.h"

void rille_send_init(struct rille_send *s, int64_t length, bool replayable) {
  *s = (struct rille_send){.length = length, .replayable = replayable};
  list_init(&s->news);
}

void rille_send_part(struct rille_send *s) {
  if (s->transfer != NULL)
    s->transfer->send = NULL;
  s->transfer = NULL;
  s->over = true;
  list_remove(&s->news);
  rille_buffer_free(&s->data);
  s->at = 0;
}

static size_t waiting(const struct rille_send *s) { return s->data.length - s->at; }

size_t rille_send_room(const struct rille_send *s) {
  size_t used = waiting(s);
  return used <= RILLE_SEND_LIMIT / 2 ? RILLE_SEND_LIMIT - used : 0;
}

bool rille_send_write(struct rille_send *s, const char *data, size_t length) {
  struct rille_transfer *t = s->transfer;
  s->written += (int64_t)length;
  if (s->length >= 0 && s->written > s->length) {
    rille_transfer_fail(t, RILLE_END_SEND_LONG);
    return true;
  }
  if (s->at > 0) {
    memmove(s->data.data, s->data.data + s->at, waiting(s));
    s->data.length -= s->at;
    s->at = 0;
  }
  if (!rille_buffer_append(&s->data, data, length))
    return false;
  rille_transfer_feed(t);
  return true;
}

void rille_send_finish(struct rille_send *s) {
  s->finished = true;
  if (s->length >= 0 && s->written < s->length)
    rille_transfer_fail(s->transfer, RILLE_END_SEND_SHORT);
  else
    rille_transfer_feed(s->transfer);
}

/* --- libcurl's callbacks --- */

static size_t on_read(char *room, size_t one, size_t size, void *data) {
  struct rille_transfer *t = data;
  struct rille_send *s = t->send;
  if (s == NULL)
    return CURL_READFUNC_ABORT;
  if (s->round == 0)
    s->round = 1;
  rille_pool_note_sent(t);
  size_t n = waiting(s);
  if (n == 0 && s->finished)
    return 0;
  if (n == 0) {
    s->paused = true;
    rille_time_stop_idle(t); /* we are the ones who wait */
    return CURL_READFUNC_PAUSE;
  }
  if (n > one * size)
    n = one * size;
  memcpy(room, s->data.data + s->at, n);
  s->at += n;
  s->sent += (int64_t)n;
  if (waiting(s) == 0)
    s->at = s->data.length = 0;
  rille_time_touch_idle(t);
  return n;
}

/* What was taken is lost to us, though libcurl may not have sent it. */
static bool again(struct rille_transfer *t) {
  struct rille_send *s = t->send;
  if (s->sent == 0)
    return true;
  if (!s->replayable) {
    if (t->end == RILLE_END_NONE)
      t->end = RILLE_END_RESEND;
    return false;
  }
  s->data.length = s->at = 0;
  s->sent = s->written = 0;
  s->finished = s->paused = false;
  s->round++;
  rille_pool_note_sent(t);
  return true;
}

static int on_seek(void *data, curl_off_t offset, int origin) {
  struct rille_transfer *t = data;
  bool start = offset == 0 && origin == SEEK_SET;
  return start && t->send != NULL && again(t) ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

CURLcode rille_send_set(struct rille_transfer *t, struct rille_send *s) {
  CURL *e = t->easy;
  CURLcode code = curl_easy_setopt(e, CURLOPT_POSTFIELDS, NULL);
  if (code == CURLE_OK)
    code = curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)s->length);
  if (code == CURLE_OK)
    code = curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
  if (code == CURLE_OK)
    code = curl_easy_setopt(e, CURLOPT_READDATA, t);
  if (code == CURLE_OK)
    code = curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek);
  if (code == CURLE_OK)
    code = curl_easy_setopt(e, CURLOPT_SEEKDATA, t);
  return code;
}

/* --- the life of a body --- */

bool rille_send_begin(struct rille_transfer *t) {
  struct rille_send *s = t->send;
  if (s == NULL || s->over)
    return true; /* a redirect that is followed without the body */
  if (s->length == 0) { /* libcurl will not ask */
    s->round = 1;
    rille_pool_note_sent(t);
  }
  return again(t);
}

void rille_send_stop(struct rille_transfer *t) {
  if (t->send == NULL || t->send->over)
    return;
  t->send->over = true;
  rille_pool_note_sent(t);
}

void rille_send_end(struct rille_transfer *t) {
  struct rille_send *s = t->send;
  if (s == NULL)
    return;
  t->send = NULL;
  s->transfer = NULL;
  s->over = true;
  list_remove(&s->news);
  rille_buffer_free(&s->data);
  s->at = 0;
}

/* libcurl may be about to send the request again, with credentials. */
static bool is_challenge(const struct rille_transfer *t) {
  bool all = t->send->finished && waiting(t->send) == 0;
  return t->send->round == 0 || ((t->status == 401 || t->status == 407) && all);
}

/* Has libcurl less than all of the body on its way? */
static bool is_sending(const struct rille_transfer *t) {
  const struct rille_send *s = t->send;
  curl_off_t gone = 0;
  (void)curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &gone);
  return !s->finished || waiting(s) > 0 || gone < s->sent;
}

void rille_send_on_answer(struct rille_transfer *t) {
  struct rille_send *s = t->send;
  if (s == NULL || s->over || t->version < 20 || t->status >= 300 || !is_sending(t))
    return;
  s->answered = true;
  rille_pool_note_sent(t);
}

/* A transfer whose head is in and that waits for nothing to read, though its body is not paused, has
 * read all of it. HTTP/1 only: the streams of a connection share a socket. */
void rille_send_on_interest(struct rille_transfer *t, int what) {
  struct rille_send *s = t->send;
  if (s == NULL || (what & CURL_POLL_IN) != 0 || !t->last_head || t->paused || t->version >= 20)
    return;
  if (is_challenge(t))
    return;
  s->answered = true;
  rille_pool_note_sent(t);
}
