/* decode_zstd.c -- zstd (RFC 8878, RFC 9659), with libzstd. The model is told in decode_layer.h.
 * Model:  a sequence of frames, skippable ones among them; a window of at most 8 MiB.
 * Owner:  a state owns libzstd's, which serves one body: it may have grown as large as the window.
 * Errors: libzstd's, mapped to where the layer is. */
#include <stdlib.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "decode_layer.h"

enum { WINDOW_LOG = 23 }; /* RFC 9659: 8 MiB */

struct dezstd {
  struct rille_layer layer;
  ZSTD_DCtx *context;
};

static struct rille_layer *zstd_open(enum rille_coding coding) {
  (void)coding; /* there is one */
  struct dezstd *x = calloc(1, sizeof *x);
  if (x == NULL)
    return NULL;
  x->context = ZSTD_createDCtx();
  bool ok = x->context != NULL &&
            !ZSTD_isError(ZSTD_DCtx_setParameter(x->context, ZSTD_d_windowLogMax, WINDOW_LOG));
  x->layer.at = ok ? RILLE_LAYER_FRESH : RILLE_LAYER_NOMEM;
  return &x->layer;
}

static void zstd_free(struct rille_layer *l) {
  struct dezstd *x = (struct dezstd *)l;
  (void)ZSTD_freeDCtx(x->context); /* which may be NULL */
  free(x);
}

/* A frame, or a skippable one. libzstd would also decode the formats before the standard, which begin
 * with other bytes. */
static void zstd_begin(struct rille_layer *l, const struct rille_piece *piece) {
  unsigned char first = (unsigned char)piece->in[0];
  l->at = first == 0x28 || (first & 0xf0) == 0x50 ? RILLE_LAYER_INSIDE : RILLE_LAYER_CORRUPT;
}

static enum rille_layer_at by_error(size_t result) {
  switch (ZSTD_getErrorCode(result)) {
  case ZSTD_error_memory_allocation:
    return RILLE_LAYER_NOMEM;
  case ZSTD_error_frameParameter_windowTooLarge:
    return RILLE_LAYER_WINDOW;
  default:
    return RILLE_LAYER_CORRUPT;
  }
}

static bool zstd_turn(struct rille_layer *l, struct rille_piece *piece) {
  struct dezstd *x = (struct dezstd *)l;
  ZSTD_inBuffer in = {piece->in, piece->in_length, 0};
  ZSTD_outBuffer out = {piece->out, piece->out_length, 0};
  size_t result = ZSTD_decompressStream(x->context, &out, &in);
  piece->in += in.pos;
  piece->in_length -= in.pos;
  piece->out += out.pos;
  piece->out_length -= out.pos;
  if (ZSTD_isError(result))
    l->at = by_error(result);
  else if (result == 0)
    l->at = RILLE_LAYER_ENDED;
  return in.pos > 0 && piece->in_length > 0 && piece->out_length > 0;
}

const struct rille_layer_class rille_layer_zstd = {
    .open = zstd_open, .free = zstd_free, .begin = zstd_begin, .turn = zstd_turn};
