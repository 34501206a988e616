/* http_error.c -- error objects of failed transfers. The model is told in http_error.h.
 * Owner:  nothing is kept.
 * Errors: it pushes one; it may raise "not enough memory". */
#include "http_error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fault.h"
#include "http_response.h"
#include "transfer_proxy.h"

enum { EXCERPT = 80 }; /* of the body, as lualib/rille/http/fault.lua has it */

/* What is known of a failure before it becomes a table. */
struct failure {
  const char *code;
  const char *text;
  const char *detail; /* libcurl's own words, or NULL */
  const char *phase;  /* of a time-out, or NULL */
  bool by_proxy;
  struct rille_proxy_failure proxy;
  char name[32];      /* room for code and text that libuv writes */
  char words[128];
};

struct entry {
  int key;
  const char *code;
  const char *text;
};

/* Results of libcurl whose meaning does not depend on anything else. Those of by_case and transfer_proxy.c
 * are not here, nor those that cannot occur: they are of other protocols or of options that are not used,
 * CURLE_REMOTE_ACCESS_DENIED CURLE_FTP_ACCEPT_FAILED CURLE_FTP_WEIRD_PASS_REPLY CURLE_FTP_ACCEPT_TIMEOUT
 * CURLE_FTP_WEIRD_PASV_REPLY CURLE_FTP_WEIRD_227_FORMAT CURLE_FTP_CANT_GET_HOST CURLE_FTP_COULDNT_SET_TYPE
 * CURLE_FTP_COULDNT_RETR_FILE CURLE_QUOTE_ERROR CURLE_HTTP_RETURNED_ERROR
 * CURLE_FTP_PORT_FAILED CURLE_FTP_COULDNT_USE_REST CURLE_RANGE_ERROR CURLE_HTTP_POST_ERROR
 * CURLE_BAD_DOWNLOAD_RESUME CURLE_FILE_COULDNT_READ_FILE CURLE_LDAP_CANNOT_BIND CURLE_LDAP_SEARCH_FAILED
 * CURLE_FUNCTION_NOT_FOUND CURLE_INTERFACE_FAILED CURLE_FILESIZE_EXCEEDED CURLE_LOGIN_DENIED
 * CURLE_TFTP_NOTFOUND CURLE_TFTP_PERM CURLE_REMOTE_DISK_FULL CURLE_TFTP_ILLEGAL CURLE_TFTP_UNKNOWNID
 * CURLE_REMOTE_FILE_EXISTS CURLE_TFTP_NOSUCHUSER CURLE_REMOTE_FILE_NOT_FOUND CURLE_SSH CURLE_FTP_PRET_FAILED
 * CURLE_RTSP_CSEQ_ERROR CURLE_RTSP_SESSION_ERROR CURLE_FTP_BAD_FILE_LIST CURLE_CHUNK_FAILED
 * CURLE_RECURSIVE_API_CALL CURLE_HTTP3 CURLE_QUIC_CONNECT_ERROR. */
