/* transfer_options.h -- what a request is to a libcurl easy handle. A part of transfer.c.
 * Model:  an easy handle is used again and again; options that most requests share are set once,
 *         and the others when they change. What is seldom set is not tracked: after such a request
 *         the handle is reset.
 * Owner:  the transfer owns the easy handle and the header list, which libcurl only reads.
 * Errors: a CURLcode; the handle is then to be reset (t->seldom). */
#ifndef RILLE_TRANSFER_OPTIONS_H
#define RILLE_TRANSFER_OPTIONS_H

#include "transfer.h"

/* Sets what all requests share, on a new handle or one that was reset. */
bool rille_options_base(struct rille_transfer *t);

/* Sets what this request needs. */
CURLcode rille_options_set(struct rille_transfer *t, const struct rille_transfer_request *r);

#endif
