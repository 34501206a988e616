/* http_error.h -- what a failed transfer is to a script: an error object with a stable code.
 * Model:  code and text come from why the transfer ended: libcurl's result, errno, or our own
 *         finding. Fields: url (password hidden), method, phase of a time-out; proxy (password hidden) and
 *         proxy_status if the proxy is to blame; if a response had begun: status, headers, received and, of a
 *         body that is not streamed, its first bytes.
 * Owner:  nothing.
 * Errors: raising one is its purpose. */
#ifndef RILLE_HTTP_ERROR_H
#define RILLE_HTTP_ERROR_H

#include <lua.h>

#include "transfer.h"

/* Pushes the error object of a transfer that has failed. */
void rille_http_error_push(lua_State *L, const struct rille_transfer *t, const char *method,
                        const char *url);

#endif
