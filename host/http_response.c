/* http_response.c -- the response object of the HTTP client. The model is told in http_response.h.
 * Owner:  Lua. Headers are an object of their own: a list of names and values in the order of
 *         arrival.
 *         The bytes behind the body belong to it too, so that JSON is read where it lies.
 * Errors: a bad argument raises at the call. */
#include "http_response.h"

#include <string.h>
#include <strings.h>

#include <lauxlib.h>

#include "blob.h"
#include "json.h"

#define RESPONSE "rille.response"
#define HEADERS "rille.headers"

/* User values. A small body has no blob. */
enum { URL = 1, METHOD, REDIRECTS, HEADER_LIST, BODY };

enum { LARGE = 32 * 1024 }; /* bytes: to copy them takes longer than to collect a blob */

_Static_assert((int)RILLE_BUFFER_SPARE >= (int)RILLE_JSON_PADDING, "a blob is read as JSON where it lies");

struct response {
  int status;
  int version;
  double lookup, connect, tls, first, redirect, total; /* seconds since the start */
  size_t head_length;
  size_t body_length;
  const struct rille_buffer *blob; /* with a large body, else NULL */
  char data[];                     /* the head; and a small body, and RILLE_JSON_PADDING bytes */
};

/* --- URLs --- */

/* Where the host of a URL begins, or the user before it. libcurl takes one to three slashes. */
static const char *authority_of(const char *url) {
  size_t scheme = strcspn(url, ":/?#");
  const char *p = url[scheme] == ':' && url[scheme + 1] == '/' ? url + scheme + 1 : url;
  return p + strspn(p, "/");
}

/* Is what is behind the host's ':' a port? */
static bool has_port(const char *authority, const char *end) {
  const char *p = authority;
  if (*p == '[')
    p += strcspn(p, "]/?#");
  p += strcspn(p, ":/?#");
  return p >= end || p + 1 + strspn(p + 1, "0123456789") >= end;
}

/* The last '@' of [from, end), or NULL. */
static const char *last_at(const char *from, const char *end) {
  while (end > from)
    if (*--end == '@')
      return end;
  return NULL;
}

/* A password that has a '/', '?' or '#' ends the host, by mistake: it then looks like a port that is none,
 * and is hidden up to the last '@' of all. */
void rille_push_safe_url(lua_State *L, const char *url) {
  const char *host = authority_of(url);
  const char *end = host + strcspn(host, "/?#");
  const char *at = last_at(host, end);
  if (at == NULL && !has_port(host, end))
    at = last_at(host, host + strlen(host));
  if (at == NULL) {
    lua_pushstring(L, url);
    return;
  }
  /* A user without a password is a token. */
  const char *colon = memchr(host, ':', (size_t)(at - host));
  lua_pushlstring(L, url, (size_t)((colon == NULL ? host : colon + 1) - url));
  lua_pushliteral(L, "***");
  lua_pushstring(L, at);
  lua_concat(L, 3);
}

/* Pushes the list of URLs that the request was redirected from, and the last URL. */
static void push_trail(lua_State *L, const struct rille_transfer *t, int url) {
  lua_createtable(L, (int)t->hops, 0);
  rille_push_safe_url(L, lua_tostring(L, url));
  const char *next = t->trail.data;
  for (uint32_t i = 1; i <= t->hops; i++) {
    lua_rawseti(L, -2, (lua_Integer)i);
    rille_push_safe_url(L, next);
    next += strlen(next) + 1;
  }
}

/* Pushes a response with room for a head and a body; or if that is to be a blob, with a place for it. */
static struct response *push_empty(lua_State *L, size_t head_length, size_t body_length) {
  bool is_large = body_length >= LARGE;
  size_t size = head_length + (is_large ? 0 : body_length + RILLE_JSON_PADDING);
  struct response *r = lua_newuserdatauv(L, sizeof(struct response) + size, is_large ? BODY : HEADER_LIST);
  r->head_length = head_length;
  r->body_length = body_length;
  r->blob = NULL;
  return r;
}

/* RILLE_JSON_PADDING bytes follow. */
static const char *body_of(const struct response *r) {
  return r->blob != NULL ? r->blob->data : r->data + r->head_length;
}

