/* server_connection.c -- listeners and connections of an HTTP/1 server. The model is told in
 * server_connection.h.
 * Owner:  told there. on_connection_closed and on_listener_closed free; nothing else does.
 * Errors: whatever fails on a connection closes it. After a call of a function that may close it
 *         (feed, refuse, sent, linger), look at its state before anything else of it. */
#include "server_connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
  LINGER_SECONDS = 2,
  RESERVED_DESCRIPTORS = 16 /* left for the rest of the program */
};

static const double RETRY_SECONDS = 0.1;

enum state { IDLE, READING, QUEUED, HANDLED, WRITING, LINGERING, CLOSED };

struct rille_connection {
  union rille_socket uv;
  struct rille_listener *listener;
  struct list link;                /* in listener->connections until closed */
  struct list queue;               /* in listener->queue while QUEUED */
  struct rille_exchange *exchange; /* who has its request; NULL unless HANDLED or WRITING */
  struct rille_request request;
  struct rille_deadline deadline;
  uv_shutdown_t shutdown;
  char *ahead;         /* read while the request before was handled; NULL: nothing was */
  size_t ahead_at;
  size_t ahead_length;
  size_t unsent;       /* at the last look at the progress of a write */
  unsigned writes;     /* handed to libuv and not yet done */
  int peer_port;
  uint8_t state;
  bool fresh;          /* has not had a request yet */
  bool keep;           /* goes on after this request */
  bool reading;        /* libuv reads */
  bool eof;            /* the client has shut its side */
  char peer[RILLE_PEER_SIZE];
};

/* What uv_write still has to write: a copy, so that nobody must keep the original. */
struct remainder {
  uv_write_t req;
  struct rille_connection *connection;
  char data[];
};

static void close_connection(struct rille_connection *c);
static void next_request(struct rille_connection *c);
static void take_held(struct rille_listener *l);

/* --- dates and phrases --- */

