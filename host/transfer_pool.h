/* transfer_pool.h -- a pool, as the parts of transfer.c see it.
 * Model:  a transfer that was started is busy or ended, and in the pool's list of those. What libcurl's
 *         callbacks find is only noted, in two lists more; the user is told of it once libcurl is at rest.
 * Rules:  the callbacks of libcurl call nothing of curl_multi_*, and tell nobody. Every
 *         curl_multi_socket_action is in rille_pool_act, which reads the completions, whatever it returned.
 * Owner:  the pool owns transfers, sockets and its timer. It is freed when handles and transfers are all
 *         gone.
 * Errors: kept in the transfer. If the multi handle itself fails, so do its transfers. */
#ifndef RILLE_TRANSFER_POOL_H
#define RILLE_TRANSFER_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include <curl/curl.h>

#include "list.h"
#include "transfer.h"
#include "transfer_socket.h"
#include "transfer_time.h"

struct rille_pool {
  CURLM *multi;
  const struct rille_pool_calls *calls;
  struct list busy, ended;
  struct list news;      /* streamed transfers to tell of */
  struct list sent;      /* bodies of requests to tell of */
  uint32_t busy_count;   /* those in the multi handle */
  uint32_t transfers;    /* in all */
  struct rille_sockets sockets;
  struct rille_time time;
  struct rille_jar *jar; /* NULL: no cookies */
  uint32_t apart;        /* transfers whose connections are not to be shared */
  enum rille_http_version http;
  bool closed;
  bool held;             /* whoever made it has not let go */
};

/* Has libcurl look at a socket, or at its time-outs (CURL_SOCKET_TIMEOUT), and tells what came of it. */
void rille_pool_act(struct rille_pool *pool, curl_socket_t fd, int flags);

/* on_head or on_data will tell of t once libcurl is at rest; on_sent of t->send. */
void rille_pool_note(struct rille_transfer *t);
void rille_pool_note_sent(struct rille_transfer *t);

/* Frees the pool if nothing of it is left. */
void rille_pool_reap(struct rille_pool *pool);

/* --- of transfer.c --- */

/* Ends t and tells so. A fault that a callback found goes before `end`. */
void rille_transfer_finish(struct rille_transfer *t, enum rille_transfer_end end);

/* What libcurl can tell about t so far. */
void rille_transfer_collect(struct rille_transfer *t);

/* libcurl has failed t with t->code: true if it was sent again. */
bool rille_transfer_again(struct rille_transfer *t);

/* Frees it, wherever it is. */
void rille_transfer_destroy(struct rille_transfer *t);

#endif