/* Gives the response on top the body of t. */
static void take_body(lua_State *L, struct response *r, struct rille_transfer *t) {
  if (r->body_length >= LARGE) {
    r->blob = rille_blob_push(L, &t->body, -1);
    lua_setiuservalue(L, -2, BODY);
    return;
  }
  char *to = r->data + r->head_length;
  if (r->body_length > 0)
    memcpy(to, t->body.data, r->body_length);
  memset(to + r->body_length, 0, RILLE_JSON_PADDING);
}

void rille_response_push(lua_State *L, struct rille_transfer *t, int method, int url) {
  struct response *r = push_empty(L, t->head.length, t->streamed ? 0 : t->body.length);
  r->status = t->status;
  r->version = t->version;
  r->lookup = (double)t->time_lookup / 1e6;
  r->connect = (double)t->time_connect / 1e6;
  r->tls = (double)t->time_tls / 1e6;
  r->first = (double)t->time_first / 1e6;
  r->redirect = (double)t->time_redirect / 1e6;
  r->total = (double)t->time_total / 1e6;
  if (t->head.length > 0)
    memcpy(r->data, t->head.data, t->head.length);
  take_body(L, r, t);
  luaL_setmetatable(L, RESPONSE);
  lua_pushvalue(L, method);
  lua_setiuservalue(L, -2, METHOD);
  if (t->hops == 0) {
    size_t length;
    const char *text = lua_tolstring(L, url, &length);
    if (memchr(text, '@', length) == NULL)
      lua_pushvalue(L, url);
    else
      rille_push_safe_url(L, text);
  } else {
    push_trail(L, t, url);
    lua_insert(L, -2);
    lua_setiuservalue(L, -3, REDIRECTS);
  }
  lua_setiuservalue(L, -2, URL);
}

/* --- headers --- */

/* The next line of the head at *p: [*line, *end) without its line break. False at the end. */
static bool next_line(const char **p, const char *stop, const char **line, const char **end) {
  if (*p >= stop)
    return false;
  const char *feed = memchr(*p, '\n', (size_t)(stop - *p));
  *line = *p;
  *end = feed == NULL ? stop : feed;
  *p = feed == NULL ? stop : feed + 1;
  while (*end > *line && ((*end)[-1] == '\r' || (*end)[-1] == ' ' || (*end)[-1] == '\t'))
    --*end;
  return true;
}

static void push_trimmed(lua_State *L, const char *from, const char *end) {
  while (from < end && (*from == ' ' || *from == '\t'))
    from++;
  lua_pushlstring(L, from, (size_t)(end - from));
}

