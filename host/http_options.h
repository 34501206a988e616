/* http_options.h -- what a request is, read from Lua. A part of http.c.
 * Model:  a binding is called with a pool and the five values below; lualib/rille/http/request.lua has made
 *         them, and has checked names and types. What is checked here is what could change the meaning
 *         of the request on its way, whoever made it.
 * Owner:  a request borrows its strings from the stack of L: they stay there until it is over.
 * Errors: what cannot be sent raises a string that blames the script's line; a URL of another kind raises
 *         an error object, EURL. */
#ifndef RILLE_HTTP_OPTIONS_H
#define RILLE_HTTP_OPTIONS_H

#include <lua.h>

#include "transfer.h"

/* Stack indexes. Headers are a list: name, value, name, value ... */
enum {
  RILLE_REQUEST_METHOD = 2,
  RILLE_REQUEST_URL,
  RILLE_REQUEST_HEADERS,
  RILLE_REQUEST_BODY,
  RILLE_REQUEST_OPTIONS
};

/* Reads the request, the headers apart, which are checked. What it borrows is left on the stack. */
void rille_request_check(lua_State *L, struct rille_transfer_request *request);

/* Reads the options alone. */
void rille_request_check_options(lua_State *L, struct rille_transfer_request *request);

/* Adds the headers, which were checked, to a transfer. False when out of memory. */
bool rille_request_add_headers(lua_State *L, struct rille_transfer *t);

#endif
