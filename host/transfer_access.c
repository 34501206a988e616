/* transfer_access.c -- by which way a request goes, whom it trusts and who it says it is. The model is told
 * in transfer_access.h.
 * Owner:  as told there.
 * Errors: CURLcodes, passed on. */
#include "transfer_access.h"

#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "address.h"
#include "transfer.h"
#include "transfer_socket.h"

CURLcode rille_access_base(struct rille_transfer *t) {
  return curl_easy_setopt(t->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
}

static CURLcode set_string(struct rille_transfer *t, CURLoption option, const char *value) {
  return value == NULL ? CURLE_OK : curl_easy_setopt(t->easy, option, value);
}

static CURLcode set_long(struct rille_transfer *t, bool wanted, CURLoption option, long value) {
  return wanted ? curl_easy_setopt(t->easy, option, value) : CURLE_OK;
}

/* --- who it says it is --- */

static CURLcode set_auth(struct rille_transfer *t, const struct rille_access *a) {
  CURLcode code = set_string(t, CURLOPT_USERAGENT, a->user_agent);
  if (code == CURLE_OK)
    code = set_string(t, CURLOPT_USERNAME, a->user);
  if (code == CURLE_OK)
    code = set_string(t, CURLOPT_PASSWORD, a->password);
  if (code == CURLE_OK)
    code = set_long(t, a->digest, CURLOPT_HTTPAUTH, (long)CURLAUTH_DIGEST);
  if (code == CURLE_OK)
    code = set_string(t, CURLOPT_XOAUTH2_BEARER, a->bearer);
  if (code == CURLE_OK)
    code = set_long(t, a->bearer != NULL, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
  if (code == CURLE_OK)
    code = set_long(t, a->netrc != NULL, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
  if (code == CURLE_OK && a->netrc != NULL && a->netrc[0] != '\0')
    code = set_string(t, CURLOPT_NETRC_FILE, a->netrc);
  t->challenged = a->digest;
  return code;
}

/* --- whom it trusts --- */

/* A proxy that is reached by TLS is verified as well, whatever is said of the server. Without a password
 * OpenSSL would ask for it on the terminal. */
static CURLcode set_tls(struct rille_transfer *t, const struct rille_access *a) {
  CURLcode code = set_string(t, CURLOPT_CAINFO, a->ca);
  if (code == CURLE_OK)
    code = set_string(t, CURLOPT_PROXY_CAINFO, a->ca);
  if (code == CURLE_OK)
    code = set_string(t, CURLOPT_SSLCERT, a->cert);
  if (code == CURLE_OK)
    code = set_string(t, CURLOPT_SSLKEY, a->key);
  if (code == CURLE_OK && a->cert != NULL)
    code = set_string(t, CURLOPT_KEYPASSWD, a->key_password != NULL ? a->key_password : "");
  if (code == CURLE_OK)
    code = set_string(t, CURLOPT_PINNEDPUBLICKEY, a->pin);
  if (code == CURLE_OK)
    code = set_long(t, a->tls13, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
  if (code == CURLE_OK)
    code = set_long(t, a->insecure, CURLOPT_SSL_VERIFYPEER, 0L);
  if (code == CURLE_OK)
    code = set_long(t, a->insecure, CURLOPT_SSL_VERIFYHOST, 0L);
  return code;
}

/* --- by which way it goes --- */

static void refuse(struct rille_transfer *t, const char *address) {
  size_t length = strlen(address);
  if (length >= sizeof t->refused)
    length = sizeof t->refused - 1;
  memcpy(t->refused, address, length);
  t->refused[length] = '\0';
}

static curl_socket_t on_open_guarded(void *data, curlsocktype purpose, struct curl_sockaddr *address) {
  struct rille_transfer *t = data;
  const struct sockaddr *where = &address->addr;
  char text[INET6_ADDRSTRLEN] = "?";
  if (!rille_address_is_private(where))
    return rille_sockets_open(t->sockets, purpose, address);
  if (where->sa_family == AF_INET)
    (void)inet_ntop(AF_INET, &((const struct sockaddr_in *)where)->sin_addr, text, sizeof text);
  else if (where->sa_family == AF_INET6)
    (void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)where)->sin6_addr, text, sizeof text);
  refuse(t, text);
  return CURL_SOCKET_BAD;
}

bool rille_access_allows(struct rille_transfer *t, const char *address) {
  if (!t->guarded || !rille_address_text_is_private(address)) {
    t->refused[0] = '\0'; /* another address of the name was */
    return true;
  }
  refuse(t, address);
  return false;
}

/* No proxy: it would open the connection where nobody checks. */
static CURLcode set_guard(struct rille_transfer *t) {
  t->guarded = true;
  CURLcode code = set_string(t, CURLOPT_PROXY, "");
  if (code == CURLE_OK)
    code = curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION, on_open_guarded);
  return code != CURLE_OK ? code : curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETDATA, t);
}

/* By CONNECT_TO, and not by RESOLVE, which would put the addresses into the cache that all requests of the
 * pool share. */
static CURLcode set_resolve(struct rille_transfer *t, const char *items) {
  for (; *items != '\0'; items += strlen(items) + 1) {
    struct curl_slist *list = curl_slist_append(t->connect_to, items);
    if (list == NULL)
      return CURLE_OUT_OF_MEMORY;
    t->connect_to = list;
  }
  return curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, t->connect_to);
}

static CURLcode set_way(struct rille_transfer *t, const struct rille_access *a) {
  CURLcode code = set_string(t, CURLOPT_PROXY, a->proxy);
  if (code == CURLE_OK && a->proxy != NULL && !rille_buffer_append(&t->proxy, a->proxy, strlen(a->proxy) + 1))
    code = CURLE_OUT_OF_MEMORY;
  if (code == CURLE_OK)
    code = set_string(t, CURLOPT_UNIX_SOCKET_PATH, a->unix_socket);
  if (code == CURLE_OK && a->resolve != NULL)
    code = set_resolve(t, a->resolve);
  if (code == CURLE_OK && a->block_private)
    code = set_guard(t);
  return code;
}

CURLcode rille_access_set(struct rille_transfer *t, const struct rille_access *a) {
  CURLcode code = set_auth(t, a);
  if (code == CURLE_OK)
    code = set_tls(t, a);
  return code != CURLE_OK ? code : set_way(t, a);
}
