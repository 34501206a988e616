/* decode_zlib.c -- gzip (RFC 1952) and deflate, with zlib. The model is told in decode_layer.h.
 * Model:  gzip may have several members; deflate is zlib's format (RFC 1950), or raw as some servers send it.
 * Owner:  a state owns its z_stream, which is set up once and set back for each member.
 * Errors: zlib's, mapped to where the layer is. */
#include <limits.h>
#include <stdlib.h>

#define ZLIB_CONST
#include <zlib.h>

#include "decode_layer.h"

enum { GZIP_BITS = 15 + 16, ZLIB_BITS = 15, RAW_BITS = -15 };

struct inflater {
  struct rille_layer layer;
  z_stream z;
  enum rille_coding coding;
  bool ready; /* z is set up */
};

static void restart(struct inflater *x, int bits) {
  int err = x->ready ? inflateReset2(&x->z, bits) : inflateInit2(&x->z, bits);
  x->ready = x->ready || err == Z_OK;
  x->layer.at = err == Z_OK ? RILLE_LAYER_FRESH : RILLE_LAYER_NOMEM;
}

static struct rille_layer *zlib_open(enum rille_coding coding) {
  struct inflater *x = calloc(1, sizeof *x);
  if (x == NULL)
    return NULL;
  x->coding = coding;
  restart(x, coding == RILLE_GZIP ? GZIP_BITS : ZLIB_BITS);
  return &x->layer;
}

static void zlib_free(struct rille_layer *l) {
  struct inflater *x = (struct inflater *)l;
  if (x->ready)
    (void)inflateEnd(&x->z);
  free(x);
}

/* The first byte tells zlib's header from raw data: its low half is 8 and its high half at most 7.
 * What a raw stream can begin with (a stored, fixed or dynamic block) has this form only for a
 * reserved block type or a stored block with padding that no encoder writes. */
static bool is_raw(const struct rille_piece *piece) {
  unsigned char first = (unsigned char)piece->in[0];
  return (first & 0x0f) != 8 || first >> 4 > 7;
}

static void zlib_begin(struct rille_layer *l, const struct rille_piece *piece) {
  struct inflater *x = (struct inflater *)l;
  if (l->at == RILLE_LAYER_ENDED && x->coding != RILLE_GZIP) {
    l->at = RILLE_LAYER_CORRUPT; /* bytes after the end */
    return;
  }
  if (l->at == RILLE_LAYER_ENDED)
    restart(x, GZIP_BITS);
  else if (x->coding == RILLE_DEFLATE && is_raw(piece))
    restart(x, RAW_BITS);
  if (l->at == RILLE_LAYER_FRESH)
    l->at = RILLE_LAYER_INSIDE;
}

static bool zlib_turn(struct rille_layer *l, struct rille_piece *piece) {
  struct inflater *x = (struct inflater *)l;
  x->z.next_in = (const Bytef *)piece->in;
  x->z.avail_in = piece->in_length < UINT_MAX ? (uInt)piece->in_length : UINT_MAX;
  x->z.next_out = (Bytef *)piece->out;
  x->z.avail_out = piece->out_length < UINT_MAX ? (uInt)piece->out_length : UINT_MAX;
  uInt in = x->z.avail_in;
  uInt room = x->z.avail_out;
  int err = inflate(&x->z, Z_NO_FLUSH);
  piece->in += in - x->z.avail_in;
  piece->in_length -= in - x->z.avail_in;
  piece->out += room - x->z.avail_out;
  piece->out_length -= room - x->z.avail_out;
  if (err == Z_STREAM_END)
    l->at = RILLE_LAYER_ENDED;
  else if (err != Z_OK && err != Z_BUF_ERROR)
    l->at = err == Z_MEM_ERROR ? RILLE_LAYER_NOMEM : RILLE_LAYER_CORRUPT;
  return err == Z_OK;
}

const struct rille_layer_class rille_layer_zlib = {
    .open = zlib_open, .free = zlib_free, .begin = zlib_begin, .turn = zlib_turn};