/* Pushes the name, in lower case. */
static void push_name(lua_State *L, const char *line, const char *colon) {
  luaL_Buffer b;
  size_t length = (size_t)(colon - line);
  char *out = luaL_buffinitsize(L, &b, length);
  for (size_t i = 0; i < length; i++)
    out[i] = (char)(line[i] >= 'A' && line[i] <= 'Z' ? line[i] + ('a' - 'A') : line[i]);
  luaL_pushresultsize(&b, length);
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* Pushes the value that begins at `from`, and goes on in the folded lines at *p. */
static void push_value(lua_State *L, const char *from, const char *end, const char **p, const char *stop) {
  if (*p >= stop || !is_blank(**p)) {
    push_trimmed(L, from, end);
    return;
  }
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  push_trimmed(L, from, end);
  luaL_addvalue(&b);
  while (*p < stop && is_blank(**p) && next_line(p, stop, &from, &end)) {
    if (from == end)
      continue;
    luaL_addchar(&b, ' ');
    push_trimmed(L, from, end);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
}

/* Pushes a headers object: {name, value, name, value ...} in order. */
void rille_response_push_headers(lua_State *L, const char *head, size_t length) {
  const char *p = head, *stop = head + length, *line, *end;
  lua_Integer n = 0;
  lua_newtable(L);
  (void)next_line(&p, stop, &line, &end); /* the status line */
  while (next_line(&p, stop, &line, &end)) {
    const char *colon = line < end && !is_blank(*line) ? memchr(line, ':', (size_t)(end - line)) : NULL;
    if (colon == NULL)
      continue;
    push_name(L, line, colon);
    lua_rawseti(L, -2, ++n);
    push_value(L, colon + 1, end, &p, stop);
    lua_rawseti(L, -2, ++n);
  }
  luaL_setmetatable(L, HEADERS);
}

/* True if the name at `index` of the list under it is the key, whatever the case.
 * Leaves the stack as it was. */
static bool is_name(lua_State *L, int list, lua_Integer index, const char *key, size_t length) {
  size_t n = 0;
  lua_rawgeti(L, list, index);
  const char *name = lua_tolstring(L, -1, &n);
  bool same = name != NULL && n == length && strncasecmp(name, key, n) == 0;
  lua_pop(L, 1);
  return same;
}

/* headers:all(name) -> list of the values of a header, in order */
static int l_headers_all(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  size_t length;
  const char *key = luaL_checklstring(L, 2, &length);
  lua_Integer count = (lua_Integer)lua_rawlen(L, 1), found = 0;
  lua_newtable(L);
  for (lua_Integer i = 1; i < count; i += 2) {
    if (!is_name(L, 1, i, key, length))
      continue;
    lua_rawgeti(L, 1, i + 1);
    lua_rawseti(L, -2, ++found);
  }
  return 1;
}

/* headers[name] -> the value, several joined with ", " as RFC 9110 has it, or nil */
static int l_headers_index(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING)
    return 0;
  size_t length;
  const char *key = lua_tolstring(L, 2, &length);
  if (length == 3 && memcmp(key, "all", 3) == 0) {
    lua_pushcfunction(L, l_headers_all);
    return 1;
  }
  lua_Integer count = (lua_Integer)lua_rawlen(L, 1), first = 1;
  while (first < count && !is_name(L, 1, first, key, length))
    first += 2;
  if (first >= count)
    return 0;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  lua_rawgeti(L, 1, first + 1);
  luaL_addvalue(&b);
  for (lua_Integer i = first + 2; i < count; i += 2) {
    if (!is_name(L, 1, i, key, length))
      continue;
    luaL_addstring(&b, ", ");
    lua_rawgeti(L, 1, i + 1);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  return 1;
}

/* The step of pairs(headers); its upvalue is the place. */
static int l_headers_next(lua_State *L) {
  lua_Integer i = lua_tointeger(L, lua_upvalueindex(1));
  lua_pushinteger(L, i + 2);
  lua_replace(L, lua_upvalueindex(1));
  lua_rawgeti(L, 1, i);
  lua_rawgeti(L, 1, i + 1);
  return 2;
}

/* pairs(headers): name (in lower case), value; in the order of arrival, repeated ones repeated */
static int l_headers_pairs(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushinteger(L, 1);
  lua_pushcclosure(L, l_headers_next, 1);
  lua_pushvalue(L, 1);
  return 2;
}

/* tostring(headers): a line for each, as on the wire */
static int l_headers_tostring(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer count = (lua_Integer)lua_rawlen(L, 1);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (lua_Integer i = 1; i < count; i += 2) {
    if (i > 1)
      luaL_addchar(&b, '\n');
    lua_rawgeti(L, 1, i);
    luaL_addvalue(&b);
    luaL_addstring(&b, ": ");
    lua_rawgeti(L, 1, i + 1);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  return 1;
}

/* --- the object --- */

enum field { F_STATUS, F_REASON, F_HEADERS, F_URL, F_METHOD, F_VERSION, F_TIMINGS, F_REDIRECTS };

static const char *const fields[] = {"status", "reason",       "headers", "url",
                                     "method", "http_version", "timings", "redirects"};

/* "HTTP/1.1 404 Not Found" -> "Not Found", or "" */
static void push_reason(lua_State *L, const struct response *r) {
  const char *p = r->data, *stop = r->data + r->head_length, *line = p, *end = p;
  (void)next_line(&p, stop, &line, &end);
  for (int spaces = 0; spaces < 2 && line < end; line++)
    spaces += *line == ' ';
  push_trimmed(L, line, end);
}

static void push_timings(lua_State *L, const struct response *r) {
  const struct {
    const char *name;
    double seconds;
  } times[] = {{"name_lookup", r->lookup}, {"connect", r->connect},   {"tls", r->tls},
               {"first_byte", r->first},   {"redirect", r->redirect}, {"total", r->total}};
  lua_createtable(L, 0, 6);
  for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
    lua_pushnumber(L, times[i].seconds);
    lua_setfield(L, -2, times[i].name);
  }
}

static void push_version(lua_State *L, int version) {
  if (version % 10 == 0 && version >= 20)
    lua_pushfstring(L, "%d", version / 10);
  else
    lua_pushfstring(L, "%d.%d", version / 10, version % 10);
}

/* Pushes user value i of the response at 1; makes it first if it is still nil. */
static void push_made(lua_State *L, const struct response *r, int i) {
  if (lua_getiuservalue(L, 1, i) != LUA_TNIL)
    return;
  lua_pop(L, 1);
  if (i == HEADER_LIST)
    rille_response_push_headers(L, r->data, r->head_length);
  else
    lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, i);
}

static void push_field(lua_State *L, const struct response *r, enum field field) {
  switch (field) {
  case F_STATUS:
    lua_pushinteger(L, r->status);
    break;
  case F_REASON:
    push_reason(L, r);
    break;
  case F_HEADERS:
    push_made(L, r, HEADER_LIST);
    break;
  case F_URL:
    lua_getiuservalue(L, 1, URL);
    break;
  case F_METHOD:
    lua_getiuservalue(L, 1, METHOD);
    break;
  case F_VERSION:
    push_version(L, r->version);
    break;
  case F_TIMINGS:
    push_timings(L, r);
    break;
  case F_REDIRECTS:
    push_made(L, r, REDIRECTS);
    break;
  }
}

/* Upvalues: 1 methods, 2 numbers of fields by name. */
static int l_index(lua_State *L) {
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
    return 1;
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(2)) == LUA_TNIL)
    return 1;
  enum field field = (enum field)lua_tointeger(L, -1);
  push_field(L, luaL_checkudata(L, 1, RESPONSE), field);
  return 1;
}

