/* http_access.h -- by which way a request goes, whom it trusts and who it says it is, read from Lua. A
 * part of http_options.c.
 * Model:  fills a struct rille_access (transfer_access.h) from the table of options. What would not be
 *         safe is refused here: a private address cannot be kept out of what a proxy or a Unix socket leads
 *         to.
 * Owner:  the strings stay on the stack of L.
 * Errors: misuse raises a string that blames the script's line; a file that cannot be read raises an error
 *         object. */
#ifndef RILLE_HTTP_ACCESS_H
#define RILLE_HTTP_ACCESS_H

#include <lua.h>

#include "transfer_access.h"

/* Reads the options at index `t`. What it borrows is left on the stack. */
void rille_access_check(lua_State *L, int t, struct rille_access *access);

#endif
