/* http_access.c -- by which way a request goes, whom it trusts and who it says it is, read from Lua. The
 * model is told in http_access.h.
 * Owner:  nothing is kept.
 * Errors: as told there. */
#include "http_access.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "box.h"
#include "describe.h"
#include "fault.h"

enum { PIN_LENGTH = 44 }; /* of a SHA-256 in base64 */

static const char PIN_PREFIX[] = "sha256//";

/* A string of the options at `t`, without control characters; NULL if it is not there. It stays on the
 * stack. */
static const char *check_string(lua_State *L, int t, const char *name) {
  size_t length;
  const char *s = rille_field_string(L, t, name, &length);
  for (size_t i = 0; s != NULL && i < length; i++)
    if (((unsigned char)s[i] < ' ' && s[i] != '\t') || s[i] == 127)
      (void)rille_error(L, "bad option '%s' (it has a control character)", name);
  return s;
}

/* Pushes the table in a field, or nil. */
static bool push_table(lua_State *L, int t, const char *name) {
  int type = lua_getfield(L, t, name);
  if (type != LUA_TNIL && type != LUA_TTABLE)
    (void)rille_error(L, "bad option '%s' (table expected, got %s)", name, lua_typename(L, type));
  return type == LUA_TTABLE;
}

/* --- who it says it is --- */

static void check_auth(lua_State *L, int t, struct rille_access *a) {
  a->user = check_string(L, t, "user");
  a->password = check_string(L, t, "password");
  const char *scheme = check_string(L, t, "scheme");
  if (a->user == NULL)
    (void)rille_error(L, "bad option 'auth' (no 'user')");
  if (a->password == NULL)
    a->password = "";
  a->digest = scheme != NULL && strcmp(scheme, "digest") == 0;
  if (scheme != NULL && !a->digest && strcmp(scheme, "basic") != 0)
    (void)rille_error(L, "bad option 'auth.scheme' ('basic' or 'digest' expected)");
  if (strchr(a->user, ':') != NULL)
    (void)rille_error(L, "bad option 'auth' (a ':' in 'user')");
}

/* netrc = true, or a file, which must be there. Other credentials go before it. */
static void check_netrc(lua_State *L, int t, struct rille_access *a) {
  int type = lua_getfield(L, t, "netrc");
  if (type == LUA_TBOOLEAN || type == LUA_TNIL) {
    bool wanted = lua_toboolean(L, -1);
    lua_pop(L, 1);
    a->netrc = wanted ? "" : NULL;
  } else {
    lua_pop(L, 1);
    a->netrc = check_string(L, t, "netrc");
    if (a->netrc[0] == '\0')
      (void)rille_error(L, "bad option 'netrc' (empty)");
    if (access(a->netrc, R_OK) != 0) {
      rille_fault_push_uv(L, -errno, a->netrc);
      (void)lua_error(L);
    }
  }
  if (a->user != NULL || a->bearer != NULL)
    a->netrc = NULL;
}

/* --- whom it trusts --- */

static bool is_base64(char c) { return isalnum((unsigned char)c) != 0 || c == '+' || c == '/' || c == '='; }

/* "sha256//BASE64", several with ';'. Anything else would be the name of a file to libcurl. */
static void check_pin(lua_State *L, const char *pin) {
  while (pin != NULL) {
    size_t length = 0, prefix = sizeof PIN_PREFIX - 1;
    if (strncmp(pin, PIN_PREFIX, prefix) == 0)
      while (is_base64(pin[prefix + length]))
        length++;
    const char *end = pin + prefix + length;
    if (length != PIN_LENGTH || (*end != '\0' && *end != ';'))
      (void)rille_error(L, "bad option 'tls.pin' ('sha256//' and a hash in base64 expected)");
    pin = *end == ';' ? end + 1 : NULL;
  }
}

static void check_tls(lua_State *L, int t, struct rille_access *a) {
  a->insecure = rille_field_boolean(L, t, "insecure", false);
  a->ca = check_string(L, t, "ca");
  a->cert = check_string(L, t, "cert");
  a->key = check_string(L, t, "key");
  a->key_password = check_string(L, t, "key_password");
  a->pin = check_string(L, t, "pin");
  const char *version = check_string(L, t, "min_version");
  a->tls13 = version != NULL && strcmp(version, "1.3") == 0;
  if (version != NULL && !a->tls13 && strcmp(version, "1.2") != 0)
    (void)rille_error(L, "bad option 'tls.min_version' ('1.2' or '1.3' expected)");
  if (a->cert == NULL && (a->key != NULL || a->key_password != NULL))
    (void)rille_error(L, "bad option 'tls' ('%s' without 'cert')", a->key != NULL ? "key" : "key_password");
  check_pin(L, a->pin);
}

