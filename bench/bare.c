/* bare.c -- the rival of bench/http.lua: the same requests in C on libuv and libcurl, and nothing
 * else.
 * Usage:  bare URL [requests=20000] [concurrency=64]; prints requests a second, and microseconds of
 *         processor time that each has cost.
 * Model:  curl's example multi-uv.c with its faults mended: what it allocates and starts is
 *         checked, poll errors are passed on, the timer finds its owner by data, completions are
 *         read after every action (time-outs too), and clean-up comes before the last turn of the
 *         loop. Easy handles are reused; a body is kept whole, in memory of the request, and
 *         dropped unread.
 * Owner:  main owns everything; a watch is freed in its close callback.
 * Errors: the first one ends the program with status 1: a benchmark of failures would tell nothing.
 *         */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>
#include <uv.h>

enum { BODY_SIZE = 1024 * 1024 };

struct bench {
  uv_loop_t loop;
  uv_timer_t timer;
  CURLM *multi;
  long left; /* requests not yet started */
  long done;
};

struct request {
  CURL *easy;
  char *body;
  size_t length;
};

struct watch {
  uv_poll_t poll;
  struct bench *bench;
  curl_socket_t fd;
};

static void must(int ok, const char *what) {
  if (ok)
    return;
  (void)fprintf(stderr, "bare: %s failed\n", what);
  exit(1);
}

static size_t on_body(char *data, size_t one, size_t length, void *user) {
  struct request *r = user;
  length *= one;
  if (length > BODY_SIZE - r->length)
    return 0;
  memcpy(r->body + r->length, data, length);
  r->length += length;
  return length;
}

static void read_completions(struct bench *b) {
  CURLMsg *message;
  int queued;
  while ((message = curl_multi_info_read(b->multi, &queued)) != NULL) {
    struct request *r = NULL;
    long status = 0;
    CURL *easy = message->easy_handle;
    must(message->data.result == CURLE_OK, curl_easy_strerror(message->data.result));
    must(curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK, "getinfo");
    must(status == 200, "a request (the status is not 200)");
    must(curl_easy_getinfo(easy, CURLINFO_PRIVATE, &r) == CURLE_OK, "getinfo");
    must(curl_multi_remove_handle(b->multi, easy) == CURLM_OK, "curl_multi_remove_handle");
    b->done++;
    r->length = 0;
    if (b->left > 0) {
      b->left--;
      must(curl_multi_add_handle(b->multi, easy) == CURLM_OK, "curl_multi_add_handle");
    }
  }
}

static void act(struct bench *b, curl_socket_t fd, int flags) {
  int running = 0;
  must(curl_multi_socket_action(b->multi, fd, flags, &running) == CURLM_OK, "socket_action");
  read_completions(b);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  struct watch *w = poll->data;
  int flags = status < 0 ? CURL_CSELECT_ERR : 0;
  flags |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
  flags |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
  act(w->bench, w->fd, flags);
}

static void on_timer(uv_timer_t *timer) { act(timer->data, CURL_SOCKET_TIMEOUT, 0); }

static int on_curl_timer(CURLM *multi, long ms, void *data) {
  (void)multi;
  struct bench *b = data;
  if (ms < 0)
    return uv_timer_stop(&b->timer);
  return uv_timer_start(&b->timer, on_timer, (uint64_t)ms, 0) == 0 ? 0 : -1;
}

