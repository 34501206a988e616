/* inflate.h -- decoding of gzip and deflate bodies that knows whether the data was complete.
 * Model:  a decoder is fed input and writes into the caller's memory, piece by piece. gzip may have
 *         several members; deflate is zlib's format, or raw as some servers send it.
 *         libcurl's own decoder reports a truncated body as a success, hence this one.
 * Owner:  whoever made the decoder frees it; it keeps nothing that it is fed.
 * Errors: as the status of a step; a decoder that failed stays failed until it is reset. */
#ifndef RILLE_INFLATE_H
#define RILLE_INFLATE_H

#include <stdbool.h>
#include <stddef.h>

struct rille_inflate;

enum rille_coding { RILLE_IDENTITY, RILLE_GZIP, RILLE_DEFLATE };

enum rille_inflate_status {
  RILLE_INFLATE_FED,    /* all input is used */
  RILLE_INFLATE_FULL,   /* the output is full: call again with more room */
  RILLE_INFLATE_CORRUPT,
  RILLE_INFLATE_NOMEM
};

struct rille_piece {
  const char *in;
  size_t in_length; /* what is left of the input after a step */
  char *out;
  size_t out_length; /* the room; after a step what was written */
};

/* NULL when out of memory. */
struct rille_inflate *rille_inflate_new(void);
void rille_inflate_free(struct rille_inflate *x);

/* Begins a body in `coding`, not RILLE_IDENTITY. */
void rille_inflate_reset(struct rille_inflate *x, enum rille_coding coding);

enum rille_inflate_status rille_inflate_step(struct rille_inflate *x, struct rille_piece *piece);

/* True if the body may end here: a whole number of members, or nothing at all. */
bool rille_inflate_complete(const struct rille_inflate *x);

#endif
