/* transfer.h -- HTTP transfers: a libcurl multi handle driven by a libuv loop. No Lua.
 *
 * Model.  A pool is a multi handle, its connections, one timer and its sockets (transfer_socket.h).
 * A transfer is one request and its whole response. Its easy handle is not used again: libcurl 7.88 frees the
 * headers of a handle that is, and keeps a pointer to the last of them, where a head that begins with a
 * folded line would be written. A user takes a transfer, adds headers, starts it and is told once, by
 * on_done, that it has ended; the result is in the transfer until it is released. Or the user
 * releases it at any time between, and is told nothing.
 *   A streamed transfer is told of twice more: by on_head when the head of its last response is in,
 * and by on_data when there is something to read. What is decoded and not read is bounded by
 * RILLE_STREAM_LIMIT and one piece of libcurl's: then the transfer pauses, until its user has
 * consumed. Of a compressed piece only so much is decoded as there is room for. A transfer may have
 * ended with a rest to be read and even to be decoded: its result is what it is once it is read.
 *   A request's body is a string, or is sent as it comes (transfer_send.h); the user is told of that by
 * on_sent.
 *   The callbacks are called with libcurl at rest: they may start and release transfers.
 * Whatever the user calls that starts a transfer, moves it on, fails it or closes the pool may call
 * on_done.
 *
 * Owner.  The pool owns its transfers and whatever they hold. A request's strings are copied, all
 * but the body, which must stay until the transfer is done or released. A pool that was
 * freed goes when libuv has let go of its handles.
 *
 * Errors.  Everything that can go wrong ends the transfer with a reason in t->end. Never a short
 * success: headers, framing and content coding must be complete. */
#ifndef RILLE_TRANSFER_H
#define RILLE_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>
#include <uv.h>

#include "buffer.h"
#include "decode.h"
#include "list.h"
#include "transfer_access.h"
#include "transfer_send.h"

struct rille_jar;
struct rille_pool;
struct rille_sockets;

enum rille_transfer_end {
  RILLE_END_NONE, /* in flight */
  RILLE_END_OK,
  RILLE_END_CURL,          /* t->code, t->os_error and t->detail tell */
  RILLE_END_TOTAL_TIMEOUT,
  RILLE_END_IDLE_TIMEOUT,
  RILLE_END_BODY_SIZE,     /* body larger than max_body */
  RILLE_END_HEAD_SIZE,     /* headers larger than RILLE_HEAD_LIMIT */
  RILLE_END_CUT_HEAD,      /* the peer stopped in the middle of the headers */
  RILLE_END_FRAMING,       /* contradicting headers, or a transfer coding nobody asked for */
  RILLE_END_CUT_CODING,    /* the compressed body is not complete */
  RILLE_END_BAD_CODING,    /* the compressed body is corrupt */
  RILLE_END_WINDOW,        /* the compressed body needs too large a window */
  RILLE_END_CODINGS,       /* the body has more codings than we undo */
  RILLE_END_SEND_SHORT,    /* the request's body ended before the length that it was said to have */
  RILLE_END_SEND_LONG,     /* or did not end there */
  RILLE_END_RESEND,        /* the request's body is asked for again, and cannot be */
  RILLE_END_UPLOAD,        /* the user failed to go on with the request's body */
  RILLE_END_UNANSWERED,    /* a kept connection has ended, and the request cannot be sent again */
  RILLE_END_CLOSED         /* the pool was closed */
};

enum { RILLE_HEAD_LIMIT = 256 * 1024 };

enum {
  RILLE_STREAM_LIMIT = 256 * 1024, /* what a streamed body may hold unread before it pauses */
  RILLE_DRAIN_LIMIT = 64 * 1024    /* of a rest that is thrown away to keep the connection */
};

/* What libcurl is told of method and body. */
enum rille_transfer_shape {
  RILLE_SHAPE_GET,
  RILLE_SHAPE_HEAD,
  RILLE_SHAPE_POST,
  RILLE_SHAPE_OTHER,     /* any other method, without a body */
  RILLE_SHAPE_OTHER_BODY
};

/* Which version of HTTP the requests of a pool are sent with. */
enum rille_http_version {
  RILLE_HTTP_1_1,
  RILLE_HTTP_AUTO, /* HTTP/2 over TLS, if the server offers it */
  RILLE_HTTP_2     /* that, and without TLS HTTP/2 without asking */
};