static const struct entry results[] = {
    {CURLE_COULDNT_RESOLVE_HOST, "ENOTFOUND", "cannot resolve the host name"},
    {CURLE_PROXY, "ENOTFOUND", "cannot resolve the host name"}, /* what the proxy is not to blame for */
    {CURLE_COULDNT_RESOLVE_PROXY, "ENOTFOUND", "cannot resolve the proxy's name"},
    {CURLE_TOO_MANY_REDIRECTS, "EREDIRECT", "too many redirects"},
    {CURLE_URL_MALFORMAT, "EURL", "malformed URL"},
    {CURLE_PARTIAL_FILE, "EPROTO", "the connection was closed in the middle of the body"},
    {CURLE_GOT_NOTHING, "EPROTO", "the connection was closed before the response"},
    {CURLE_WEIRD_SERVER_REPLY, "EPROTO", "not a valid HTTP response"},
    {CURLE_UNSUPPORTED_PROTOCOL, "EPROTO", "not a valid HTTP response"},
    {CURLE_UPLOAD_FAILED, "EPROTO", "the server does not take a body without a length"},
    {CURLE_BAD_CONTENT_ENCODING, "EPROTO", "the transfer coding is corrupt"},
    {CURLE_HTTP2, "EPROTO", "the HTTP/2 connection ended before the response"},
    {CURLE_HTTP2_STREAM, "EPROTO", "the server broke off the response"},
    {CURLE_RECV_ERROR, "EPROTO", "receiving failed"},
    {CURLE_SEND_ERROR, "EPROTO", "sending failed"},
    {CURLE_SSL_CONNECT_ERROR, "ETLS", "TLS handshake failed"},
    {CURLE_PEER_FAILED_VERIFICATION, "ETLS", "the server's certificate was refused"},
    {CURLE_SSL_ENGINE_NOTFOUND, "ETLS", "TLS failed"},
    {CURLE_SSL_ENGINE_SETFAILED, "ETLS", "TLS failed"},
    {CURLE_SSL_ENGINE_INITFAILED, "ETLS", "TLS failed"},
    {CURLE_SSL_CERTPROBLEM, "ETLS", "the client certificate cannot be used"},
    {CURLE_SSL_CIPHER, "ETLS", "no such cipher"},
    {CURLE_SSL_CACERT_BADFILE, "ETLS", "the file of CA certificates cannot be read"},
    {CURLE_SSL_CRL_BADFILE, "ETLS", "the revocation list cannot be read"},
    {CURLE_SSL_ISSUER_ERROR, "ETLS", "the issuer check failed"},
    {CURLE_SSL_SHUTDOWN_FAILED, "ETLS", "TLS failed"},
    {CURLE_SSL_PINNEDPUBKEYNOTMATCH, "ETLS", "the server's key is not the pinned one"},
    {CURLE_SSL_INVALIDCERTSTATUS, "ETLS", "the certificate's status is bad"},
    {CURLE_SSL_CLIENTCERT, "ETLS", "the server asks for a client certificate"},
    {CURLE_USE_SSL_FAILED, "ETLS", "TLS failed"},
    {CURLE_OUT_OF_MEMORY, "ENOMEM", "not enough memory"},
    {CURLE_WRITE_ERROR, "ENOMEM", "not enough memory"}, /* our callbacks fail for this */
    {CURLE_BAD_FUNCTION_ARGUMENT, "EINVAL", "libcurl refused an option"},
    {CURLE_UNKNOWN_OPTION, "EINVAL", "this libcurl lacks an option"},
    {CURLE_NOT_BUILT_IN, "EINVAL", "this libcurl lacks a feature"},
    {CURLE_SETOPT_OPTION_SYNTAX, "EINVAL", "libcurl refused an option"},
    {CURLE_FAILED_INIT, "EIO", "libcurl could not begin"},
    {CURLE_READ_ERROR, "EIO", "what is to be sent could not be read"},
    {CURLE_SEND_FAIL_REWIND, "EIO", "the body cannot be sent a second time"},
    {CURLE_AUTH_ERROR, "EIO", "the credentials cannot be used"},
    {CURLE_NO_CONNECTION_AVAILABLE, "EIO", "no connection is free"},
    {CURLE_AGAIN, "EIO", "the socket is not ready"},
    {CURLE_UNRECOVERABLE_POLL, "EIO", "waiting for the socket failed"},
};

/* Our own findings. */
static const struct entry ends[] = {
    {RILLE_END_BODY_SIZE, "ETOOBIG", "the body is larger than max_body"},
    {RILLE_END_HEAD_SIZE, "ETOOBIG", "the headers are larger than 256 KiB"},
    {RILLE_END_CUT_HEAD, "EPROTO", "the connection was closed in the middle of the headers"},
    {RILLE_END_FRAMING, "EPROTO", "the headers do not say clearly where the body ends"},
    {RILLE_END_CUT_CODING, "EPROTO", "the compressed body is truncated"},
    {RILLE_END_BAD_CODING, "EPROTO", "the compressed body is corrupt"},
    {RILLE_END_WINDOW, "EPROTO", "the compressed body needs a window larger than 8 MiB"},
    {RILLE_END_CODINGS, "EPROTO", "the body has more than 5 content codings"},
    {RILLE_END_SEND_SHORT, "ELENGTH", "the request's body is shorter than its length"},
    {RILLE_END_SEND_LONG, "ELENGTH", "the request's body is longer than its length"},
    {RILLE_END_UPLOAD, "ECANCELED", "the request's body was given up"},
    {RILLE_END_UNANSWERED, "EPROTO",
     "the kept connection was closed before the response: the request may have arrived, and is not sent "
     "again"},
    {RILLE_END_CLOSED, "ECANCELED", "the client was closed"},
};

static const struct entry *find(const struct entry *table, size_t count, int key) {
  for (size_t i = 0; i < count; i++)
    if (table[i].key == key)
      return &table[i];
  return NULL;
}

static bool begins(const char *text, const char *with) {
  return strncmp(text, with, strlen(with)) == 0;
}

/* An errno: ECONNREFUSED, EHOSTUNREACH, ECONNRESET ... */
static void by_errno(struct failure *f, long number) {
  int status = number == EPIPE ? UV_ECONNRESET : -(int)number;
  f->code = uv_err_name_r(status, f->name, sizeof f->name);
  f->text = uv_strerror_r(status, f->words, sizeof f->words);
  f->detail = NULL;
}

