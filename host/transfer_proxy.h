/* transfer_proxy.h -- whether a transfer failed because of its proxy. A part of transfer.c; no Lua.
 * Model:  libcurl tells of a proxy's failure in several ways: by its result, by the status of the answer to
 *         CONNECT, by a code of its own for SOCKS, or only in words that name the host that it tried. A
 *         proxy that cannot be reached keeps the code of what happened (ECONNREFUSED, ENOTFOUND); one that
 *         refuses is EPROXY.
 * Owner:  the strings are static, or the transfer's.
 * Errors: none. */
#ifndef RILLE_TRANSFER_PROXY_H
#define RILLE_TRANSFER_PROXY_H

#include <stdbool.h>

#include "transfer.h"

struct rille_proxy_failure {
  const char *url;  /* of the proxy, with its password; NULL: not known */
  const char *code; /* NULL: that of the failure itself */
  const char *text;
  long status;      /* of its answer to CONNECT, or 0 */
};

/* True if the proxy is to blame; fills `failure` then. */
bool rille_proxy_is_to_blame(const struct rille_transfer *t, struct rille_proxy_failure *failure);

#endif
