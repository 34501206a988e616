/* transfer_cookie.h -- a Cookie header that the request itself gives, beside the cookies of a jar. A part
 * of transfer.c.
 * Model:  both go into one header, the jar's first, as RFC 6265 wants. libcurl, which sends what it is given
 *         for that to every host, is made to drop it on a redirect to another origin. Without a jar it is a
 *         header as others are.
 * Owner:  the transfer.
 * Errors: false or CURLE_OUT_OF_MEMORY. */
#ifndef RILLE_TRANSFER_COOKIE_H
#define RILLE_TRANSFER_COOKIE_H

#include "transfer.h"

/* Adds the value of a Cookie header. */
bool rille_cookie_add(struct rille_transfer *t, const char *value, size_t length);

/* Sets it on the easy handle. */
CURLcode rille_cookie_set(struct rille_transfer *t);

/* The response redirects to `location`. */
void rille_cookie_follow(struct rille_transfer *t, const char *location, size_t length);

#endif
