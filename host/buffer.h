/* buffer.h -- bytes that grow.
 * Model:  data[0 .. length) is used, data[0 .. size) is there. All zero is an empty buffer. Behind the size
 *         there are RILLE_BUFFER_SPARE bytes more, for who reads the bytes in wide steps.
 * Owner:  whoever embeds it frees it.
 * Errors: false when out of memory; the buffer is then as it was. */
#ifndef RILLE_BUFFER_H
#define RILLE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

enum { RILLE_BUFFER_SPARE = 64 };

struct rille_buffer {
  char *data;
  size_t length;
  size_t size;
};

/* Makes room for `more` bytes past the length. */
bool rille_buffer_reserve(struct rille_buffer *b, size_t more);

bool rille_buffer_append(struct rille_buffer *b, const char *data, size_t length);

/* Empties it, and keeps its memory if that is not large. */
void rille_buffer_clear(struct rille_buffer *b);

void rille_buffer_free(struct rille_buffer *b);

#endif
