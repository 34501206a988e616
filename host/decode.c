/* decode.c -- decoding of bodies by their content codings. The model is told in decode.h.
 * Model:  the layers of a decoder are in the order in which they decode: the first takes what was sent. Each
 *         but the last writes into a buffer, which the next one reads to its end before there is more.
 * Owner:  a decoder owns its layers and buffers.
 * Errors: those of a layer show in it. Of two that failed the last one tells. */
#include "decode.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "decode_layer.h"

enum { JOINT_SIZE = 16 * 1024 };

/* What may pass between two layers, for what the last one has given: an encoder makes data smaller, or
 * larger by next to nothing. */
static const uint64_t PASS_SLACK = 1024 * 1024;
static const uint64_t PASS_RATIO = 16;

struct stage {
  const struct rille_layer_class *class;
  struct rille_layer *layer; /* NULL: there was no memory for it */
  char *joint;               /* its output for the next one; NULL: there is no next one */
  size_t from, to;           /* what of it is not read */
  uint64_t made;             /* the bytes of its output, in all */
};

struct rille_decoder {
  int count;
  struct stage stages[RILLE_CODINGS_LIMIT];
};

/* --- what a head says --- */

static const struct {
  const char *name;
  enum rille_coding coding;
} names[] = {{"gzip", RILLE_GZIP},
             {"x-gzip", RILLE_GZIP},
             {"deflate", RILLE_DEFLATE},
             {"br", RILLE_BROTLI},
             {"zstd", RILLE_ZSTD}};

static bool is_name(const char *word, size_t length, const char *name) {
  return length == strlen(name) && strncasecmp(word, name, length) == 0;
}

