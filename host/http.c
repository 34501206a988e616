/* http.c -- the HTTP client's binding: pools and requests; "rille.host.http" to
 * lualib/rille/http.lua.
 * Model:  a pool (transfer.h) for each client. A request is an op: it takes a transfer, starts it
 *         and parks; on_done queues the op; finish makes the response, or raises. Responses that
 *         are read as they come are http_stream.c's.
 * Owner:  the pool is a C object behind a box; closing it, or collecting the box, ends what is in
 *         flight. The op is a userdata on the waiter's stack, as are the strings that it borrows:
 *         the pool's box, which stays alive with them, and the body.
 * Errors: a bad argument, a closed client and what cannot be sent safely raise a string at the
 *         call; what the world does raises an error object (http_error.h). */
#include <stdarg.h>
#include <string.h>

#include "box.h"
#include "http_error.h"
#include "fault.h"
#include "fiber.h"
#include "lib.h"
#include "http_response.h"
#include "http_stream.h"
#include "runtime.h"
#include "transfer.h"

#define POOL "rille.pool"

enum { ARG_POOL = 1, ARG_METHOD, ARG_URL, ARG_HEADERS, ARG_BODY, ARG_OPTIONS, ARG_OP };

static const uint64_t DEFAULT_MAX_BODY = 64 * 1024 * 1024;

struct call {
  struct rille_op op;
  struct rille_transfer *transfer; /* NULL once it was given back */
};

/* --- the op --- */

/* The owner of a transfer is the op that waits for it, or may. */
static void on_news(struct rille_transfer *t) { rille_op_done(t->owner); }

static const struct rille_pool_calls calls_of_pool = {
    .on_head = on_news, .on_data = on_news, .on_done = on_news};

static void call_abort(struct rille_op *op) {
  struct call *c = (struct call *)op;
  rille_transfer_abort(c->transfer);
  c->transfer = NULL;
}

static int call_finish(lua_State *L, struct rille_op *op) {
  struct call *c = (struct call *)op;
  struct rille_transfer *t = c->transfer;
  bool ok = t->end == RILLE_END_OK;
  if (ok)
    rille_response_push(L, t, ARG_METHOD, ARG_URL);
  else
    rille_http_error_push(L, t, lua_tostring(L, ARG_METHOD), lua_tostring(L, ARG_URL));
  rille_transfer_release(t);
  c->transfer = NULL;
  return ok ? 1 : lua_error(L);
}

#define CALL(text) {.name = text, .abort = call_abort, .finish = call_finish, .external = true}

/* One for each function of the public module, so that a report says which one waits. */
static const struct {
  const char *method;
  struct rille_op_class class;
} calls[] = {{"GET", CALL("http.get")},         {"POST", CALL("http.post")},
             {"PUT", CALL("http.put")},         {"PATCH", CALL("http.patch")},
             {"DELETE", CALL("http.delete")},   {"HEAD", CALL("http.head")},
             {"OPTIONS", CALL("http.options")}, {"", CALL("http.request")}};

static const struct rille_op_class *class_of(const char *method) {
  size_t i = 0;
  while (calls[i].method[0] != '\0' && strcmp(calls[i].method, method) != 0)
    i++;
  return &calls[i].class;
}

/* Raises a string that blames the script: the function of lualib/rille/http.lua that calls this
 * binding was itself called by tail calls. */
static int misuse(lua_State *L, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int misuse(lua_State *L, const char *format, ...) {
  va_list args;
  luaL_where(L, 2);
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  lua_concat(L, 2);
  return lua_error(L);
}

/* --- checks: what could change the meaning of the request on its way is refused --- */

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
  const char *method = luaL_checklstring(L, ARG_METHOD, &length);
  if (!is_token(method, length))
    misuse(L, "bad method (not a token)");
  if (strcmp(method, "CONNECT") == 0)
    misuse(L, "bad method (CONNECT is for proxies)");
  return method;
}

static const char *check_url(lua_State *L, const char *method) {
  size_t length;
  const char *url = luaL_checklstring(L, ARG_URL, &length);
  if (has_control(url, length) || memchr(url, '\t', length) != NULL)
    misuse(L, "bad URL (it has a control character)");
  if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0) {
    rille_push_safe_url(L, url);
    const char *safe = lua_tostring(L, -1);
    rille_fault_push(L, "EURL", "%s %s: not a http:// or https:// URL", method, safe);
    lua_pushstring(L, safe);
    lua_setfield(L, -2, "url");
    lua_pushstring(L, method);
    lua_setfield(L, -2, "method");
    lua_error(L);
  }
  return url;
}

static bool is_reserved(const char *name) {
  return strcasecmp(name, "content-length") == 0 || strcasecmp(name, "transfer-encoding") == 0;
}

