/* http_upload.h -- request bodies that are not a string in memory. A part of http.c.
 * Model:  an upload is an object over a body that is sent as it comes (transfer_send.h). It is given to a
 *         request in place of a string; a task of its own (lualib/rille/http/upload.lua) waits until it is
 *         asked for, writes pieces, and finishes. There is one op: one task may wait in it.
 * Owner:  whoever holds the request keeps the upload: the waiter's stack, or the body of a response.
 * Errors: a source that fails gives its error to the upload: the request raises it, as the same object. */
#ifndef RILLE_HTTP_UPLOAD_H
#define RILLE_HTTP_UPLOAD_H

#include <lua.h>

#include "transfer.h"

/* Registers the class, and sets in the table on top "upload", the function that makes one, and "boundary",
 * which makes the boundary of a multipart body. */
void rille_upload_open(lua_State *L);

/* The body of the upload at `index`, for one request; NULL if the value is something else. */
struct rille_send *rille_upload_body(lua_State *L, int index);

/* on_sent of a pool. */
void rille_upload_on_sent(struct rille_send *send);

/* The transfer t ended because the source of the upload at `index` failed: pushes that error, to be raised
 * with rille_fiber_pass_error. False: it ended for another reason. */
bool rille_upload_push_error(lua_State *L, const struct rille_transfer *t, int index);

#endif
