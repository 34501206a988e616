/* blob.h -- bytes that Lua owns and has not allocated.
 * Model:  a userdata takes over the memory of a buffer, so that what was received is not copied. The
 *         collector counts what Lua has allocated, and knows nothing of blobs; so whenever RILLE_BLOB_STEP
 *         bytes have become blobs it is told of so much, as if Lua had allocated them.
 * Owner:  the userdata frees the bytes when it is collected with what they belong to. A finaliser that is
 *         older than the userdata runs later and may still read them: for that they move to memory of
 *         Lua.
 * Errors: out of memory raises, and the buffer is as it was. */
#ifndef RILLE_BLOB_H
#define RILLE_BLOB_H

#include <lua.h>

#include "buffer.h"

enum { RILLE_BLOB_STEP = 8 * 1024 * 1024 };

/* Registers the class. */
void rille_blob_open(lua_State *L);

/* Pushes a blob with the bytes of the buffer, which is empty then, and returns where they are told.
 * RILLE_BUFFER_SPARE bytes behind them are zero. `owner` is the index of the object that will keep the blob,
 * and that the bytes are there for; while it is on a stack they stay where they are. */
const struct rille_buffer *rille_blob_push(lua_State *L, struct rille_buffer *b, int owner);

#endif