struct rille_transfer_request {
  const char *method;
  const char *url;
  const char *body; /* NULL: none; borrowed until the end */
  size_t body_length;
  struct rille_send *send; /* a body that is sent as it comes, in place of the other; or NULL */
  long connect_timeout; /* milliseconds; 0: none */
  long total_timeout;
  long idle_timeout;
  long max_redirects; /* negative: redirects are not followed */
  uint64_t max_body;
  bool decompress;
  bool stream; /* the body is read as it comes; max_body is not looked at */
  struct rille_access access;
};

struct rille_transfer {
  struct list link; /* in the pool's list of busy or ended transfers */
  struct rille_pool *pool;
  void *owner; /* the user's; the pool does not look at it */
  /* The result. */
  enum rille_transfer_end end;
  CURLcode code;
  long os_error;    /* errno, if libcurl knows one */
  int status;       /* of the last response, 0 if there was none */
  int version;      /* 10, 11, 20 */
  struct rille_buffer head;  /* status line and headers of the last response */
  struct rille_buffer body;
  struct rille_buffer trail; /* URLs that redirects led to, each with its '\0' */
  uint32_t hops;             /* how many */
  int64_t time_lookup, time_connect, time_tls, time_first, time_redirect, time_total; /* us */
  char detail[CURL_ERROR_SIZE]; /* libcurl's words; those of the first failure only */
  int64_t received; /* bytes of the last response's body, as they were sent */
  bool chunked;     /* the last response has chunks */
  bool head_open;   /* its head has begun and not ended */
  bool streamed;    /* its body is read as it comes */
  bool head_done;   /* of a streamed one: the head is in, and no redirect will follow */
  struct rille_send *send; /* its request's body, until that is over; NULL: none that comes bit by bit */
  char refused[46]; /* the private address that it was refused; "": none */
  /* Private to transfer.c and its parts. */
  CURL *easy;
  struct rille_sockets *sockets;    /* the pool's */
  struct rille_jar *jar;            /* the pool's cookies, or NULL */
  enum rille_http_version http;     /* the pool's */
  bool added;                       /* in the multi handle */
  uint8_t tries;                    /* how often it was sent again */
  /* As set on the easy handle. */
  enum rille_transfer_shape shape;
  long max_redirects;
  bool once;                        /* its connection is of no use to others */
  struct rille_buffer lines;        /* text of request headers */
  struct curl_slist *nodes;         /* their list */
  uint32_t node_count;
  int32_t type_node;                /* which of them is the content type, -1: none */
  struct rille_buffer cookie;       /* a Cookie header of its own beside the jar's, with '\0' */
  struct curl_slist *connect_to;    /* addresses of its own; libcurl borrows the list */
  struct rille_buffer proxy;        /* its URL, with '\0'; empty: not given */
  /* Of the request. */
  uint64_t max_body;
  uint64_t body_length;
  bool decompress;
  bool own_expect;                  /* the caller gave an Expect header */
  bool own_accept;                  /* the caller gave an Accept-Encoding header */
  bool guarded;                     /* private addresses are refused */
  bool idempotent;                  /* it may be sent again without an answer */
  bool unanswered;                  /* it was sent, and nothing has come */
  /* Time and connection. */
  uint64_t started;                 /* the loop's milliseconds */
  double total_at, idle_at;         /* ms; 0: none */
  long idle_ms;
  bool idle_over;                   /* it was so when last looked at; the loop polls before it ends */
  curl_off_t moved;                 /* bytes moved when last seen */
  int fd;                           /* the socket that was last asked about for it, -1: none */
  bool rests;                       /* libcurl wants nothing of its socket: it pauses, or has none */
  bool apart;                       /* counted in the pool's `apart` */
  /* Of the last response. */
  int64_t length;                   /* Content-Length, -1: none */
  size_t head_total;                /* bytes of heads, its interim ones included */
  size_t location_at, location_length; /* in its head */
  struct rille_codings codings;
  struct rille_decoder *decoder;    /* NULL: none was needed so far */
  bool coded;                       /* its body is to be decoded */
  bool challenged;                  /* libcurl will answer a 401 */
  bool closing;                     /* it says that the connection will be closed */
  bool last_head;                   /* its head is in, and no other response will follow */
  /* Of a streamed transfer. */
  struct list news;                 /* in the pool's list of those that on_head and on_data tell of */
  struct rille_buffer rest;         /* a compressed piece that is not all decoded */
  size_t rest_at;                   /* where its undecoded part begins */
  bool head_told;                   /* by on_head */
  bool behind;                      /* the decoder has more to say than there is room for */
  bool paused;                      /* libcurl was told to wait */
  bool discard;                     /* what comes is thrown away */
};

