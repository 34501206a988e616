/* transfer_access.h -- by which way a request goes, whom it trusts and who it says it is. A part of
 * transfer.c.
 * Model:  proxy, Unix socket, addresses instead of names; TLS; credentials. They are set on the easy handle
 *         of a request that has them. libcurl uses a connection again only
 *         for a request with the same. A guarded transfer refuses private addresses when a socket is opened
 *         and, since somebody else may have opened it, before a request is sent on it.
 * Owner:  a request borrows its strings; libcurl copies them. The list of addresses is the transfer's.
 * Errors: CURLcodes. What was refused is in t->refused. */
#ifndef RILLE_TRANSFER_ACCESS_H
#define RILLE_TRANSFER_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include <curl/curl.h>

struct rille_transfer;

/* NULL and false leave what all requests share. */
struct rille_access {
  const char *user_agent;
  const char *user;
  const char *password;
  bool digest;
  const char *bearer;
  const char *netrc;    /* a file; "": the user's own */
  const char *proxy;    /* a URL; "": none */
  const char *unix_socket;
  const char *resolve;  /* items as of CURLOPT_CONNECT_TO, each with its '\0', and one more */
  bool block_private;
  bool insecure;
  bool tls13;           /* at least */
  const char *ca;
  const char *cert;
  const char *key;
  const char *key_password;
  const char *pin;
};

/* Sets what all requests share: TLS 1.2 or later. */
CURLcode rille_access_base(struct rille_transfer *t);

/* Sets what this request needs. */
CURLcode rille_access_set(struct rille_transfer *t, const struct rille_access *a);

/* A request is about to be sent to this address: false if the transfer is guarded and it is private. */
bool rille_access_allows(struct rille_transfer *t, const char *address);

#endif
