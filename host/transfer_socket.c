/* transfer_socket.c -- the sockets of a pool, watched by libuv for libcurl. The model is told in
 * transfer_socket.h.
 * Rules:  rille_sockets_open, on_close and on_socket are called by libcurl: they call nothing of
 *         curl_multi_*.
 * Owner:  a watch (a poll handle) is freed in its close callback.
 * Errors: as told there. */
#include "transfer_socket.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transfer.h"

/* The poll handle of a socket. */
struct watch {
  uv_poll_t poll;
  struct rille_sockets *sockets;
  int fd;
  int wanted; /* what libcurl wants to know; 0: nothing, it rests */
  int armed;  /* what libuv was asked for */
  bool idle;  /* it rests between two requests: nothing may come */
};

struct rille_socket_slot {
  struct watch *watch;
  bool connection; /* made by rille_sockets_open, so that on_close will tell of its end */
};

static void on_watch_closed(uv_handle_t *handle) {
  struct watch *w = handle->data;
  struct rille_sockets *s = w->sockets;
  free(w);
  s->handles--;
  s->on_closed(s);
}

static struct rille_socket_slot *slot_of(struct rille_sockets *s, int fd) {
  if (fd < s->slot_count)
    return &s->slots[fd];
  int count = s->slot_count < 64 ? 64 : s->slot_count;
  while (count <= fd)
    count *= 2;
  struct rille_socket_slot *slots = realloc(s->slots, (size_t)count * sizeof *slots);
  if (slots == NULL)
    return NULL;
  for (int i = s->slot_count; i < count; i++)
    slots[i] = (struct rille_socket_slot){NULL, false};
  s->slots = slots;
  s->slot_count = count;
  return &slots[fd];
}

static void on_poll(uv_poll_t *poll, int status, int events);

static struct watch *watch_new(struct rille_sockets *s, int fd) {
  struct watch *w = malloc(sizeof *w);
  if (w == NULL || uv_poll_init_socket(s->loop, &w->poll, fd) != 0) {
    free(w);
    return NULL;
  }
  w->poll.data = w;
  w->sockets = s;
  w->fd = fd;
  w->wanted = 0;
  w->armed = 0;
  w->idle = false;
  s->handles++;
  return w;
}

