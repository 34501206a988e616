/* http_stream.h -- responses whose body is read as it comes. A part of http.c.
 * Model:  the body is an object over a streamed transfer (transfer.h) with one op: of the call that
 *         opens it, which ends when the head is in, then of each read that has to wait. So there is
 *         one reader at a time.
 * Owner:  the body keeps its pool's box, the strings that the request borrows, and its transfer until
 *         the end was read, it is closed or collected. One that is collected unread is warned of.
 * Errors: what the world does raises an error object, at the read that meets it, after what came
 *         before. A read of a closed body, and a second reader, are misuse. */
#ifndef RILLE_HTTP_STREAM_H
#define RILLE_HTTP_STREAM_H

#include <lua.h>

#include "fiber.h"
#include "transfer.h"

/* Registers the class. */
void rille_stream_open(lua_State *L);

/* Pushes a body that was not started yet; the arguments are stack indexes. */
void rille_stream_push(lua_State *L, int pool, int method, int url, int upload);

/* Starts the transfer of the body at `index`, and parks L until the head is in. Results: the response
 * and its body. */
int rille_stream_start(lua_State *L, int index, struct rille_transfer *t,
                       const struct rille_transfer_request *request);

/* Where the body whose op this is was opened: "file:line", as long as the body lives. */
const char *rille_stream_where(const struct rille_op *op);

#endif