/* option: the one whose seconds are over, NULL if it was the system that gave up. */
static void timed_out(struct failure *f, const char *phase, const char *text, const char *option) {
  *f = (struct failure){.code = "ETIMEDOUT", .text = text, .phase = phase, .detail = option};
}

static bool is_tls(CURLcode code) {
  const struct entry *e = find(results, sizeof results / sizeof results[0], (int)code);
  return e != NULL && strcmp(e->code, "ETLS") == 0;
}

/* A redirect to what cannot be followed. */
static bool is_misled(const struct rille_transfer *t) {
  const char *url = rille_transfer_url(t);
  if (t->status / 100 != 3)
    return false;
  return t->code == CURLE_URL_MALFORMAT || begins(t->detail, "The redirect target") ||
         (t->code == CURLE_UNSUPPORTED_PROTOCOL && url != NULL && strncasecmp(url, "http", 4) != 0);
}

/* The errno of a failed send or receive; 0 if it is not one. os_error alone does not tell: it may
 * be of an attempt before, and a malformed chunk is an error in receiving for libcurl, too. */
static long moving_errno(const struct rille_transfer *t) {
  if (t->code != CURLE_RECV_ERROR && t->code != CURLE_SEND_ERROR)
    return 0;
  const char *tls = strstr(t->detail, ", errno ");
  if (tls != NULL)
    return strtol(tls + sizeof ", errno " - 1, NULL, 10);
  bool told = begins(t->detail, "Recv failure") || begins(t->detail, "Send failure");
  bool guess = t->detail[0] == '\0' && !t->chunked &&
               (t->os_error == ECONNRESET || t->os_error == EPIPE);
  return told || guess ? t->os_error : 0;
}

/* libcurl's results for what does not fit its own bounds: a line of a head or of trailers, and the
 * heads of all redirects together. The text, or NULL. */
static const char *oversize(const struct rille_transfer *t) {
  bool in_head = t->code == CURLE_OUT_OF_MEMORY && t->time_first > 0 && (t->head_open || t->status == 0);
  if (in_head || (t->code == CURLE_RECV_ERROR && begins(t->detail, "Out of memory in chunked-encoding")))
    return "a header line is larger than 100 KiB";
  if (t->code == CURLE_RECV_ERROR && begins(t->detail, "Too large response headers"))
    return "the headers of all redirects are larger than 300 KiB";
  return NULL;
}

/* Results of libcurl that mean one thing or another. True if it was one of these. */
static bool by_case(struct failure *f, const struct rille_transfer *t) {
  bool connecting = t->code == CURLE_COULDNT_CONNECT;
  long number = connecting ? t->os_error : moving_errno(t);
  if (t->refused[0] != '\0' && (connecting || t->code == CURLE_ABORTED_BY_CALLBACK))
    *f = (struct failure){.code = "EPRIVATE", .text = "the address is private", .detail = t->refused};
  else if (t->code == CURLE_OPERATION_TIMEDOUT || (connecting && number == ETIMEDOUT))
    timed_out(f, "connect", "timed out while connecting",
              t->code == CURLE_OPERATION_TIMEDOUT ? "timeout.connect" : NULL);
  else if (number != 0)
    by_errno(f, number);
  else if (connecting)
    *f = (struct failure){.code = "ECONNREFUSED", .text = "cannot connect", .detail = t->detail};
  else if (begins(t->detail, ".netrc"))
    *f = (struct failure){.code = "EINVAL", .text = "the netrc file is malformed"};
  else if (is_misled(t))
    *f = (struct failure){
        .code = "EREDIRECT", .text = "redirected to an unusable URL", .detail = t->detail};
  else if (oversize(t) != NULL)
    *f = (struct failure){.code = "ETOOBIG", .text = oversize(t)};
  else if (t->code == CURLE_BAD_FUNCTION_ARGUMENT && t->status != 0)
    *f = (struct failure){
        .code = "EPROTO", .text = t->head_open ? "a header is not valid" : "a trailer is not valid"};
  else
    return false;
  return true;
}

static void by_result(struct failure *f, const struct rille_transfer *t) {
  if (by_case(f, t))
    return;
  const struct entry *e = find(results, sizeof results / sizeof results[0], (int)t->code);
  f->code = e != NULL ? e->code : "EIO";
  f->text = e != NULL ? e->text : curl_easy_strerror(t->code);
  f->detail = strcmp(f->code, "EPROTO") == 0 || is_tls(t->code) || e == NULL ? t->detail : NULL;
  if (t->code == CURLE_PARTIAL_FILE && t->status < 200) /* over HTTP/2 */
    f->text = "the connection was closed before the response";
  if (t->code == CURLE_PARTIAL_FILE || t->code == CURLE_GOT_NOTHING)
    f->detail = NULL; /* it says the same */
}