/* Whom a pool tells. C only. */
struct rille_pool_calls {
  void (*on_head)(struct rille_transfer *t);
  void (*on_data)(struct rille_transfer *t);
  void (*on_done)(struct rille_transfer *t);
  void (*on_sent)(struct rille_send *s); /* libcurl asked for it or took from it, or it is over */
};

struct rille_pool_options {
  long max_connections, max_per_host; /* 0: no limit */
  enum rille_http_version http;
};

/* Makes a pool; `calls` stays the caller's. NULL when out of memory. */
struct rille_pool *rille_pool_new(uv_loop_t *loop, const struct rille_pool_calls *calls,
                                  const struct rille_pool_options *options);

/* The pool keeps cookies in the jar, and frees it when it is freed itself. Before the first transfer. */
void rille_pool_use_jar(struct rille_pool *pool, struct rille_jar *jar);

/* NULL: it keeps none. */
struct rille_jar *rille_pool_jar(const struct rille_pool *pool);

/* Ends transfers in flight with RILLE_END_CLOSED and lets go of all else. Transfers that have ended
 * are still to be released. */
void rille_pool_close(struct rille_pool *pool);

/* Closes the pool, releases every transfer, and gives the pool up. Once, by whoever made it. */
void rille_pool_free(struct rille_pool *pool);

bool rille_pool_is_closed(const struct rille_pool *pool);

/* The connections of a pool and who has them. */
struct rille_pool_tally {
  uint32_t open;    /* connections */
  uint32_t in_use;  /* those that transfers have; of HTTP/2 several may have the same */
  uint32_t waiting; /* transfers that have none yet */
};

void rille_pool_count(const struct rille_pool *pool, struct rille_pool_tally *tally);

/* The first transfer that has a connection, or the next one after `t`; NULL at the end. Until one
 * starts or ends. */
const struct rille_transfer *rille_pool_holder(const struct rille_pool *pool,
                                               const struct rille_transfer *t);

/* What a transfer that has a connection does: "connecting", "sending", "waiting" (for the response),
 * "receiving", "paused". */
const char *rille_transfer_state(const struct rille_transfer *t);

/* How long it has been under way, in milliseconds. */
uint64_t rille_transfer_age(const struct rille_transfer *t);

/* A new transfer. NULL when out of memory. */
struct rille_transfer *rille_pool_take(struct rille_pool *pool);

/* Adds a request header, which the caller has checked. False when out of memory. */
bool rille_transfer_header(struct rille_transfer *t, const char *name, size_t name_length,
                           const char *value, size_t value_length);

/* Starts it. Calls on_done at once if it cannot be started. */
void rille_transfer_start(struct rille_transfer *t, const struct rille_transfer_request *request);

/* Ends a transfer in flight. */
void rille_transfer_fail(struct rille_transfer *t, enum rille_transfer_end end);

/* There is more of the request's body: goes on if its sending has paused. */
void rille_transfer_feed(struct rille_transfer *t);

/* A streamed transfer: t->body was read. Decodes what is behind, and goes on if it was paused; both
 * may fill t->body again, or end the transfer. */
void rille_transfer_consume(struct rille_transfer *t);

/* A streamed transfer has told all: t->end is its result. */
bool rille_transfer_is_read(const struct rille_transfer *t);

/* Gives up a streamed transfer whose rest nobody wants, and releases it. A small rest that is
 * already here is thrown away, so that the connection can be used again; else it is closed. */
void rille_transfer_leave(struct rille_transfer *t);

/* Gives a transfer back. One that is in flight is stopped: its connection is closed, or its stream reset. */
void rille_transfer_release(struct rille_transfer *t);

/* The method of the last request. */
const char *rille_transfer_method(const struct rille_transfer *t);

/* The URL of the last response, or where the failure was; NULL if not known. Until the release. */
const char *rille_transfer_url(const struct rille_transfer *t);

#endif
