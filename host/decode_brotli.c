/* decode_brotli.c -- br (RFC 7932), with libbrotlidec. The model is told in decode_layer.h.
 * Model:  one stream; its window is 16 MiB at most, for large windows are not asked for.
 * Owner:  a state owns libbrotli's, which serves one body.
 * Errors: libbrotli's, mapped to where the layer is. */
#include <stdlib.h>

#include <brotli/decode.h>

#include "decode_layer.h"

struct debrotli {
  struct rille_layer layer;
  BrotliDecoderState *state;
};

static struct rille_layer *brotli_open(enum rille_coding coding) {
  (void)coding; /* there is one */
  struct debrotli *x = calloc(1, sizeof *x);
  if (x == NULL)
    return NULL;
  x->state = BrotliDecoderCreateInstance(NULL, NULL, NULL);
  x->layer.at = x->state != NULL ? RILLE_LAYER_FRESH : RILLE_LAYER_NOMEM;
  return &x->layer;
}

static void brotli_free(struct rille_layer *l) {
  struct debrotli *x = (struct debrotli *)l;
  BrotliDecoderDestroyInstance(x->state); /* which may be NULL */
  free(x);
}

static void brotli_begin(struct rille_layer *l, const struct rille_piece *piece) {
  (void)piece;
  l->at = l->at == RILLE_LAYER_FRESH ? RILLE_LAYER_INSIDE : RILLE_LAYER_CORRUPT; /* bytes after the end */
}

static bool is_memory(BrotliDecoderErrorCode code) {
  return code <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES &&
         code >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES;
}

static bool brotli_turn(struct rille_layer *l, struct rille_piece *piece) {
  struct debrotli *x = (struct debrotli *)l;
  const uint8_t *in = (const uint8_t *)piece->in;
  uint8_t *out = (uint8_t *)piece->out;
  BrotliDecoderResult result =
      BrotliDecoderDecompressStream(x->state, &piece->in_length, &in, &piece->out_length, &out, NULL);
  piece->in = (const char *)in;
  piece->out = (char *)out;
  if (result == BROTLI_DECODER_RESULT_SUCCESS)
    l->at = RILLE_LAYER_ENDED;
  else if (result == BROTLI_DECODER_RESULT_ERROR)
    l->at = is_memory(BrotliDecoderGetErrorCode(x->state)) ? RILLE_LAYER_NOMEM : RILLE_LAYER_CORRUPT;
  return false; /* it takes all that it can in one call */
}

const struct rille_layer_class rille_layer_brotli = {
    .open = brotli_open, .free = brotli_free, .begin = brotli_begin, .turn = brotli_turn};