static void add(struct rille_codings *codings, const char *word, size_t length) {
  if (length == 0 || is_name(word, length, "identity"))
    return;
  size_t i = 0;
  while (i < sizeof names / sizeof names[0] && !is_name(word, length, names[i].name))
    i++;
  if (i == sizeof names / sizeof names[0])
    codings->unknown = true;
  else if (codings->count++ < RILLE_CODINGS_LIMIT)
    codings->list[codings->count - 1] = names[i].coding;
  else
    codings->count = RILLE_CODINGS_LIMIT + 1;
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

void rille_codings_add(struct rille_codings *codings, const char *value, size_t length) {
  const char *end = value + length;
  for (const char *at = value; at < end;) {
    const char *comma = memchr(at, ',', (size_t)(end - at));
    const char *to = comma != NULL ? comma : end;
    const char *next = comma != NULL ? comma + 1 : end;
    while (at < to && is_blank(*at))
      at++;
    while (to > at && is_blank(to[-1]))
      to--;
    add(codings, at, (size_t)(to - at));
    at = next;
  }
}

bool rille_codings_apply(const struct rille_codings *codings) {
  return codings->count > 0 && !codings->unknown;
}

/* --- a layer --- */

static const struct rille_layer_class *class_of(enum rille_coding coding) {
  switch (coding) {
  case RILLE_BROTLI:
    return &rille_layer_brotli;
  case RILLE_ZSTD:
    return &rille_layer_zstd;
  default:
    return &rille_layer_zlib;
  }
}

static bool has_failed(const struct rille_layer *l) { return l->at > RILLE_LAYER_ENDED; }

static enum rille_decode_status status_of(const struct rille_layer *l, size_t room) {
  switch (l->at) {
  case RILLE_LAYER_CORRUPT:
    return RILLE_DECODE_CORRUPT;
  case RILLE_LAYER_WINDOW:
    return RILLE_DECODE_WINDOW;
  case RILLE_LAYER_NOMEM:
    return RILLE_DECODE_NOMEM;
  default:
    return l->at == RILLE_LAYER_INSIDE && room == 0 ? RILLE_DECODE_FULL : RILLE_DECODE_FED;
  }
}

/* A step of one layer, which moves the piece on. */
static enum rille_decode_status layer_step(struct stage *s, struct rille_piece *piece) {
  struct rille_layer *l = s->layer;
  size_t room = piece->out_length;
  bool more = true;
  while (more && !has_failed(l) && (l->at == RILLE_LAYER_INSIDE || piece->in_length > 0)) {
    if (l->at != RILLE_LAYER_INSIDE)
      s->class->begin(l, piece);
    if (l->at == RILLE_LAYER_INSIDE)
      more = s->class->turn(l, piece) || l->at == RILLE_LAYER_ENDED;
  }
  s->made += room - piece->out_length;
  return status_of(l, piece->out_length);
}

/* --- layers in a row --- */

/* More has passed from here to the next one than what the last one gives can have been made of. */
static bool is_excessive(const struct rille_decoder *d, const struct stage *s) {
  return s->made > PASS_SLACK + PASS_RATIO * d->stages[d->count - 1].made;
}

/* Lets the stages up to `i` write into piece->out, of which the first takes piece->in. Moves both on. */
static enum rille_decode_status pull(struct rille_decoder *d, int i, struct rille_piece *piece) {
  struct stage *s = &d->stages[i];
  if (i == 0)
    return layer_step(s, piece);
  struct stage *source = s - 1;
  for (;;) {
    struct rille_piece own = {source->joint + source->from, source->to - source->from, piece->out,
                              piece->out_length};
    enum rille_decode_status status = layer_step(s, &own);
    source->from = source->to - own.in_length;
    piece->out = own.out;
    piece->out_length = own.out_length;
    if (status == RILLE_DECODE_FED && is_excessive(d, source)) {
      s->layer->at = RILLE_LAYER_CORRUPT;
      status = RILLE_DECODE_CORRUPT;
    }
    if (status != RILLE_DECODE_FED)
      return status;
    struct rille_piece below = {piece->in, piece->in_length, source->joint, JOINT_SIZE};
    status = pull(d, i - 1, &below); /* of one that failed, what it has given comes first */
    piece->in = below.in;
    piece->in_length = below.in_length;
    source->from = 0;
    source->to = JOINT_SIZE - below.out_length;
    if (source->to == 0)
      return status;
  }
}

/* --- decoders --- */

static void stage_drop(struct stage *s) {
  if (s->layer != NULL)
    s->class->free(s->layer);
  free(s->joint);
  *s = (struct stage){0};
}

static bool stage_begin(struct stage *s, enum rille_coding coding) {
  s->class = class_of(coding);
  s->layer = s->class->open(coding);
  return s->layer != NULL && s->layer->at != RILLE_LAYER_NOMEM;
}

static void clear(struct rille_decoder *d) {
  for (int i = 0; i < d->count; i++)
    stage_drop(&d->stages[i]);
  d->count = 0;
}

struct rille_decoder *rille_decoder_new(void) { return calloc(1, sizeof(struct rille_decoder)); }

void rille_decoder_free(struct rille_decoder *d) {
  if (d == NULL)
    return;
  clear(d);
  free(d);
}

bool rille_decoder_begin(struct rille_decoder *d, const struct rille_codings *codings) {
  clear(d); /* libcurl may have answered a 401 that had a body */
  d->count = codings->count;
  for (int i = 0; i < d->count; i++) {
    struct stage *s = &d->stages[i];
    if (!stage_begin(s, codings->list[d->count - 1 - i])) /* what was applied last is undone first */
      return false;
    if (i < d->count - 1 && (s->joint = malloc(JOINT_SIZE)) == NULL)
      return false;
  }
  return true;
}

enum rille_decode_status rille_decoder_step(struct rille_decoder *d, struct rille_piece *piece) {
  char *out = piece->out;
  enum rille_decode_status status = pull(d, d->count - 1, piece);
  piece->out_length = (size_t)(piece->out - out);
  piece->out = out;
  return status;
}

bool rille_decoder_is_complete(const struct rille_decoder *d) {
  for (int i = 0; i < d->count; i++) {
    const struct stage *s = &d->stages[i];
    bool between = s->layer->at == RILLE_LAYER_FRESH || s->layer->at == RILLE_LAYER_ENDED;
    if (!between || s->from < s->to)
      return false;
  }
  return true;
}
