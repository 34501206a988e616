/* server_connection.h -- an HTTP/1 server's listeners and connections on libuv, without Lua.
 *
 * Model.  A connection reads one request at a time. A complete request goes into its listener's
 * queue, from there to an exchange, which a binding embeds in an object and which answers it once.
 * While a request is queued or handled, at most one read of what follows it is kept and no more is
 * read: that is the back-pressure. Responses leave in the order of the requests, because the next
 * request is not looked at before the response is out.
 *   A connection is IDLE, READING, QUEUED, HANDLED, WRITING, then IDLE again, or LINGERING: its
 * side is shut, and what the client still sends is read and dropped for a while, because closing a
 * socket with unread input would destroy the response on its way. Each state has its deadline, but
 * for QUEUED and HANDLED: how long a handler takes is its own affair.
 *   A listener with max_connections open ones closes the one that has been idle longest, or else
 * leaves new ones in the kernel's queue, and keeps none of the open ones after its response. When
 * descriptors run short it does the same, but for one more connection every RETRY_SECONDS.
 *
 * Owner.  A listener lives until it is released by its creator and the close callbacks of its
 * handle and of its connections have run. A connection belongs to libuv from its accept to its
 * close callback. An exchange belongs to the binding; it and its connection know each other, and
 * whichever goes first clears the other's pointer. A message belongs to the exchange that received
 * it.
 *
 * Errors. A refused request is answered and its connection closed, here; the binding never sees
 * it. A connection that fails is closed; the exchange that still knows it learns that nobody
 * gets the response. Functions that return int return a libuv status. */
#ifndef RILLE_SERVER_CONNECTION_H
#define RILLE_SERVER_CONNECTION_H

#include <netinet/in.h>
#include <time.h>

#include <uv.h>

#include "fiber.h"
#include "list.h"
#include "server_request.h"
#include "runtime.h"

struct rille_connection;

union rille_socket {
  uv_handle_t handle;
  uv_stream_t stream;
  uv_tcp_t tcp;
  uv_pipe_t pipe;
};

struct rille_listener_options {
  struct rille_request_limits limits;
  uint32_t max_connections;
  double header_timeout; /* seconds for a whole head */
  double body_timeout;   /* seconds without progress */
  double keep_alive;     /* seconds between requests */
  double write_timeout;  /* seconds without progress */
};

enum { RILLE_READ_SIZE = 64 * 1024, RILLE_DATE_SIZE = 32, RILLE_PEER_SIZE = INET6_ADDRSTRLEN };

struct rille_listener {
  union rille_socket uv;
  struct rille *rt;
  struct rille_listener_options options;
  struct list connections; /* open ones; those that became idle last are at the end */
  struct list queue;       /* connections whose request is complete */
  struct list acceptors;   /* exchanges that wait for a request, first come first served */
  struct rille_deadline retry;
  uint32_t count;          /* of open connections */
  int references;          /* the creator, the handle, each connection until its close callback */
  bool listening;
  bool draining;           /* requests that have begun may still come, no others */
  bool held;               /* libuv holds an accepted connection that was not taken */
  bool scarce;             /* few descriptors were left at the last accept */
  time_t date_at;          /* when `date` was made */
  char date[RILLE_DATE_SIZE];
  char buffer[RILLE_READ_SIZE]; /* of every read: what is read is used or copied at once */
};

enum rille_exchange_state {
  RILLE_EXCHANGE_EMPTY,      /* has no request (yet) */
  RILLE_EXCHANGE_OPEN,       /* has one, and may answer it */
  RILLE_EXCHANGE_RESPONDING, /* the response is being written */
  RILLE_EXCHANGE_ANSWERED
};

struct rille_exchange {
  struct rille_op op;  /* first: an exchange is the op of the accept, then of the response */
  struct list link;    /* in acceptors */
  struct rille_connection *connection; /* NULL: none yet, gone, or done with */
  struct rille_message message;
  char peer[RILLE_PEER_SIZE]; /* numeric address; "" for a Unix socket */
  int peer_port;
  uint8_t state;
  bool head_only;      /* the method is HEAD */
  bool old;            /* the client speaks HTTP/1.0 */
  bool sent;           /* the response went to the kernel */
};

/* Makes a listener that is not open yet, and owned by the caller. NULL when out of memory. */
struct rille_listener *rille_listener_new(struct rille *rt,
                                          const struct rille_listener_options *options);

/* Binds and listens; call one of them, once. */
int rille_listener_open_tcp(struct rille_listener *l, const struct sockaddr *address, int backlog);
int rille_listener_open_unix(struct rille_listener *l, const char *path, int backlog);

/* Stops listening and closes what is idle. Requests that have begun to arrive may still be
 * accepted, until rille_listener_is_finished. */
void rille_listener_drain(struct rille_listener *l);

/* Drains and closes every connection. Idempotent. */
void rille_listener_close(struct rille_listener *l);

/* Closes; the creator lets go. */
void rille_listener_release(struct rille_listener *l);

/* No request will come any more. */
bool rille_listener_is_finished(const struct rille_listener *l);

/* The time for a Date header, made once a second. */
const char *rille_listener_date(struct rille_listener *l);

void rille_exchange_init(struct rille_exchange *x, const struct rille_op_class *accept_class);

/* Gives x the next request: at once (its op is done), or when there is one. x stays empty if the
 * listener is finished before. */
void rille_exchange_accept(struct rille_exchange *x, struct rille_listener *l);

/* x no longer waits for a request, or for its response to be written: an abort. */
void rille_exchange_forget(struct rille_exchange *x);

/* The listener whose request this is; NULL once the connection is gone. */
struct rille_listener *rille_exchange_listener(const struct rille_exchange *x);

/* Whether the connection may be used again after this exchange: the client wants it, and the
 * listener neither drains nor has another client waiting for a place. */
bool rille_exchange_keeps_alive(const struct rille_exchange *x);

/* Writes the response, and nothing else will be: x must be open. True if that is settled
 * (x->sent tells how); else x's op will be done. The buffers are not needed after the call. */
bool rille_exchange_respond(struct rille_exchange *x, const uv_buf_t *buffers, unsigned count,
                            bool keep);

/* x is going away: an unanswered request's connection is closed. */
void rille_exchange_drop(struct rille_exchange *x);

/* The reason phrase of a status; "" for one that has none. */
const char *rille_reason_phrase(int status);

#endif