/* --- by which way it goes --- */

static void check_proxy(lua_State *L, const char *proxy) {
  static const char *const schemes[] = {"http://",    "https://",  "socks4://",
                                        "socks4a://", "socks5://", "socks5h://"};
  if (proxy == NULL || strstr(proxy, "://") == NULL)
    return;
  for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
    if (strncasecmp(proxy, schemes[i], strlen(schemes[i])) == 0)
      return;
  (void)rille_error(L, "bad option 'proxy' (http, https, socks4, socks4a, socks5 or socks5h expected)");
}

/* Is it "host:port", the host of a URL? */
static bool is_authority(const char *s, size_t length) {
  const char *colon = memchr(s, ']', length);
  colon = strchr(colon != NULL ? colon : s, ':');
  if (strlen(s) != length || colon == NULL || colon == s ||
      strspn(colon + 1, "0123456789") != strlen(colon + 1))
    return false;
  for (const char *p = s; p < colon; p++)
    if ((unsigned char)*p <= ' ' || strchr("/?#@,;*", *p) != NULL)
      return false;
  long port = strtol(colon + 1, NULL, 10);
  return colon[1] != '\0' && strlen(colon + 1) <= 5 && port >= 1 && port <= 65535;
}

/* Adds "host:port:address:" for the pair on top of the stack. */
static void add_address(lua_State *L, luaL_Buffer *b, int key, int value) {
  unsigned char bytes[16];
  size_t length = 0;
  const char *where = lua_type(L, key) == LUA_TSTRING ? lua_tolstring(L, key, &length) : NULL;
  const char *address = lua_type(L, value) == LUA_TSTRING ? lua_tostring(L, value) : NULL;
  if (where == NULL || !is_authority(where, length))
    (void)rille_error(L, "bad option 'resolve' (a name is not 'host:port')");
  bool is6 = address != NULL && inet_pton(AF_INET6, address, bytes) == 1;
  if (address == NULL || (!is6 && inet_pton(AF_INET, address, bytes) != 1))
    (void)rille_error(L, "bad option 'resolve' (%s: not an IP address)", where);
  luaL_addlstring(b, where, length);
  luaL_addstring(b, is6 ? ":[" : ":");
  luaL_addstring(b, address);
  luaL_addstring(b, is6 ? "]:" : ":");
  luaL_addchar(b, '\0');
}

/* Pushes the items, and nil or a string: what the buffer has. */
static const char *check_resolve(lua_State *L, int t) {
  if (!push_table(L, t, "resolve"))
    return NULL;
  int table = lua_gettop(L), key = table + 1, value = table + 2;
  lua_settop(L, value); /* below the buffer, which may use the stack */
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (lua_pushvalue(L, key); lua_next(L, table) != 0; lua_pushvalue(L, key)) {
    lua_replace(L, value);
    lua_replace(L, key);
    add_address(L, &b, key, value);
  }
  luaL_pushresult(&b);
  return lua_tostring(L, -1);
}

/* --- all of it --- */

void rille_access_check(lua_State *L, int t, struct rille_access *a) {
  a->user_agent = check_string(L, t, "user_agent");
  if (push_table(L, t, "auth"))
    check_auth(L, lua_gettop(L), a);
  a->bearer = check_string(L, t, "bearer");
  if (a->bearer != NULL && a->user != NULL)
    (void)rille_error(L, "bad options ('auth' and 'bearer')");
  check_netrc(L, t, a);
  if (push_table(L, t, "tls"))
    check_tls(L, lua_gettop(L), a);
  a->proxy = check_string(L, t, "proxy");
  check_proxy(L, a->proxy);
  a->unix_socket = check_string(L, t, "unix_socket");
  a->resolve = check_resolve(L, t);
  a->block_private = rille_field_boolean(L, t, "block_private", false);
  if (a->block_private && a->proxy != NULL && a->proxy[0] != '\0')
    (void)rille_error(L, "bad options ('block_private' and 'proxy')");
  if (a->block_private && a->unix_socket != NULL)
    (void)rille_error(L, "bad options ('block_private' and 'unix_socket')");
}
