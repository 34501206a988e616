/* transfer_send.h -- a request body that is sent as it comes. A part of transfer.c; no Lua.
 * Model:  a buffer between a user, who writes, and libcurl, which takes. libcurl asks first: what is not
 *         asked for (no connection, a response that comes before) is not written. When the buffer is empty
 *         and not finished the sending pauses until there is more; when it is full the user waits for
 *         on_sent. A body that is replayable may have to begin again, for a redirect or in place of a
 *         connection that was dead: a new round, which on_sent tells of. Any other is sent once: what
 *         asks for more ends the transfer with RILLE_END_RESEND.
 *           A response that is complete ends the sending, whatever is left: the transfer ends well, and its
 *         connection is closed.
 * Owner:  the user, who keeps it until it is over or rille_send_part was called. A transfer borrows it.
 * Errors: those that end the transfer: a body that is not as long as was said, one that is asked for
 *         again. */
#ifndef RILLE_TRANSFER_SEND_H
#define RILLE_TRANSFER_SEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

#include "buffer.h"
#include "list.h"

struct rille_transfer;

enum { RILLE_SEND_LIMIT = 256 * 1024 }; /* what may be written and not taken */

struct rille_send {
  int64_t length;   /* of the whole body; -1: not known */
  bool replayable;
  /* Read only for the user. */
  int64_t sent;     /* bytes that libcurl has taken in this round */
  uint32_t round;   /* 0: libcurl has not asked yet */
  bool over;        /* nothing more is wanted */
  /* Private. */
  struct rille_transfer *transfer; /* NULL: not started, or over */
  struct list news;                /* in the pool's list of those that on_sent tells of */
  struct rille_buffer data;        /* data[at ..) is to be sent */
  size_t at;
  int64_t written;
  bool finished;                   /* no more will be written */
  bool paused;                     /* libcurl was told to wait */
  bool answered;                   /* the response is complete */
};

void rille_send_init(struct rille_send *s, int64_t length, bool replayable);

/* Frees the buffer; a transfer that still borrows it fails. */
void rille_send_part(struct rille_send *s);

/* Bytes that may be written now: 0 until the buffer is half empty. */
size_t rille_send_room(const struct rille_send *s);

/* Writes so many bytes, of which there is room for. False when out of memory. May end the transfer. */
bool rille_send_write(struct rille_send *s, const char *data, size_t length);

/* All is written. May end the transfer. */
void rille_send_finish(struct rille_send *s);

/* --- for the parts of transfer.c --- */

/* Sets up libcurl to take the body of t. */
CURLcode rille_send_set(struct rille_transfer *t, struct rille_send *s);

/* The body of t is about to be sent, perhaps again. False: it cannot be. */
bool rille_send_begin(struct rille_transfer *t);

/* t wants no more of its body; or has ended, and lets go of it. */
void rille_send_stop(struct rille_transfer *t);
void rille_send_end(struct rille_transfer *t);

/* All of the response of t is here, as its length says. Over HTTP/2 libcurl 7.88 would wait for the end of
 * the body nevertheless, which the server may not take any more. */
void rille_send_on_answer(struct rille_transfer *t);

/* libcurl tells what it waits for at the socket of t. */
void rille_send_on_interest(struct rille_transfer *t, int what);

#endif