static void on_closed(uv_handle_t *handle) { free(handle->data); }

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *known) {
  (void)easy;
  struct bench *b = data;
  struct watch *w = known;
  if (what == CURL_POLL_REMOVE) {
    if (w != NULL)
      uv_close((uv_handle_t *)&w->poll, on_closed);
    (void)curl_multi_assign(b->multi, fd, NULL); /* it fails if libcurl forgot the socket already */
    return 0;
  }
  if (w == NULL) {
    w = malloc(sizeof *w);
    must(w != NULL && uv_poll_init_socket(&b->loop, &w->poll, fd) == 0, "uv_poll_init_socket");
    w->poll.data = w;
    w->bench = b;
    w->fd = fd;
    must(curl_multi_assign(b->multi, fd, w) == CURLM_OK, "curl_multi_assign");
  }
  int events = ((what & CURL_POLL_IN) != 0 ? UV_READABLE : 0) |
               ((what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0);
  return uv_poll_start(&w->poll, events, on_poll) == 0 ? 0 : -1;
}

static void set_up(struct bench *b, long concurrency) {
  memset(b, 0, sizeof *b);
  (void)signal(SIGPIPE, SIG_IGN);
  must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK, "curl_global_init");
  must(uv_loop_init(&b->loop) == 0, "uv_loop_init");
  must(uv_timer_init(&b->loop, &b->timer) == 0, "uv_timer_init");
  b->timer.data = b;
  b->multi = curl_multi_init();
  must(b->multi != NULL, "curl_multi_init");
  must(curl_multi_setopt(b->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
           curl_multi_setopt(b->multi, CURLMOPT_SOCKETDATA, b) == CURLM_OK &&
           curl_multi_setopt(b->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer) == CURLM_OK &&
           curl_multi_setopt(b->multi, CURLMOPT_TIMERDATA, b) == CURLM_OK &&
           curl_multi_setopt(b->multi, CURLMOPT_MAXCONNECTS, concurrency) == CURLM_OK,
       "curl_multi_setopt");
}

static void start(struct bench *b, struct request *r, const char *url) {
  r->body = malloc(BODY_SIZE);
  r->easy = curl_easy_init();
  must(r->body != NULL && r->easy != NULL, "memory");
  must(curl_easy_setopt(r->easy, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(r->easy, CURLOPT_PRIVATE, r) == CURLE_OK &&
           curl_easy_setopt(r->easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(r->easy, CURLOPT_WRITEDATA, r) == CURLE_OK,
       "curl_easy_setopt");
  must(curl_multi_add_handle(b->multi, r->easy) == CURLM_OK, "curl_multi_add_handle");
}

static long number(const char *text) {
  char *end;
  long n = strtol(text, &end, 10);
  must(*end == '\0' && n > 0, text);
  return n;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    (void)fprintf(stderr, "usage: bare URL [requests] [concurrency]\n");
    return 2;
  }
  long total = argc > 2 ? number(argv[2]) : 20000;
  long concurrency = argc > 3 ? number(argv[3]) : 64;
  concurrency = concurrency < total ? concurrency : total;
  struct bench b;
  set_up(&b, concurrency);
  struct request *requests = calloc((size_t)concurrency, sizeof *requests);
  must(requests != NULL, "memory");
  uint64_t begin = uv_hrtime();
  clock_t used = clock();
  b.left = total - concurrency;
  for (long i = 0; i < concurrency; i++)
    start(&b, &requests[i], argv[1]);
  while (b.done < total)
    must(uv_run(&b.loop, UV_RUN_ONCE) != 0 || b.done == total, "the loop");
  double seconds = (double)(uv_hrtime() - begin) / 1e9;
  double spent = (double)(clock() - used) / CLOCKS_PER_SEC;
  for (long i = 0; i < concurrency; i++) {
    curl_easy_cleanup(requests[i].easy);
    free(requests[i].body);
  }
  free(requests);
  must(curl_multi_cleanup(b.multi) == CURLM_OK, "curl_multi_cleanup");
  uv_close((uv_handle_t *)&b.timer, NULL);
  (void)uv_run(&b.loop, UV_RUN_DEFAULT);
  must(uv_loop_close(&b.loop) == 0, "uv_loop_close");
  curl_global_cleanup();
  (void)printf("%.0f %.1f\n", (double)total / seconds, spent / (double)total * 1e6);
  return 0;
}
