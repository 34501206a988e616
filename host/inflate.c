/* inflate.c -- decoding of gzip and deflate bodies with zlib. The model is told in inflate.h.
 * Owner:  a decoder owns its z_stream, which is set up by the first body and kept for the next.
 * Errors: zlib's, mapped to the status of a step. */
#include "inflate.h"

#include <limits.h>
#include <stdlib.h>

#define ZLIB_CONST
#include <zlib.h>

enum { GZIP_BITS = 15 + 16, ZLIB_BITS = 15, RAW_BITS = -15 };

enum state {
  FRESH,   /* no input yet */
  INSIDE,  /* within a member */
  ENDED,   /* after the last byte of a member */
  CORRUPT,
  NOMEM
};

struct rille_inflate {
  z_stream z;
  enum rille_coding coding;
  enum state state;
  bool ready; /* z is set up */
};

struct rille_inflate *rille_inflate_new(void) { return calloc(1, sizeof(struct rille_inflate)); }

void rille_inflate_free(struct rille_inflate *x) {
  if (x == NULL)
    return;
  if (x->ready)
    (void)inflateEnd(&x->z);
  free(x);
}

static void restart(struct rille_inflate *x, int bits) {
  int err = x->ready ? inflateReset2(&x->z, bits) : inflateInit2(&x->z, bits);
  x->ready = x->ready || err == Z_OK;
  x->state = err == Z_OK ? FRESH : NOMEM;
}

void rille_inflate_reset(struct rille_inflate *x, enum rille_coding coding) {
  x->coding = coding;
  restart(x, coding == RILLE_GZIP ? GZIP_BITS : ZLIB_BITS);
}

/* The first byte tells zlib's header from raw data: its low half is 8 and its high half at most 7.
 * What a raw stream can begin with (a stored, fixed or dynamic block) has this form only for a
 * reserved block type or a stored block with padding that no encoder writes. */
static bool is_raw(const struct rille_piece *piece) {
  unsigned char first = (unsigned char)piece->in[0];
  return (first & 0x0f) != 8 || first >> 4 > 7;
}

static void begin(struct rille_inflate *x, const struct rille_piece *piece) {
  if (x->state == ENDED)
    restart(x, GZIP_BITS);
  else if (x->coding == RILLE_DEFLATE && is_raw(piece))
    restart(x, RAW_BITS);
  if (x->state == FRESH)
    x->state = INSIDE;
}

/* One call of zlib. Returns false if it can do no more with what it has. */
static bool turn(struct rille_inflate *x, struct rille_piece *piece, char **out, size_t *room) {
  x->z.next_in = (const Bytef *)piece->in;
  x->z.avail_in = piece->in_length < UINT_MAX ? (uInt)piece->in_length : UINT_MAX;
  x->z.next_out = (Bytef *)*out;
  x->z.avail_out = *room < UINT_MAX ? (uInt)*room : UINT_MAX;
  uInt in = x->z.avail_in;
  uInt given = x->z.avail_out;
  int err = inflate(&x->z, Z_NO_FLUSH);
  piece->in += in - x->z.avail_in;
  piece->in_length -= in - x->z.avail_in;
  *out += given - x->z.avail_out;
  *room -= given - x->z.avail_out;
  if (err == Z_STREAM_END)
    x->state = ENDED;
  else if (err != Z_OK && err != Z_BUF_ERROR)
    x->state = err == Z_MEM_ERROR ? NOMEM : CORRUPT;
  return err == Z_OK;
}

enum rille_inflate_status rille_inflate_step(struct rille_inflate *x, struct rille_piece *piece) {
  char *out = piece->out;
  size_t room = piece->out_length;
  bool more = true;
  while (more && x->state != CORRUPT && x->state != NOMEM) {
    if (x->state != INSIDE && piece->in_length == 0)
      break;
    if (x->state == ENDED && x->coding != RILLE_GZIP)
      x->state = CORRUPT; /* bytes after the end */
    else if (x->state != INSIDE)
      begin(x, piece);
    if (x->state == INSIDE)
      more = turn(x, piece, &out, &room) || (x->state == ENDED && piece->in_length > 0);
  }
  piece->out_length -= room;
  if (x->state == NOMEM)
    return RILLE_INFLATE_NOMEM;
  if (x->state == CORRUPT)
    return RILLE_INFLATE_CORRUPT;
  return x->state == INSIDE && room == 0 ? RILLE_INFLATE_FULL : RILLE_INFLATE_FED;
}

bool rille_inflate_complete(const struct rille_inflate *x) {
  return x->state == FRESH || x->state == ENDED;
}