/* The proxy is to blame: by itself, or for what is told already. */
static void blame_proxy(struct failure *f, const struct rille_proxy_failure *proxy) {
  f->by_proxy = true;
  f->proxy = *proxy;
  if (proxy->code == NULL)
    return;
  f->code = proxy->code;
  f->text = proxy->text;
  f->detail = f->phase = NULL;
}

static void explain(struct failure *f, const struct rille_transfer *t) {
  struct rille_proxy_failure proxy;
  *f = (struct failure){.code = NULL};
  const struct entry *e = find(ends, sizeof ends / sizeof ends[0], (int)t->end);
  if (t->end == RILLE_END_TOTAL_TIMEOUT) {
    timed_out(f, "total", "timed out", "timeout.total");
  } else if (t->end == RILLE_END_IDLE_TIMEOUT) {
    timed_out(f, "idle", "timed out: nothing was sent or received for too long", "timeout.idle");
  } else if (t->end == RILLE_END_RESEND) {
    bool redirect = t->status / 100 == 3;
    f->code = redirect ? "EREDIRECT" : "EPROTO";
    f->text = redirect ? "the redirect asks for the request's body again, and a stream is sent once"
                       : "the connection failed when a part of the request's body was sent, and a stream is "
                         "sent once";
  } else if (e != NULL) {
    f->code = e->code;
    f->text = e->text;
  } else {
    by_result(f, t);
  }
  if (rille_proxy_is_to_blame(t, &proxy))
    blame_proxy(f, &proxy);
}

/* Pushes what the message begins with: "GET http://a/: redirected to http://b/: proxy http://c:1". Stack
 * indexes: the URL that was asked for, the last one if it is another or nil, that of the proxy or nil. */
static const char *push_subject(lua_State *L, const char *method, int url, int last, int proxy) {
  const char *to = lua_tostring(L, last), *through = lua_tostring(L, proxy);
  return lua_pushfstring(L, "%s %s%s%s%s%s", method, lua_tostring(L, url),
                         to != NULL ? ": redirected to " : "", to != NULL ? to : "",
                         through != NULL ? ": proxy " : "", through != NULL ? through : "");
}

/* Pushes a URL with its password hidden, or nil. */
static int push_url(lua_State *L, const char *url) {
  if (url != NULL)
    rille_push_safe_url(L, url);
  else
    lua_pushnil(L);
  return lua_gettop(L);
}

static void set_string(lua_State *L, int error, const char *name, const char *value) {
  lua_pushstring(L, value); /* nil if it is NULL */
  lua_setfield(L, error, name);
}

/* What was received so far. Bytes of a streamed body were read already, or are thrown away. */
static void set_received(lua_State *L, int error, const struct rille_transfer *t) {
  if (t->status == 0)
    return;
  lua_pushinteger(L, t->status);
  lua_setfield(L, error, "status");
  rille_response_push_headers(L, t->head.data, t->head.length);
  lua_setfield(L, error, "headers");
  lua_pushinteger(L, (lua_Integer)t->received);
  lua_setfield(L, error, "received");
  if (t->streamed)
    return;
  size_t length = t->body.length < EXCERPT ? t->body.length : EXCERPT;
  lua_pushlstring(L, length > 0 ? t->body.data : "", length);
  lua_setfield(L, error, "body");
}

void rille_http_error_push(lua_State *L, const struct rille_transfer *t, const char *method,
                        const char *url) {
  struct failure f;
  explain(&f, t);
  const char *now = rille_transfer_url(t);
  bool moved = (t->hops > 0 || t->status / 100 == 3) && now != NULL && strcmp(now, url) != 0;
  int first = push_url(L, url);
  int last = push_url(L, moved ? now : NULL);
  int proxy = push_url(L, f.by_proxy ? f.proxy.url : NULL);
  const char *subject = push_subject(L, method, first, last, proxy);
  if (f.detail != NULL && f.detail[0] != '\0')
    rille_fault_push(L, f.code, "%s: %s (%s)", subject, f.text, f.detail);
  else if (f.proxy.status != 0)
    rille_fault_push(L, f.code, "%s: %s (%d)", subject, f.text, (int)f.proxy.status);
  else
    rille_fault_push(L, f.code, "%s: %s", subject, f.text);
  int error = lua_gettop(L);
  set_string(L, error, "url", lua_tostring(L, moved ? last : first));
  set_string(L, error, "method", method);
  set_string(L, error, "phase", f.phase);
  set_string(L, error, "proxy", lua_tostring(L, proxy));
  if (f.proxy.status != 0) {
    lua_pushinteger(L, (lua_Integer)f.proxy.status);
    lua_setfield(L, error, "proxy_status");
  }
  set_received(L, error, t);
  lua_replace(L, first);
  lua_settop(L, first);
}