/* The headers are a list: name, value, name, value ... Returns its length. */
static lua_Integer check_headers(lua_State *L) {
  if (lua_isnoneornil(L, ARG_HEADERS))
    return 0;
  luaL_checktype(L, ARG_HEADERS, LUA_TTABLE);
  lua_Integer count = (lua_Integer)lua_rawlen(L, ARG_HEADERS) & ~(lua_Integer)1;
  for (lua_Integer i = 1; i < count; i += 2) {
    size_t name_length, value_length;
    if (lua_rawgeti(L, ARG_HEADERS, i) != LUA_TSTRING ||
        lua_rawgeti(L, ARG_HEADERS, i + 1) != LUA_TSTRING)
      misuse(L, "bad header (a string expected)");
    const char *name = lua_tolstring(L, -2, &name_length);
    const char *value = lua_tolstring(L, -1, &value_length);
    if (!is_token(name, name_length))
      misuse(L, "bad header name (not a token)");
    if (has_control(value, value_length))
      misuse(L, "bad value of header '%s' (it has a control character)", name);
    if (is_reserved(name))
      misuse(L, "header '%s' is set by the client itself", name);
    lua_pop(L, 2);
  }
  return count;
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
  int type = lua_getfield(L, ARG_OPTIONS, "timeout");
  if (type == LUA_TTABLE) {
    int t = lua_gettop(L);
    r->connect_timeout = check_ms(L, t, "connect", r->connect_timeout);
    r->total_timeout = check_ms(L, t, "total", 0);
    r->idle_timeout = check_ms(L, t, "idle", 0);
  } else if (type != LUA_TNIL) {
    r->total_timeout = check_ms(L, ARG_OPTIONS, "timeout", 0);
  }
  lua_pop(L, 1);
}

/* A string without '\0', which is where it would end for libcurl. It stays on the stack. */
static const char *check_string(lua_State *L, int t, const char *name) {
  size_t length;
  const char *s = rille_field_string(L, t, name, &length);
  if (s != NULL && has_control(s, length))
    misuse(L, "bad option '%s' (it has a control character)", name);
  return s;
}

/* Pushes the table in a field, or nil. */
static bool push_table(lua_State *L, const char *name) {
  int type = lua_getfield(L, ARG_OPTIONS, name);
  if (type != LUA_TNIL && type != LUA_TTABLE)
    misuse(L, "bad option '%s' (table expected, got %s)", name, lua_typename(L, type));
  return type == LUA_TTABLE;
}

static void check_secrets(lua_State *L, struct rille_transfer_request *r) {
  if (push_table(L, "auth")) {
    int t = lua_gettop(L);
    r->user = check_string(L, t, "user");
    r->password = check_string(L, t, "password");
    if (r->user == NULL)
      misuse(L, "bad option 'auth' (no 'user')");
    if (strchr(r->user, ':') != NULL)
      misuse(L, "bad option 'auth' (a ':' in 'user')");
    if (r->password == NULL)
      r->password = "";
  }
  r->bearer = check_string(L, ARG_OPTIONS, "bearer");
  if (r->bearer != NULL && r->user != NULL)
    misuse(L, "bad options ('auth' and 'bearer')");
  if (push_table(L, "tls")) {
    int t = lua_gettop(L);
    r->insecure = rille_field_boolean(L, t, "insecure", false);
    r->ca = check_string(L, t, "ca");
  }
}

/* Reads the options. Strings that it finds stay on the stack. */
static void check_options(lua_State *L, struct rille_transfer_request *r) {
  if (lua_isnoneornil(L, ARG_OPTIONS))
    return;
  luaL_checktype(L, ARG_OPTIONS, LUA_TTABLE);
  luaL_checkstack(L, 20, "options");
  check_timeouts(L, r);
  r->max_redirects = (long)rille_field_integer(L, ARG_OPTIONS, "max_redirects", r->max_redirects, 0,
                                               INT32_MAX);
  if (!rille_field_boolean(L, ARG_OPTIONS, "follow", true))
    r->max_redirects = -1;
  r->max_body = (uint64_t)rille_field_integer(L, ARG_OPTIONS, "max_body",
                                              (lua_Integer)r->max_body, 0, INT64_MAX / 4);
  r->decompress = rille_field_boolean(L, ARG_OPTIONS, "decompress", true);
  r->user_agent = check_string(L, ARG_OPTIONS, "user_agent");
  r->proxy = check_string(L, ARG_OPTIONS, "proxy");
  r->unix_socket = check_string(L, ARG_OPTIONS, "unix_socket");
  check_secrets(L, r);
}

/* --- pools --- */

static struct rille_pool *check_pool(lua_State *L) {
  struct rille_pool **box = luaL_checkudata(L, ARG_POOL, POOL);
  if (*box == NULL || rille_pool_is_closed(*box))
    misuse(L, "the client is closed");
  return *box;
}