const char *rille_listener_date(struct rille_listener *l) {
  static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  struct tm t;
  time_t now = time(NULL);
  if (now == l->date_at || gmtime_r(&now, &t) == NULL)
    return l->date;
  l->date_at = now;
  (void)snprintf(l->date, sizeof l->date, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[t.tm_wday],
                 t.tm_mday, months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
  return l->date;
}

static const struct {
  int status;
  const char *phrase;
} PHRASES[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {418, "I'm a teapot"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {511, "Network Authentication Required"},
};

const char *rille_reason_phrase(int status) {
  for (size_t i = 0; i < sizeof PHRASES / sizeof *PHRASES; i++)
    if (PHRASES[i].status == status)
      return PHRASES[i].phrase;
  return "";
}

/* --- writing --- */

static void sent(struct rille_connection *c);

/* Parts the exchange from its connection; if it waits for its response, it learns how that went. */
static void release_exchange(struct rille_connection *c, bool was_sent) {
  struct rille_exchange *x = c->exchange;
  if (x == NULL)
    return;
  c->exchange = NULL;
  x->connection = NULL;
  if (x->state == RILLE_EXCHANGE_RESPONDING) {
    x->state = RILLE_EXCHANGE_ANSWERED;
    x->sent = was_sent;
    rille_op_done(&x->op);
  }
}

/* (Re)starts the deadline of the state that the connection is in; closes it without memory for
 * that. */
static void start_deadline(struct rille_connection *c, double seconds) {
  if (!rille_deadline_start(c->listener->rt, &c->deadline, seconds))
    close_connection(c);
}

static void on_written(uv_write_t *req, int status) {
  struct remainder *r = (struct remainder *)req;
  struct rille_connection *c = r->connection;
  free(r);
  c->writes--;
  if (c->state == CLOSED)
    return;
  if (status < 0)
    close_connection(c);
  else if (c->state == WRITING && c->writes == 0)
    sent(c);
}

static int write_rest(struct rille_connection *c, const uv_buf_t *buffers, unsigned count,
                      size_t done, size_t total) {
  struct remainder *r = malloc(sizeof *r + (total - done));
  if (r == NULL)
    return UV_ENOMEM;
  r->connection = c;
  size_t at = 0;
  for (unsigned i = 0; i < count; i++) {
    size_t skip = done < buffers[i].len ? done : buffers[i].len;
    memcpy(r->data + at, buffers[i].base + skip, buffers[i].len - skip);
    at += buffers[i].len - skip;
    done -= skip;
  }
  uv_buf_t rest = uv_buf_init(r->data, (unsigned)at);
  int err = uv_write(&r->req, &c->uv.stream, &rest, 1, on_written);
  if (err != 0) {
    free(r);
    return err;
  }
  c->writes++;
  return 0;
}

/* Writes what the kernel takes now and leaves a copy of the rest to libuv. 1: all is written, 0:
 * the rest is under way, or an error. */
static int write_buffers(struct rille_connection *c, const uv_buf_t *buffers, unsigned count) {
  size_t total = 0;
  for (unsigned i = 0; i < count; i++)
    total += buffers[i].len;
  int n = uv_try_write(&c->uv.stream, buffers, count);
  if (n < 0 && n != UV_EAGAIN)
    return n;
  size_t done = n > 0 ? (size_t)n : 0;
  return done == total ? 1 : write_rest(c, buffers, count, done, total);
}

/* --- ends --- */

static void listener_unref(struct rille_listener *l) {
  if (--l->references == 0)
    free(l);
}

static void on_connection_closed(uv_handle_t *handle) {
  struct rille_connection *c = handle->data;
  listener_unref(c->listener);
  free(c);
}

/* Gives the request of a queued connection to an exchange. */
static void hand_over(struct rille_connection *c, struct rille_exchange *x) {
  list_remove(&c->queue);
  c->state = HANDLED;
  c->exchange = x;
  x->connection = c;
  x->state = RILLE_EXCHANGE_OPEN;
  rille_request_take(&c->request, &x->message);
  memcpy(x->peer, c->peer, sizeof x->peer);
  x->peer_port = c->peer_port;
  x->head_only = strcmp(x->message.method, "HEAD") == 0;
  x->old = x->message.minor == 0;
}

/* Gives complete requests to who waits for one; when no more will come, nothing to all of them. */
static void hand_out(struct rille_listener *l) {
  while (!list_empty(&l->acceptors) && (!list_empty(&l->queue) || rille_listener_is_finished(l))) {
    struct rille_exchange *x = LIST_ENTRY(l->acceptors.next, struct rille_exchange, link);
    list_remove(&x->link);
    if (!list_empty(&l->queue))
      hand_over(LIST_ENTRY(l->queue.next, struct rille_connection, queue), x);
    rille_op_done(&x->op);
  }
}

static void drop_ahead(struct rille_connection *c) {
  free(c->ahead);
  c->ahead = NULL;
  c->ahead_at = c->ahead_length = 0;
}

static void close_connection(struct rille_connection *c) {
  if (c->state == CLOSED)
    return;
  struct rille_listener *l = c->listener;
  c->state = CLOSED;
  rille_deadline_stop(l->rt, &c->deadline);
  list_remove(&c->queue);
  list_remove(&c->link);
  l->count--;
  l->scarce = false;
  release_exchange(c, false);
  drop_ahead(c);
  rille_request_reset(&c->request);
  uv_close(&c->uv.handle, on_connection_closed);
  take_held(l);
  hand_out(l);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
  (void)suggested;
  struct rille_connection *c = handle->data;
  *buffer = uv_buf_init(c->listener->buffer, RILLE_READ_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer);

static void start_reading(struct rille_connection *c) {
  if (c->reading || c->eof || c->state == CLOSED)
    return;
  c->reading = true;
  if (uv_read_start(&c->uv.stream, on_alloc, on_read) != 0)
    close_connection(c);
}

static void stop_reading(struct rille_connection *c) {
  c->reading = false;
  (void)uv_read_stop(&c->uv.stream); /* cannot fail */
}

static void on_shutdown(uv_shutdown_t *req, int status) {
  struct rille_connection *c = req->data;
  if (status < 0)
    close_connection(c);
}

/* The last response is out: shuts this side and waits for the client to shut its own. */
static void linger(struct rille_connection *c) {
  drop_ahead(c);
  c->state = LINGERING;
  c->shutdown.data = c;
  if (c->eof || uv_shutdown(&c->shutdown, &c->uv.stream, on_shutdown) != 0) {
    close_connection(c);
    return;
  }
  start_deadline(c, LINGER_SECONDS);
  start_reading(c);
}

/* The response is out. */
static void sent(struct rille_connection *c) {
  release_exchange(c, true);
  if (c->keep && !c->listener->draining)
    next_request(c);
  else
    linger(c);
}

/* Waits for a response to be written, as long as there is progress. */
static void wait_written(struct rille_connection *c) {
  c->unsent = uv_stream_get_write_queue_size(&c->uv.stream);
  start_deadline(c, c->listener->options.write_timeout);
}

/* Answers what was refused, and ends the connection. */
static void refuse(struct rille_connection *c, int status, const char *reason) {
  char text[512];
  int n = snprintf(text, sizeof text,
                   "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: close\r\n"
                   "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n\r\n%s\n",
                   status, rille_reason_phrase(status), rille_listener_date(c->listener),
                   strlen(reason) + 1, reason);
  uv_buf_t buffer = uv_buf_init(text, (unsigned)n);
  c->keep = false;
  c->state = WRITING;
  int err = write_buffers(c, &buffer, 1);
  if (err < 0)
    close_connection(c);
  else if (err == 1)
    linger(c);
  else
    wait_written(c);
}

/* --- reading --- */

static void enqueue(struct rille_connection *c) {
  struct rille_listener *l = c->listener;
  rille_deadline_stop(l->rt, &c->deadline);
  c->keep = c->request.message.keep_alive;
  c->fresh = false;
  c->state = QUEUED;
  list_append(&l->queue, &c->queue);
  hand_out(l);
}

/* A client that waits for leave to send its body gets it, unless it has not waited. */
static void answer_expectation(struct rille_connection *c) {
  char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
  c->request.expects = false;
  if (c->request.message.body_length > 0 || c->request.framing > 0)
    return;
  uv_buf_t buffer = uv_buf_init(text, sizeof text - 1);
  if (write_buffers(c, &buffer, 1) < 0)
    close_connection(c);
}

/* A request has begun, or its body has grown. */
static void progress(struct rille_connection *c) {
  const struct rille_listener_options *options = &c->listener->options;
  bool first = c->state == IDLE;
  if (!rille_request_started(&c->request))
    return;
  c->state = READING;
  if (c->request.phase == RILLE_REQUEST_BODY)
    start_deadline(c, options->body_timeout);
  else if (first && !c->fresh) /* the first head's deadline began with the connection */
    start_deadline(c, options->header_timeout);
  if (c->state == READING && c->request.expects && c->request.phase == RILLE_REQUEST_BODY)
    answer_expectation(c);
}

/* Gives input to the reader of an IDLE or READING connection; returns how much of it was used. */
static size_t feed(struct rille_connection *c, const char *data, size_t length) {
  size_t used = rille_request_feed(&c->request, data, length);
  if (c->request.phase == RILLE_REQUEST_FAILED)
    refuse(c, c->request.status, c->request.reason);
  else if (c->request.phase == RILLE_REQUEST_COMPLETE)
    enqueue(c);
  else
    progress(c);
  return used;
}

static bool wants_input(const struct rille_connection *c) {
  return c->state == IDLE || c->state == READING;
}

/* Keeps what came before its time, and reads no more until it is used. */
static void keep_ahead(struct rille_connection *c, const char *data, size_t length) {
  c->ahead = malloc(length);
  if (c->ahead == NULL) {
    close_connection(c);
    return;
  }
  memcpy(c->ahead, data, length);
  c->ahead_length = length;
  stop_reading(c);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer) {
  struct rille_connection *c = stream->data;
  if (n == UV_EOF) {
    c->eof = true;
    stop_reading(c);
    if (wants_input(c) || c->state == LINGERING)
      close_connection(c);
  } else if (n < 0) {
    close_connection(c);
  } else if (n > 0 && c->state != LINGERING) {
    size_t length = (size_t)n;
    size_t used = wants_input(c) ? feed(c, buffer->base, length) : 0;
    if (used < length && c->state != LINGERING && c->state != CLOSED)
      keep_ahead(c, buffer->base + used, length - used);
  }
}

/* The connection is ready for another request, which may have been read already. */
static void next_request(struct rille_connection *c) {
  struct rille_listener *l = c->listener;
  rille_request_reset(&c->request);
  c->state = IDLE;
  list_remove(&c->link);
  list_append(&l->connections, &c->link);
  start_deadline(c, l->options.keep_alive);
  if (c->ahead != NULL && c->state == IDLE) {
    size_t used = feed(c, c->ahead + c->ahead_at, c->ahead_length - c->ahead_at);
    if (c->state == LINGERING || c->state == CLOSED)
      return;
    c->ahead_at += used;
    if (c->ahead_at == c->ahead_length)
      drop_ahead(c);
  }
  if (c->ahead == NULL)
    start_reading(c);
  if (c->eof && wants_input(c))
    close_connection(c);
}

/* The deadline of the state that the connection is in has passed. */
static void on_due(struct rille_deadline *d) {
  struct rille_connection *c = LIST_ENTRY(d, struct rille_connection, deadline);
  if (c->state == READING) {
    refuse(c, 408, "the request did not arrive in time");
  } else if (c->state == WRITING &&
             uv_stream_get_write_queue_size(&c->uv.stream) < c->unsent) {
    wait_written(c);
  } else {
    close_connection(c);
  }
}

/* --- accepting --- */

static void find_peer(struct rille_connection *c) {
  struct sockaddr_storage address;
  int length = sizeof address;
  if (c->uv.handle.type != UV_TCP ||
      uv_tcp_getpeername(&c->uv.tcp, (struct sockaddr *)&address, &length) != 0)
    return;
  if (address.ss_family == AF_INET6) {
    const struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
    (void)uv_ip6_name(in6, c->peer, sizeof c->peer);
    c->peer_port = ntohs(in6->sin6_port);
  } else {
    const struct sockaddr_in *in4 = (struct sockaddr_in *)&address;
    (void)uv_ip4_name(in4, c->peer, sizeof c->peer);
    c->peer_port = ntohs(in4->sin_port);
  }
}

/* Descriptors are given lowest first: a high one tells that few are left. */
static bool descriptors_are_scarce(const struct rille_connection *c) {
  struct rlimit limit;
  uv_os_fd_t fd;
  if (uv_fileno(&c->uv.handle, &fd) != 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return false;
  return limit.rlim_cur != RLIM_INFINITY && (rlim_t)fd + RESERVED_DESCRIPTORS >= limit.rlim_cur;
}

static struct rille_connection *new_connection(struct rille_listener *l) {
  struct rille_connection *c = calloc(1, sizeof *c);
  if (c == NULL)
    return NULL;
  bool tcp = l->uv.handle.type == UV_TCP;
  int err = tcp ? uv_tcp_init(&l->rt->loop, &c->uv.tcp)
                : uv_pipe_init(&l->rt->loop, &c->uv.pipe, 0);
  if (err != 0) {
    free(c);
    return NULL;
  }
  c->uv.handle.data = c;
  c->listener = l;
  c->fresh = true;
  c->deadline.due = on_due;
  c->deadline.real = true; /* clients do not live in virtual time */
  list_init(&c->queue);
  list_append(&l->connections, &c->link);
  rille_request_init(&c->request, &l->options.limits);
  l->count++;
  l->references++;
  return c;
}

static void retry_later(struct rille_listener *l) {
  /* without memory for the deadline, the next connection to close takes the held one */
  (void)rille_deadline_start(l->rt, &l->retry, RETRY_SECONDS);
}

static void accept_held(struct rille_listener *l) {
  struct rille_connection *c = new_connection(l);
  if (c == NULL) {
    retry_later(l);
    return;
  }
  l->held = false;
  if (uv_accept(&l->uv.stream, &c->uv.stream) != 0) {
    close_connection(c);
    return;
  }
  if (c->uv.handle.type == UV_TCP)
    (void)uv_tcp_nodelay(&c->uv.tcp, 1); /* a socket that cannot do that is slower, not wrong */
  find_peer(c);
  l->scarce = descriptors_are_scarce(c);
  start_deadline(c, l->options.header_timeout);
  start_reading(c);
}

/* Closes the connection that has been idle longest. */
static bool shed_idle(struct rille_listener *l) {
  for (struct list *link = l->connections.next; link != &l->connections; link = link->next) {
    struct rille_connection *c = LIST_ENTRY(link, struct rille_connection, link);
    if (c->state == IDLE && !c->fresh) {
      close_connection(c);
      return true;
    }
  }
  return false;
}

/* Takes the connection that libuv holds, if there is room for it. */
static void take_held(struct rille_listener *l) {
  if (!l->held || !l->listening || l->retry.index != 0)
    return;
  bool full = l->count >= l->options.max_connections;
  if (full || l->scarce) {
    if (!shed_idle(l) && !full) /* closing an idle one comes back here */
      retry_later(l);
  } else {
    accept_held(l);
  }
}

static void on_retry(struct rille_deadline *d) {
  struct rille_listener *l = LIST_ENTRY(d, struct rille_listener, retry);
  l->scarce = false;
  take_held(l);
}

/* With an error, libuv had no descriptor for the connection, and has closed it. */
static void on_connection(uv_stream_t *stream, int status) {
  struct rille_listener *l = stream->data;
  if (status < 0) {
    (void)shed_idle(l);
    return;
  }
  l->held = true;
  take_held(l);
}

/* --- listeners --- */

struct rille_listener *rille_listener_new(struct rille *rt,
                                          const struct rille_listener_options *options) {
  struct rille_listener *l = calloc(1, sizeof *l);
  if (l == NULL)
    return NULL;
  l->rt = rt;
  l->options = *options;
  l->references = 1;
  l->retry.due = on_retry;
  l->retry.real = true;
  list_init(&l->connections);
  list_init(&l->queue);
  list_init(&l->acceptors);
  return l;
}

static int start_listening(struct rille_listener *l, int err, int backlog) {
  l->uv.handle.data = l;
  l->references++;
  l->listening = true;
  if (err == 0)
    err = uv_listen(&l->uv.stream, backlog, on_connection);
  if (err != 0)
    rille_listener_close(l);
  return err;
}

int rille_listener_open_tcp(struct rille_listener *l, const struct sockaddr *address, int backlog) {
  int err = uv_tcp_init(&l->rt->loop, &l->uv.tcp);
  if (err != 0)
    return err;
  return start_listening(l, uv_tcp_bind(&l->uv.tcp, address, 0), backlog);
}

int rille_listener_open_unix(struct rille_listener *l, const char *path, int backlog) {
  int err = uv_pipe_init(&l->rt->loop, &l->uv.pipe, 0);
  if (err != 0)
    return err;
  return start_listening(l, uv_pipe_bind(&l->uv.pipe, path), backlog);
}

static void on_listener_closed(uv_handle_t *handle) { listener_unref(handle->data); }

static void stop_listening(struct rille_listener *l) {
  l->draining = true;
  rille_deadline_stop(l->rt, &l->retry);
  if (!l->listening)
    return;
  l->listening = false;
  uv_close(&l->uv.handle, on_listener_closed);
}

/* Closes connections: the idle ones, or all. */
static void close_connections(struct rille_listener *l, bool all) {
  struct list *link = l->connections.next;
  while (link != &l->connections) {
    struct rille_connection *c = LIST_ENTRY(link, struct rille_connection, link);
    link = link->next; /* closing one connection closes no other, for none is accepted any more */
    if (all || c->state == IDLE)
      close_connection(c);
  }
}

void rille_listener_drain(struct rille_listener *l) {
  stop_listening(l);
  close_connections(l, false);
  hand_out(l);
}

void rille_listener_close(struct rille_listener *l) {
  stop_listening(l);
  close_connections(l, true);
  hand_out(l);
}

void rille_listener_release(struct rille_listener *l) {
  rille_listener_close(l);
  listener_unref(l);
}

bool rille_listener_is_finished(const struct rille_listener *l) {
  if (!l->draining || !list_empty(&l->queue))
    return false;
  for (struct list *link = l->connections.next; link != &l->connections; link = link->next)
    if (LIST_ENTRY(link, struct rille_connection, link)->state == READING)
      return false;
  return true;
}

/* --- exchanges --- */

void rille_exchange_init(struct rille_exchange *x, const struct rille_op_class *accept_class) {
  memset(x, 0, sizeof *x);
  rille_op_init(&x->op, accept_class);
  list_init(&x->link);
}

void rille_exchange_accept(struct rille_exchange *x, struct rille_listener *l) {
  list_append(&l->acceptors, &x->link);
  hand_out(l);
}

void rille_exchange_forget(struct rille_exchange *x) {
  list_remove(&x->link);
  if (x->connection == NULL)
    return;
  x->connection->exchange = NULL;
  x->connection = NULL;
  x->state = RILLE_EXCHANGE_ANSWERED;
}

struct rille_listener *rille_exchange_listener(const struct rille_exchange *x) {
  return x->connection != NULL ? x->connection->listener : NULL;
}

bool rille_exchange_keeps_alive(const struct rille_exchange *x) {
  const struct rille_connection *c = x->connection;
  return c != NULL && c->keep && !c->listener->draining && !c->listener->held;
}

bool rille_exchange_respond(struct rille_exchange *x, const uv_buf_t *buffers, unsigned count,
                            bool keep) {
  struct rille_connection *c = x->connection;
  x->state = RILLE_EXCHANGE_ANSWERED;
  x->sent = false;
  if (c == NULL)
    return true;
  c->keep = keep;
  c->state = WRITING;
  int err = write_buffers(c, buffers, count);
  if (err < 0) {
    close_connection(c);
    return true;
  }
  if (err == 1) {
    sent(c);
    x->sent = true;
    return true;
  }
  x->state = RILLE_EXCHANGE_RESPONDING;
  wait_written(c);
  return x->connection == NULL;
}

void rille_exchange_drop(struct rille_exchange *x) {
  struct rille_connection *c = x->connection;
  bool unanswered = x->state == RILLE_EXCHANGE_OPEN;
  rille_exchange_forget(x);
  x->state = RILLE_EXCHANGE_ANSWERED;
  rille_message_free(&x->message);
  if (c != NULL && unanswered)
    close_connection(c);
}
