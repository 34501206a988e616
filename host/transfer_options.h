/* transfer_options.h -- what a request is to a libcurl easy handle. A part of transfer.c.
 * Model:  an easy handle serves one request: first it gets what all requests have, then what this one has
 *         besides.
 * Owner:  the transfer owns the easy handle and the header list, which libcurl only reads.
 * Errors: a CURLcode. */
#ifndef RILLE_TRANSFER_OPTIONS_H
#define RILLE_TRANSFER_OPTIONS_H

#include "transfer.h"

/* Sets what all requests share. */
bool rille_options_base(struct rille_transfer *t);

/* Sets what this request needs. */
CURLcode rille_options_set(struct rille_transfer *t, const struct rille_transfer_request *r);

#endif