static void check_request(lua_State *L, struct rille_transfer_request *r) {
  *r = (struct rille_transfer_request){.connect_timeout = 10000,
                              .max_redirects = 20,
                              .max_body = DEFAULT_MAX_BODY,
                              .decompress = true};
  r->method = check_method(L);
  r->url = check_url(L, r->method);
  r->body = luaL_optlstring(L, ARG_BODY, NULL, &r->body_length);
  if (r->body == NULL && (strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0 ||
                          strcmp(r->method, "PATCH") == 0))
    r->body = ""; /* these say that there is nothing: Content-Length: 0 */
  else if (r->body != NULL && strcmp(r->method, "HEAD") == 0)
    misuse(L, "a HEAD request cannot have a body");
  check_options(L, r);
}

static bool add_headers(lua_State *L, struct rille_transfer *t, lua_Integer count) {
  bool ok = true;
  for (lua_Integer i = 1; i < count && ok; i += 2) {
    size_t name_length, value_length;
    lua_rawgeti(L, ARG_HEADERS, i);
    lua_rawgeti(L, ARG_HEADERS, i + 1);
    const char *name = lua_tolstring(L, -2, &name_length);
    const char *value = lua_tolstring(L, -1, &value_length);
    ok = rille_transfer_header(t, name, name_length, value, value_length);
    lua_pop(L, 2);
  }
  return ok;
}

/* A transfer with the request's headers; the last to raise before the start. */
static struct rille_transfer *take(lua_State *L, struct rille_pool *pool, const char *what) {
  lua_Integer count = check_headers(L);
  rille_check_wait(L, what);
  struct rille_transfer *t = rille_pool_take(pool);
  if (t != NULL && add_headers(L, t, count))
    return t;
  if (t != NULL)
    rille_transfer_release(t);
  (void)luaL_error(L, "not enough memory");
  return NULL;
}

/* pool:request(method, url, [headers], [body], [options]) -> response */
static int l_request(lua_State *L) {
  lua_settop(L, ARG_OPTIONS);
  struct rille_pool *pool = check_pool(L);
  struct rille_transfer_request request;
  struct call *c = lua_newuserdatauv(L, sizeof *c, 0); /* at ARG_OP, kept by the stack */
  check_request(L, &request);
  const struct rille_op_class *class = class_of(request.method);
  rille_op_init(&c->op, class);
  struct rille_transfer *t = take(L, pool, class->name);
  c->transfer = t;
  t->owner = &c->op;
  rille_transfer_start(t, &request);
  return rille_op_park(L, &c->op);
}

/* pool:stream(method, url, [headers], [body], [options]) -> response, body */
static int l_stream(lua_State *L) {
  lua_settop(L, ARG_OPTIONS);
  struct rille_pool *pool = check_pool(L);
  struct rille_transfer_request request;
  rille_stream_push(L, ARG_POOL, ARG_METHOD, ARG_URL, ARG_BODY); /* at ARG_OP */
  check_request(L, &request);
  request.stream = true;
  struct rille_transfer *t = take(L, pool, "http.stream");
  return rille_stream_start(L, ARG_OP, t, &request);
}

/* pool([max_connections], [max_per_host]) -> pool; 0: no limit */
static int l_pool(lua_State *L) {
  lua_Integer connections = luaL_optinteger(L, 1, 0);
  lua_Integer per_host = luaL_optinteger(L, 2, 0);
  luaL_argcheck(L, connections >= 0 && connections <= INT32_MAX, 1, "out of range");
  luaL_argcheck(L, per_host >= 0 && per_host <= INT32_MAX, 2, "out of range");
  struct rille_pool **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, POOL);
  *box = rille_pool_new(&rille_of(L)->loop, &calls_of_pool, (long)connections, (long)per_host);
  if (*box == NULL)
    return luaL_error(L, "not enough memory");
  return 1;
}

/* pool:close(): ends what is in flight. The box keeps the pool: results are still to be fetched. */
static int l_close(lua_State *L) {
  struct rille_pool **box = luaL_checkudata(L, 1, POOL);
  if (*box != NULL)
    rille_pool_close(*box);
  return 0;
}

/* Nobody waits for this pool any more, or the state is being closed. */
static int l_gc(lua_State *L) {
  struct rille_pool **box = luaL_checkudata(L, 1, POOL);
  if (*box != NULL)
    rille_pool_free(*box);
  *box = NULL;
  return 0;
}

static const luaL_Reg pool_meta[] = {{"__gc", l_gc}, {NULL, NULL}};
static const luaL_Reg pool_methods[] = {
    {"request", l_request}, {"stream", l_stream}, {"close", l_close}, {NULL, NULL}};
static const luaL_Reg lib[] = {{"pool", l_pool}, {NULL, NULL}};

int luaopen_rille_http(lua_State *L) {
  rille_class(L, POOL, pool_meta, pool_methods);
  rille_stream_open(L);
  luaL_newlib(L, lib);
  rille_response_open(L);
  lua_setfield(L, -2, "response"); /* its methods */
  return 1;
}
