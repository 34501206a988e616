/* decode.h -- decoding of bodies by their content codings, that knows whether the data was complete.
 * Model:  the codings of a body are collected from its head; a decoder has a layer for each
 *         (decode_layer.h), is fed what was sent and writes into the caller's memory, piece by piece. What
 *         passes between two layers is bounded: a layer that has taken much more than it gives is corrupt,
 *         so that what small input can make the decoder do is bounded by what its caller takes.
 *           libcurl's own decoder reports a truncated body as a success, hence this one.
 * Owner:  whoever made the decoder frees it; it keeps nothing that it is fed.
 * Errors: as the status of a step; a decoder that failed stays failed until it begins anew. */
#ifndef RILLE_DECODE_H
#define RILLE_DECODE_H

#include <stdbool.h>
#include <stddef.h>

#define RILLE_ACCEPT_ENCODING "gzip, deflate, br, zstd"

enum rille_coding { RILLE_GZIP, RILLE_DEFLATE, RILLE_BROTLI, RILLE_ZSTD };

enum { RILLE_CODINGS_LIMIT = 5 };

/* What the head of a response says. */
struct rille_codings {
  enum rille_coding list[RILLE_CODINGS_LIMIT]; /* in the order in which they were applied */
  int count;     /* may be more than the limit: then nothing can decode them */
  bool unknown;  /* there was another one: the body can only be left as it is */
};

enum rille_decode_status {
  RILLE_DECODE_FED,  /* all input is used */
  RILLE_DECODE_FULL, /* the output is full: call again with more room */
  RILLE_DECODE_CORRUPT,
  RILLE_DECODE_WINDOW, /* zstd: it refers to what is further behind than 8 MiB (RFC 9659) */
  RILLE_DECODE_NOMEM
};

struct rille_piece {
  const char *in;
  size_t in_length; /* what is left of the input after a step */
  char *out;
  size_t out_length; /* the room; after a step what was written */
};

struct rille_decoder;

/* Adds the codings in the value of a Content-Encoding header. */
void rille_codings_add(struct rille_codings *codings, const char *value, size_t length);

/* True if there is something to decode. */
bool rille_codings_apply(const struct rille_codings *codings);

/* NULL when out of memory. */
struct rille_decoder *rille_decoder_new(void);
void rille_decoder_free(struct rille_decoder *d);

/* Begins a body in codings that apply, at most the limit. False when out of memory. */
bool rille_decoder_begin(struct rille_decoder *d, const struct rille_codings *codings);

enum rille_decode_status rille_decoder_step(struct rille_decoder *d, struct rille_piece *piece);

/* True if the body may end here: after a whole number of members or frames, or nothing at all. */
bool rille_decoder_is_complete(const struct rille_decoder *d);

#endif
