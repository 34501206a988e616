/* http_options.c -- what a request is, read from Lua. The model is told in http_options.h.
 * Owner:  nothing is kept.
 * Errors: as told there. */
#include "http_options.h"

#include <string.h>
#include <strings.h>

#include "box.h"
#include "describe.h"
#include "fault.h"
#include "http_access.h"
#include "http_response.h"
#include "http_upload.h"

enum { CONNECT_TIMEOUT = 10000, REDIRECTS = 20 };

static const uint64_t DEFAULT_MAX_BODY = 64 * 1024 * 1024;

/* --- what could change the meaning of the request on its way is refused --- */

static bool is_token(const char *s, size_t length) {
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)s[i] <= ' ' || (unsigned char)s[i] >= 127 ||
        strchr("()<>@,;:\\\"/[]?={}", s[i]) != NULL)
      return false;
  return length > 0;
}

static bool has_control(const char *s, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (((unsigned char)s[i] < ' ' && s[i] != '\t') || s[i] == 127)
      return true;
  return false;
}

static const char *check_method(lua_State *L) {
  size_t length;
  const char *method = luaL_checklstring(L, RILLE_REQUEST_METHOD, &length);
  if (!is_token(method, length))
    (void)rille_error(L, "bad method (not a token)");
  if (strcmp(method, "CONNECT") == 0)
    (void)rille_error(L, "bad method (CONNECT is for proxies)");
  return method;
}

/* Raises EURL. */
static void refuse_url(lua_State *L, const char *method, const char *url, const char *reason) {
  rille_push_safe_url(L, url);
  const char *safe = lua_tostring(L, -1);
  rille_fault_push(L, "EURL", "%s %s: %s", method, safe, reason);
  lua_pushstring(L, safe);
  lua_setfield(L, -2, "url");
  lua_pushstring(L, method);
  lua_setfield(L, -2, "method");
  (void)lua_error(L);
}

static const char *check_url(lua_State *L, const char *method) {
  size_t length;
  const char *url = luaL_checklstring(L, RILLE_REQUEST_URL, &length);
  if (has_control(url, length) || memchr(url, '\t', length) != NULL)
    (void)rille_error(L, "bad URL (it has a control character)");
  if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
    refuse_url(L, method, url, "not a http:// or https:// URL");
  if (strstr(url, "://")[3] == '/') /* libcurl would take the path for a host */
    refuse_url(L, method, url, "the URL has no host");
  return url;
}

static bool is_reserved(const char *name) {
  return strcasecmp(name, "content-length") == 0 || strcasecmp(name, "transfer-encoding") == 0 ||
         strcasecmp(name, "proxy-authorization") == 0; /* it would go to the server as well */
}

/* The length of the list of headers: name, value, name, value ... */
static lua_Integer header_count(lua_State *L) {
  bool none = lua_isnoneornil(L, RILLE_REQUEST_HEADERS);
  return none ? 0 : (lua_Integer)lua_rawlen(L, RILLE_REQUEST_HEADERS) & ~(lua_Integer)1;
}

static void check_headers(lua_State *L) {
  if (lua_isnoneornil(L, RILLE_REQUEST_HEADERS))
    return;
  luaL_checktype(L, RILLE_REQUEST_HEADERS, LUA_TTABLE);
  lua_Integer count = header_count(L);
  for (lua_Integer i = 1; i < count; i += 2) {
    size_t name_length, value_length;
    if (lua_rawgeti(L, RILLE_REQUEST_HEADERS, i) != LUA_TSTRING ||
        lua_rawgeti(L, RILLE_REQUEST_HEADERS, i + 1) != LUA_TSTRING)
      (void)rille_error(L, "bad header (a string expected)");
    const char *name = lua_tolstring(L, -2, &name_length);
    const char *value = lua_tolstring(L, -1, &value_length);
    if (!is_token(name, name_length))
      (void)rille_error(L, "bad header name (not a token)");
    if (has_control(value, value_length))
      (void)rille_error(L, "bad value of header '%s' (it has a control character)", name);
    if (is_reserved(name))
      (void)rille_error(L, "header '%s' is set by the client itself", name);
    lua_pop(L, 2);
  }
}

