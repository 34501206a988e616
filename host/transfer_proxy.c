/* transfer_proxy.c -- whether a transfer failed because of its proxy. The model is told in transfer_proxy.h.
 * Owner:  as told there.
 * Errors: none. */
#include "transfer_proxy.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SOCKS_PORT = 1080 }; /* also of HTTP proxies, to libcurl */

/* What a SOCKS proxy has answered, or not. Those that are not here have no better text than "refused". */
static const struct {
  CURLproxycode key;
  const char *text;
} answers[] = {
    {CURLPX_BAD_VERSION, "the proxy does not speak SOCKS"},
    {CURLPX_CLOSED, "the proxy closed the connection"},
    {CURLPX_LONG_HOSTNAME, "the host name is too long for the proxy"},
    {CURLPX_LONG_PASSWD, "the password is too long for the proxy"},
    {CURLPX_LONG_USER, "the user name is too long for the proxy"},
    {CURLPX_NO_AUTH, "the proxy asks for a user and a password"},
    {CURLPX_RECV_ADDRESS, "the proxy closed the connection"},
    {CURLPX_RECV_AUTH, "the proxy closed the connection"},
    {CURLPX_RECV_CONNECT, "the proxy closed the connection"},
    {CURLPX_RECV_REQACK, "the proxy closed the connection"},
    {CURLPX_REPLY_CONNECTION_REFUSED, "the server refused the proxy's connection"},
    {CURLPX_REPLY_HOST_UNREACHABLE, "the proxy cannot reach the host"},
    {CURLPX_REPLY_NETWORK_UNREACHABLE, "the proxy cannot reach the network"},
    {CURLPX_REPLY_NOT_ALLOWED, "the proxy does not allow this"},
    {CURLPX_REPLY_TTL_EXPIRED, "the proxy's connection timed out"},
    {CURLPX_USER_REJECTED, "the proxy refused the user or the password"},
};

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* As libcurl looks: http_proxy in lower case only, since a CGI program gets HTTP_PROXY from its client. */
static const char *of_environment(const struct rille_transfer *t) {
  const char *url = rille_transfer_url(t);
  bool tls = url != NULL && strncasecmp(url, "https:", 6) == 0;
  const char *const names[] = {tls ? "https_proxy" : "http_proxy", tls ? "HTTPS_PROXY" : "http_proxy",
                               "all_proxy", "ALL_PROXY"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    const char *value = getenv(names[i]);
    if (value != NULL && value[0] != '\0')
      return value;
  }
  return NULL;
}

/* The proxy that the request would use, unless no_proxy says otherwise. */
static const char *proxy_of(const struct rille_transfer *t) {
  const char *url = t->proxy.length > 0 ? t->proxy.data : of_environment(t);
  return url == NULL || url[0] == '\0' ? NULL : url;
}

/* The host of "scheme://user@host:port/" and its length. */
static const char *host_of(const char *url, size_t *length) {
  const char *host = strstr(url, "://");
  host = host == NULL ? url : host + 3;
  const char *end = host + strcspn(host, "/?#");
  for (const char *p = host; p < end; p++)
    host = *p == '@' ? p + 1 : host;
  if (*host == '[') {
    host++;
    *length = strcspn(host, "]");
  } else {
    *length = strcspn(host, ":/?#");
  }
  return host;
}

/* `otherwise` is the port if none is given and the scheme is not https. */
static unsigned long port_of(const char *url, unsigned long otherwise) {
  size_t length;
  const char *host = host_of(url, &length);
  const char *end = host + length + (host[length] == ']' ? 1 : 0);
  if (*end == ':')
    return strtoul(end + 1, NULL, 10);
  return strncasecmp(url, "https:", 6) == 0 ? 443 : otherwise;
}

/* libcurl's words name the host and the port that it could not connect to. */
static bool names(const char *detail, const char *url) {
  static const char words[] = "Failed to connect to ", between[] = " port ";
  size_t length;
  const char *host = host_of(url, &length), *told = detail + sizeof words - 1;
  if (!begins(detail, words) || strncasecmp(told, host, length) != 0 || !begins(told + length, between))
    return false;
  return strtoul(told + length + sizeof between - 1, NULL, 10) == port_of(url, SOCKS_PORT);
}

