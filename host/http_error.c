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

/* What is known of a failure before it becomes a table. */
struct failure {
  const char *code;
  const char *text;
  const char *detail; /* libcurl's own words, or NULL */
  const char *phase;  /* of a time-out, or NULL */
  char name[32];      /* room for code and text that libuv writes */
  char words[128];
};

struct entry {
  int key;
  const char *code;
  const char *text;
};

/* Results of libcurl whose meaning does not depend on anything else. */
static const struct entry results[] = {
    {CURLE_COULDNT_RESOLVE_HOST, "ENOTFOUND", "cannot resolve the host name"},
    {CURLE_COULDNT_RESOLVE_PROXY, "ENOTFOUND", "cannot resolve the proxy's name"},
    {CURLE_PROXY, "EPROXY", "the proxy refused"},
    {CURLE_TOO_MANY_REDIRECTS, "EREDIRECT", "too many redirects"},
    {CURLE_URL_MALFORMAT, "EURL", "malformed URL"},
    {CURLE_PARTIAL_FILE, "EPROTO", "the connection was closed in the middle of the body"},
    {CURLE_GOT_NOTHING, "EPROTO", "the connection was closed before the response"},
    {CURLE_WEIRD_SERVER_REPLY, "EPROTO", "not a valid HTTP response"},
    {CURLE_UNSUPPORTED_PROTOCOL, "EPROTO", "not a valid HTTP response"},
    {CURLE_BAD_CONTENT_ENCODING, "EPROTO", "the transfer coding is corrupt"},
    {CURLE_HTTP2, "EPROTO", "HTTP/2 error"},
    {CURLE_HTTP2_STREAM, "EPROTO", "HTTP/2 stream error"},
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

static void timed_out(struct failure *f, const char *phase, const char *text) {
  *f = (struct failure){.code = "ETIMEDOUT", .text = text, .phase = phase};
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
  if (t->code == CURLE_OPERATION_TIMEDOUT || (connecting && number == ETIMEDOUT))
    timed_out(f, "connect", "timed out while connecting");
  else if (number != 0)
    by_errno(f, number);
  else if (connecting)
    *f = (struct failure){.code = "ECONNREFUSED", .text = "cannot connect", .detail = t->detail};
  else if (is_misled(t))
    *f = (struct failure){
        .code = "EREDIRECT", .text = "redirected to an unusable URL", .detail = t->detail};
  else if (oversize(t) != NULL)
    *f = (struct failure){.code = "ETOOBIG", .text = oversize(t)};
  else if (t->code == CURLE_BAD_FUNCTION_ARGUMENT && t->status != 0)
    *f = (struct failure){.code = "EPROTO", .text = "a trailer is not valid"};
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
  if (t->code == CURLE_PARTIAL_FILE || t->code == CURLE_GOT_NOTHING)
    f->detail = NULL; /* it says the same */
}

static void explain(struct failure *f, const struct rille_transfer *t) {
  *f = (struct failure){NULL, NULL, NULL, NULL, "", ""};
  const struct entry *e = find(ends, sizeof ends / sizeof ends[0], (int)t->end);
  if (t->end == RILLE_END_TOTAL_TIMEOUT) {
    timed_out(f, "total", "timed out");
  } else if (t->end == RILLE_END_IDLE_TIMEOUT) {
    timed_out(f, "idle", "timed out: nothing arrived for too long");
  } else if (e != NULL) {
    f->code = e->code;
    f->text = e->text;
  } else {
    by_result(f, t);
  }
}

/* Pushes "GET http://a/: redirected to http://b/", or no redirect, and the URL concerned. */
static void push_subject(lua_State *L, const struct rille_transfer *t, const char *method,
                         const char *url) {
  const char *last = rille_transfer_url(t);
  rille_push_safe_url(L, url);
  bool moved = (t->hops > 0 || t->status / 100 == 3) && last != NULL && strcmp(last, url) != 0;
  if (!moved) {
    lua_pushfstring(L, "%s %s", method, lua_tostring(L, -1));
    lua_insert(L, -2);
    return;
  }
  rille_push_safe_url(L, last);
  lua_pushfstring(L, "%s %s: redirected to %s", method, lua_tostring(L, -2), lua_tostring(L, -1));
  lua_replace(L, -3);
}

void rille_http_error_push(lua_State *L, const struct rille_transfer *t, const char *method,
                        const char *url) {
  struct failure f;
  explain(&f, t);
  push_subject(L, t, method, url);
  const char *subject = lua_tostring(L, -2);
  if (f.detail != NULL && f.detail[0] != '\0')
    rille_fault_push(L, f.code, "%s: %s (%s)", subject, f.text, f.detail);
  else
    rille_fault_push(L, f.code, "%s: %s", subject, f.text);
  lua_insert(L, -3); /* error, subject, url */
  lua_setfield(L, -3, "url");
  lua_pop(L, 1);
  lua_pushstring(L, method);
  lua_setfield(L, -2, "method");
  if (t->status != 0) {
    lua_pushinteger(L, t->status);
    lua_setfield(L, -2, "status");
  }
  if (f.phase != NULL) {
    lua_pushstring(L, f.phase);
    lua_setfield(L, -2, "phase");
  }
}
