/* buffer.c -- bytes that grow. The model is told in buffer.h.
 * Owner:  whoever embeds the buffer.
 * Errors: false when out of memory. */
#include "buffer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SIZE = 512 - RILLE_BUFFER_SPARE, KEPT_SIZE = 64 * 1024 };

bool rille_buffer_reserve(struct rille_buffer *b, size_t more) {
  if (b->size - b->length >= more)
    return true;
  if (more > SIZE_MAX / 4 || b->length > SIZE_MAX / 4)
    return false;
  size_t size = b->size == 0 ? FIRST_SIZE : b->size * 2;
  if (size < b->length + more)
    size = b->length + more;
  char *data = realloc(b->data, size + RILLE_BUFFER_SPARE);
  if (data == NULL)
    return false;
  b->data = data;
  b->size = size;
  return true;
}

bool rille_buffer_append(struct rille_buffer *b, const char *data, size_t length) {
  if (!rille_buffer_reserve(b, length))
    return false;
  if (length > 0)
    memcpy(b->data + b->length, data, length);
  b->length += length;
  return true;
}

void rille_buffer_free(struct rille_buffer *b) {
  free(b->data);
  *b = (struct rille_buffer){NULL, 0, 0};
}

void rille_buffer_clear(struct rille_buffer *b) {
  b->length = 0;
  if (b->size > KEPT_SIZE)
    rille_buffer_free(b);
}