/* The name of a SOCKS proxy is a host's like any other to libcurl. */
static bool is_nameless(const struct rille_transfer *t, const char *proxy) {
  static const char words[] = "Could not resolve host: ";
  size_t length;
  if (t->code != CURLE_COULDNT_RESOLVE_HOST || proxy == NULL || !begins(t->detail, words))
    return false;
  const char *host = host_of(proxy, &length), *told = t->detail + sizeof words - 1;
  return strncasecmp(told, host, length) == 0 && told[length] == '\0';
}

static CURLproxycode answer_code(const struct rille_transfer *t) {
  long answer = CURLPX_OK;
  (void)curl_easy_getinfo(t->easy, CURLINFO_PROXY_ERROR, &answer);
  return (CURLproxycode)answer;
}

static const char *answer_of(const struct rille_transfer *t) {
  CURLproxycode answer = answer_code(t);
  for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
    if (answers[i].key == answer)
      return answers[i].text;
  return "the proxy refused";
}

/* CURLINFO_HTTP_CONNECTCODE is of any CONNECT before this failure, so the result must fit. */
static bool is_refused(const struct rille_transfer *t, long *status) {
  (void)curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, status);
  if (t->code == CURLE_RECV_ERROR && *status != 0 && *status / 100 != 2)
    return true;
  *status = 0;
  return false;
}

/* Results of a connection that broke or stood still, or of TLS with the proxy. Of what comes behind a SOCKS
 * proxy libcurl tells nothing; that it takes too long to connect is told with the proxy. */
static bool is_break(CURLcode code, const char *proxy) {
  bool tls = code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION;
  if (code == CURLE_OPERATION_TIMEDOUT)
    return true;
  if (strncasecmp(proxy, "socks", 5) == 0)
    return false;
  return code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_GOT_NOTHING ||
         (tls && strncasecmp(proxy, "https:", 6) == 0);
}

/* The connection to a proxy failed before it led anywhere. Whose it was only its port tells. */
static bool is_cut_off(const struct rille_transfer *t, const char *proxy) {
  long status = 0, port = 0;
  const char *url = rille_transfer_url(t);
  if (proxy == NULL || url == NULL || !is_break(t->code, proxy) ||
      (t->status != 0 && t->status / 100 != 3))
    return false;
  (void)curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &status);
  (void)curl_easy_getinfo(t->easy, CURLINFO_PRIMARY_PORT, &port);
  return status / 100 != 2 && (unsigned long)port == port_of(proxy, SOCKS_PORT) &&
         (unsigned long)port != port_of(url, 80);
}

bool rille_proxy_is_to_blame(const struct rille_transfer *t, struct rille_proxy_failure *f) {
  *f = (struct rille_proxy_failure){.code = "EPROXY"};
  if (t->end != RILLE_END_CURL || t->easy == NULL)
    return false;
  f->url = proxy_of(t);
  if (begins(t->detail, "Unsupported proxy")) /* libcurl's words have the password */
    f->text = "the proxy's URL cannot be used";
  else if (t->code == CURLE_PROXY && answer_code(t) == CURLPX_RESOLVE_HOST)
    return false; /* we look names up for socks4:// and socks5:// */
  else if (t->code == CURLE_PROXY)
    f->text = answer_of(t);
  else if (is_refused(t, &f->status))
    f->text = "the proxy refused";
  else if (t->code != CURLE_OPERATION_TIMEDOUT && begins(t->detail, "Proxy CONNECT aborted"))
    f->text = "the proxy closed the connection";
  else if (begins(t->detail, "CONNECT response too large") || begins(t->detail, "Invalid response header") ||
           begins(t->detail, "CONNECT tunnel failed")) /* without a status */
    f->text = "the proxy's answer is not valid";
  else if (t->code == CURLE_COULDNT_RESOLVE_PROXY || is_nameless(t, f->url) || is_cut_off(t, f->url) ||
           ((t->code == CURLE_COULDNT_CONNECT || t->code == CURLE_OPERATION_TIMEDOUT) && f->url != NULL &&
            names(t->detail, f->url)))
    f->code = NULL;
  else
    return false;
  return true;
}