/* --- options --- */

static long check_ms(lua_State *L, int t, const char *name, long def) {
  double seconds = rille_field_number(L, t, name, -1, 0, 1e6);
  if (seconds < 0)
    return def;
  return seconds > 0 && seconds < 0.001 ? 1 : (long)(seconds * 1000);
}

/* timeout = total seconds, or {connect=, total=, idle=}; 0: none */
static void check_timeouts(lua_State *L, struct rille_transfer_request *r) {
  int type = lua_getfield(L, RILLE_REQUEST_OPTIONS, "timeout");
  if (type == LUA_TTABLE) {
    int t = lua_gettop(L);
    r->connect_timeout = check_ms(L, t, "connect", r->connect_timeout);
    r->total_timeout = check_ms(L, t, "total", 0);
    r->idle_timeout = check_ms(L, t, "idle", 0);
  } else if (type != LUA_TNIL) {
    r->total_timeout = check_ms(L, RILLE_REQUEST_OPTIONS, "timeout", 0);
  }
  lua_pop(L, 1);
}

void rille_request_check_options(lua_State *L, struct rille_transfer_request *r) {
  if (lua_isnoneornil(L, RILLE_REQUEST_OPTIONS))
    return;
  luaL_checktype(L, RILLE_REQUEST_OPTIONS, LUA_TTABLE);
  luaL_checkstack(L, 40, "options");
  check_timeouts(L, r);
  r->max_redirects = (long)rille_field_integer(L, RILLE_REQUEST_OPTIONS, "max_redirects", r->max_redirects, 0,
                                               INT32_MAX);
  if (!rille_field_boolean(L, RILLE_REQUEST_OPTIONS, "follow", true))
    r->max_redirects = -1;
  r->max_body = (uint64_t)rille_field_integer(L, RILLE_REQUEST_OPTIONS, "max_body",
                                              (lua_Integer)r->max_body, 0, INT64_MAX / 4);
  r->decompress = rille_field_boolean(L, RILLE_REQUEST_OPTIONS, "decompress", true);
  rille_access_check(L, RILLE_REQUEST_OPTIONS, &r->access);
}

void rille_request_check(lua_State *L, struct rille_transfer_request *r) {
  *r = (struct rille_transfer_request){.connect_timeout = CONNECT_TIMEOUT,
                                       .max_redirects = REDIRECTS,
                                       .max_body = DEFAULT_MAX_BODY,
                                       .decompress = true};
  r->method = check_method(L);
  r->url = check_url(L, r->method);
  r->send = rille_upload_body(L, RILLE_REQUEST_BODY);
  if (r->send == NULL)
    r->body = luaL_optlstring(L, RILLE_REQUEST_BODY, NULL, &r->body_length);
  bool none = r->body == NULL && r->send == NULL;
  if (none && (strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0 ||
               strcmp(r->method, "PATCH") == 0))
    r->body = ""; /* these say that there is nothing: Content-Length: 0 */
  else if (!none && strcmp(r->method, "HEAD") == 0)
    (void)rille_error(L, "a HEAD request cannot have a body");
  rille_request_check_options(L, r);
  check_headers(L);
}

bool rille_request_add_headers(lua_State *L, struct rille_transfer *t) {
  lua_Integer count = header_count(L);
  bool ok = true;
  for (lua_Integer i = 1; i < count && ok; i += 2) {
    size_t name_length, value_length;
    lua_rawgeti(L, RILLE_REQUEST_HEADERS, i);
    lua_rawgeti(L, RILLE_REQUEST_HEADERS, i + 1);
    const char *name = lua_tolstring(L, -2, &name_length);
    const char *value = lua_tolstring(L, -1, &value_length);
    ok = rille_transfer_header(t, name, name_length, value, value_length);
    lua_pop(L, 2);
  }
  return ok;
}