static void watch_close(struct rille_socket_slot *slot) {
  struct watch *w = slot->watch;
  slot->watch = NULL;
  if (w != NULL)
    uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

/* uv_poll_start costs system calls even if nothing changes: leave alone what is right. */
static bool watch_arm(struct watch *w) {
  if (w->armed == w->wanted)
    return true;
  int err = uv_poll_start(&w->poll, w->wanted, on_poll);
  w->armed = err == 0 ? w->wanted : 0;
  return err == 0;
}

/* True if a transfer is done with its connection, so that nothing may come until the next request. A
 * paused one is not done, and to HTTP/2 a connection speaks at any time. */
static bool is_idle_after(CURL *easy, const struct rille_transfer *t) {
  long version = CURL_HTTP_VERSION_NONE;
  (void)curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
  return t != NULL && !t->paused && (version == CURL_HTTP_VERSION_1_0 || version == CURL_HTTP_VERSION_1_1);
}

/* libcurl is done with the connection for now. It is likely to read from it next, so it stays
 * armed. */
static void watch_rest(struct watch *w, bool idle) {
  w->wanted = 0;
  w->idle = idle;
  if ((w->armed & UV_WRITABLE) != 0) {
    (void)uv_poll_stop(&w->poll); /* it always succeeds */
    w->armed = 0;
  }
  uv_unref((uv_handle_t *)&w->poll);
}

/* What comes between two requests was not asked for. libcurl 7.88 would take it for the answer to the
 * next one, and so for that of another resource: it is dropped, and the connection ended, which libcurl
 * finds out when it wants to use it. */
static void drop_unasked(int fd) {
  char scrap[4096];
  if (recv(fd, scrap, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
    return; /* the peer closed it */
  (void)shutdown(fd, SHUT_RDWR);
  while (recv(fd, scrap, sizeof scrap, MSG_DONTWAIT) > 0) {
  }
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  struct watch *w = poll->data;
  struct rille_sockets *s = w->sockets;
  int fd = w->fd;
  if (status < 0)
    w->armed = 0; /* libuv has stopped it */
  if (w->wanted == 0) {
    /* The peer closed a kept connection, or more has come for a paused one: libcurl will find out
     * when it wants to use it. Or it has answered what nobody asked. */
    if (w->idle && s->paused == 0)
      drop_unasked(fd);
    (void)uv_poll_stop(poll);
    w->armed = 0;
    return;
  }
  /* With an error, say also what was awaited: libcurl then tries it and learns the reason. */
  int flags = status < 0 ? CURL_CSELECT_ERR : 0;
  events = status < 0 ? w->wanted : events;
  flags |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
  flags |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
  s->on_ready(s, fd, flags);
  if (status < 0 && fd < s->slot_count && s->slots[fd].watch == w)
    (void)watch_arm(w); /* libcurl still wants it; if this fails, the time-outs end the transfer */
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *socket_data) {
  (void)socket_data;
  struct rille_sockets *s = data;
  struct rille_transfer *t = NULL;
  struct rille_socket_slot *slot = slot_of(s, fd);
  if (slot == NULL)
    return -1;
  if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t) != CURLE_OK)
    t = NULL;
  if (t != NULL && t->fd == fd)
    rille_send_on_interest(t, what);
  if (t != NULL) { /* 7.88 does not tell the socket of a transfer in flight */
    t->fd = fd;
    t->rests = what == CURL_POLL_REMOVE;
  }
  if (what == CURL_POLL_REMOVE) {
    if (slot->watch != NULL && slot->connection)
      watch_rest(slot->watch, is_idle_after(easy, t));
    else
      watch_close(slot);
    return 0;
  }
  if (slot->watch == NULL && (slot->watch = watch_new(s, fd)) == NULL)
    return -1;
  slot->watch->wanted = ((what & CURL_POLL_IN) != 0 ? UV_READABLE : 0) |
                        ((what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0);
  uv_ref((uv_handle_t *)&slot->watch->poll);
  return watch_arm(slot->watch) ? 0 : -1;
}

curl_socket_t rille_sockets_open(void *data, curlsocktype purpose, struct curl_sockaddr *address) {
  (void)purpose;
  struct rille_sockets *s = data;
  int fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                  address->protocol);
  if (fd < 0)
    return CURL_SOCKET_BAD;
  struct rille_socket_slot *slot = slot_of(s, fd);
  if (slot == NULL) {
    (void)close(fd); /* nothing was written */
    return CURL_SOCKET_BAD;
  }
  slot->connection = true;
  s->open++;
  return fd;
}

static int on_close(void *data, curl_socket_t fd) {
  struct rille_sockets *s = data;
  if (fd < s->slot_count) {
    watch_close(&s->slots[fd]);
    s->open -= s->slots[fd].connection ? 1 : 0;
    s->slots[fd].connection = false;
  }
  return close(fd);
}

void rille_sockets_pause(struct rille_sockets *s, bool *paused, bool value) {
  if (*paused == value)
    return;
  *paused = value;
  s->paused += value ? 1 : -1U;
}

bool rille_sockets_serve_easy(struct rille_sockets *s, CURL *easy) {
  return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, rille_sockets_open) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, s) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, s) == CURLE_OK;
}

bool rille_sockets_serve_multi(struct rille_sockets *s, CURLM *multi) {
  return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
         curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, s) == CURLM_OK;
}

void rille_sockets_close(struct rille_sockets *s) {
  for (int i = 0; i < s->slot_count; i++)
    watch_close(&s->slots[i]);
}

void rille_sockets_free(struct rille_sockets *s) { free(s->slots); }
