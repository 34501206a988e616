/* decode_layer.h -- one content coding of a body. A part of decode.c.
 * Model:  a class for each library: decode_zlib.c, decode_brotli.c, decode_zstd.c. A state is opened for
 *         a body, fed as a decoder is, and freed.
 * Owner:  who opened a state frees it.
 * Errors: as the status of a step; a state that failed stays failed. */
#ifndef RILLE_DECODE_LAYER_H
#define RILLE_DECODE_LAYER_H

#include "decode.h"

/* Where in the data a layer is. */
enum rille_layer_at {
  RILLE_LAYER_FRESH,  /* no input yet */
  RILLE_LAYER_INSIDE, /* within a member or frame */
  RILLE_LAYER_ENDED,  /* after the last byte of one */
  RILLE_LAYER_CORRUPT,
  RILLE_LAYER_WINDOW,
  RILLE_LAYER_NOMEM
};

/* Each state begins with this. */
struct rille_layer {
  enum rille_layer_at at;
};

struct rille_layer_class {
  /* NULL when out of memory. */
  struct rille_layer *(*open)(enum rille_coding coding);
  void (*free)(struct rille_layer *l);
  /* Between two members or frames, with input: inside, or it may end here only. */
  void (*begin)(struct rille_layer *l, const struct rille_piece *piece);
  /* One call of the library, inside. Moves the piece on: `out` and `out_length` are those that are left.
   * Returns false if it can do no more with what it has. */
  bool (*turn)(struct rille_layer *l, struct rille_piece *piece);
};

extern const struct rille_layer_class rille_layer_zlib, rille_layer_brotli, rille_layer_zstd;

#endif
