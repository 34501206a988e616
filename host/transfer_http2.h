/* transfer_http2.h -- what libcurl 7.88 needs to share connections safely, over HTTP/2. A part of
 * transfer.c; no Lua.
 * Model:  requests share a connection as long as none of them may pause. One that may is *apart*, and
 *         while there is one every new request takes a connection that no other uses. On a shared one
 *         libcurl would go on to read for the others and keep up to 32 MiB of the stream that is paused;
 *         what it has kept when that is aborted, it would give to the next transfer of the handle.
 * Owner:  nothing is owned here.
 * Errors: a CURLcode. */
#ifndef RILLE_TRANSFER_HTTP2_H
#define RILLE_TRANSFER_HTTP2_H

#include "transfer.h"

/* Sets what all requests share: the version of HTTP. */
CURLcode rille_http2_base(struct rille_transfer *t);

/* Sets whether and with whom this request shares its connection. */
CURLcode rille_http2_set(struct rille_transfer *t, const struct rille_transfer_request *r);

/* t is under way: it is apart if it has to be. */
void rille_http2_part(struct rille_transfer *t, const struct rille_transfer_request *r);

/* t is over, or is known to have a connection of HTTP/1. */
void rille_http2_rejoin(struct rille_transfer *t);

/* libcurl failed t, though sending it again could do no harm. */
bool rille_http2_may_repeat(const struct rille_transfer *t);

#endif
