/* http_response.h -- the response object of the HTTP client.
 * Model:  a userdata with everything in one block: status, times, headers as they came, body. A large body
 *         is not copied into it but taken over, as a blob (blob.h). What is seldom asked for (a table of
 *         headers, of times) is made when it is asked for.
 * Owner:  Lua; it holds no handle, so it has nothing to close.
 * Errors: none of its own. */
#ifndef RILLE_HTTP_RESPONSE_H
#define RILLE_HTTP_RESPONSE_H

#include <lua.h>

#include "transfer.h"

/* Registers the classes and pushes the table of response methods, to which Lua may add. */
void rille_response_open(lua_State *L);

/* Pushes the response of a transfer that ended well, or the head of a streamed one. `method` and `url` are
 * stack indexes of strings. The transfer may have lost its body then. */
void rille_response_push(lua_State *L, struct rille_transfer *t, int method, int url);

/* Pushes the headers object of a head, which may not be complete. */
void rille_response_push_headers(lua_State *L, const char *head, size_t length);

/* Pushes a URL with its password hidden. */
void rille_push_safe_url(lua_State *L, const char *url);

#endif
