/* http_stats.h -- who has the connections of a client. A part of http.c.
 * Model:  a request costs nothing for it: what is told is read off the transfers in flight, and off the
 *         coroutines that wait for them, when somebody asks.
 * Owner:  nothing is kept.
 * Errors: out of memory raises. */
#ifndef RILLE_HTTP_STATS_H
#define RILLE_HTTP_STATS_H

#include <lua.h>

#include "transfer.h"

/* Pushes {open=, idle=, in_use=, waiting=, holders={{method=, url=, where=, since=, state=} ...}}. */
void rille_stats_push(lua_State *L, const struct rille_pool *pool);

#endif