/* res:text(), res:bytes() -> the body */
static int l_text(lua_State *L) {
  const struct response *r = luaL_checkudata(L, 1, RESPONSE);
  lua_pushlstring(L, body_of(r), r->body_length);
  return 1;
}

/* res:json_at([pointer]) -> as rille_json_at; or nil and "self". rille.http makes res:json(pointer) of it */
static int l_json_at(lua_State *L) {
  const struct response *r = luaL_testudata(L, 1, RESPONSE);
  if (r == NULL) {
    lua_pushnil(L);
    lua_pushliteral(L, "self");
    return 2;
  }
  return rille_json_at(L, body_of(r), r->body_length, true, 2);
}

static int l_tostring(lua_State *L) {
  const struct response *r = luaL_checkudata(L, 1, RESPONSE);
  lua_getiuservalue(L, 1, METHOD);
  lua_getiuservalue(L, 1, URL);
  lua_pushfstring(L, "rille.Response: %d, %I bytes (%s %s)", r->status, (LUAI_UACINT)r->body_length,
                  lua_tostring(L, -2), lua_tostring(L, -1));
  return 1;
}

static const luaL_Reg methods[] = {
    {"text", l_text}, {"bytes", l_text}, {"json_at", l_json_at}, {NULL, NULL}};

static const luaL_Reg headers_meta[] = {{"__index", l_headers_index},
                                        {"__pairs", l_headers_pairs},
                                        {"__tostring", l_headers_tostring},
                                        {NULL, NULL}};

void rille_response_open(lua_State *L) {
  rille_blob_open(L);
  luaL_newmetatable(L, HEADERS);
  luaL_setfuncs(L, headers_meta, 0);
  lua_pop(L, 1);
  luaL_newmetatable(L, RESPONSE);
  lua_pushcfunction(L, l_tostring);
  lua_setfield(L, -2, "__tostring");
  luaL_newlib(L, methods);
  lua_pushvalue(L, -1);
  lua_newtable(L);
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
    lua_pushinteger(L, (lua_Integer)i);
    lua_setfield(L, -2, fields[i]);
  }
  lua_pushcclosure(L, l_index, 2);
  lua_setfield(L, -3, "__index"); /* metatable, methods */
  lua_remove(L, -2);
}
