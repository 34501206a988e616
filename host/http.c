/* http.c -- the HTTP client's binding: pools and requests; "rille.host.http" to
 * lualib/rille/http.lua.
 * Model:  a client has pools (transfer.h), which share its cookies. A request is an op: it takes a
 *         transfer, starts it and parks; on_done queues the op; finish makes the response, or raises.
 *         Responses that are read as they come are http_stream.c's.
 * Owner:  the pool is a C object behind a box; closing it, or collecting the box, ends what is in
 *         flight. The op is a userdata on the waiter's stack, as are the strings that it borrows:
 *         the pool's box, which stays alive with them, and the body, a string or an upload (http_upload.h).
 * Errors: a bad argument, a closed client and what cannot be sent safely raise a string at the
 *         call; what the world does raises an error object (http_error.h). */
#include <string.h>

#include "box.h"
#include "cookie_jar.h"
#include "describe.h"
#include "fault.h"
#include "fiber.h"
#include "http_error.h"
#include "http_options.h"
#include "http_response.h"
#include "http_stats.h"
#include "http_stream.h"
#include "http_upload.h"
#include "lib.h"
#include "runtime.h"
#include "transfer.h"

#define POOL "rille.pool"

enum { ARG_POOL = 1, ARG_OP = RILLE_REQUEST_OPTIONS + 1 };

struct call {
  struct rille_op op;
  struct rille_transfer *transfer; /* NULL once it was given back */
};

/* --- the op --- */

/* The owner of a transfer is the op that waits for it, or may. */
static void on_news(struct rille_transfer *t) { rille_op_done(t->owner); }

static const struct rille_pool_calls calls_of_pool = {
    .on_head = on_news, .on_data = on_news, .on_done = on_news, .on_sent = rille_upload_on_sent};

static void call_abort(struct rille_op *op) {
  struct call *c = (struct call *)op;
  rille_transfer_release(c->transfer);
  c->transfer = NULL;
}

/* result(transfer, method, url) -> a response, or an error object */
static int l_result(lua_State *L) {
  struct rille_transfer *t = lua_touserdata(L, 1);
  if (t->end == RILLE_END_OK)
    rille_response_push(L, t, 2, 3);
  else
    rille_http_error_push(L, t, lua_tostring(L, 2), lua_tostring(L, 3));
  return 1;
}

/* Pushes what has become of t; false if that is an error. Out of memory it does not raise, since t, and a
 * body that may be large, would stay with the pool. */
static bool push_result(lua_State *L, struct rille_transfer *t) {
  lua_pushcfunction(L, l_result);
  lua_pushlightuserdata(L, t);
  lua_pushvalue(L, RILLE_REQUEST_METHOD);
  lua_pushvalue(L, RILLE_REQUEST_URL);
  return lua_pcall(L, 3, 1, 0) == LUA_OK && t->end == RILLE_END_OK;
}

static int call_finish(lua_State *L, struct rille_op *op) {
  struct call *c = (struct call *)op;
  struct rille_transfer *t = c->transfer;
  bool source = rille_upload_push_error(L, t, RILLE_REQUEST_BODY);
  bool ok = !source && push_result(L, t);
  rille_transfer_release(t);
  c->transfer = NULL;
  if (source)
    return rille_fiber_pass_error(L, "awaited by");
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

/* --- pools --- */

static struct rille_pool *check_pool(lua_State *L) {
  struct rille_pool **box = luaL_checkudata(L, ARG_POOL, POOL);
  if (*box == NULL || rille_pool_is_closed(*box))
    (void)rille_error(L, "the client is closed");
  return *box;
}

/* A transfer with the request's headers; the last to raise before the start. */
static struct rille_transfer *take(lua_State *L, struct rille_pool *pool, const char *what) {
  rille_check_wait(L, what);
  struct rille_transfer *t = rille_pool_take(pool);
  if (t != NULL && rille_request_add_headers(L, t))
    return t;
  if (t != NULL)
    rille_transfer_release(t);
  (void)luaL_error(L, "not enough memory");
  return NULL;
}

/* pool:request(method, url, [headers], [body], [options]) -> response */
static int l_request(lua_State *L) {
  lua_settop(L, RILLE_REQUEST_OPTIONS);
  struct rille_pool *pool = check_pool(L);
  struct rille_transfer_request request;
  struct call *c = lua_newuserdatauv(L, sizeof *c, 0); /* at ARG_OP, kept by the stack */
  rille_request_check(L, &request);
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
  lua_settop(L, RILLE_REQUEST_OPTIONS);
  struct rille_pool *pool = check_pool(L);
  struct rille_transfer_request request;
  rille_stream_push(L, ARG_POOL, RILLE_REQUEST_METHOD, RILLE_REQUEST_URL, RILLE_REQUEST_BODY); /* at ARG_OP */
  rille_request_check(L, &request);
  request.stream = true;
  struct rille_transfer *t = take(L, pool, "http.stream");
  return rille_stream_start(L, ARG_OP, t, &request);
}

/* cookies = nil | true | path | a pool that has them */
static const char *check_cookies(lua_State *L, int arg, bool *wanted) {
  *wanted = lua_toboolean(L, arg);
  if (lua_type(L, arg) != LUA_TSTRING)
    return NULL;
  size_t length;
  const char *path = lua_tolstring(L, arg, &length);
  if (length == 0 || strlen(path) != length)
    (void)rille_error(L, "bad option 'cookies' (not a path)");
  return path;
}

/* Gives a pool the jar of that at `arg`, if it has one. */
static void share_jar(lua_State *L, struct rille_pool *pool, int arg) {
  struct rille_pool **box = luaL_checkudata(L, arg, POOL);
  struct rille_jar *jar = *box != NULL ? rille_pool_jar(*box) : NULL;
  if (jar != NULL)
    rille_pool_use_jar(pool, rille_jar_keep(jar));
}

/* Opens the jar of a pool, or raises an error object. */
static void open_jar(lua_State *L, struct rille_pool *pool, const char *path) {
  int status;
  long line;
  struct rille_jar *jar = rille_jar_open(path, &status, &line);
  if (jar != NULL) {
    rille_pool_use_jar(pool, jar);
    return;
  }
  if (status == UV_EINVAL && line == 0)
    rille_fault_push(L, "EINVAL", "%s: not a file of cookies", path);
  else if (status == UV_EINVAL)
    rille_fault_push(L, "EINVAL", "%s: line %d is not a cookie", path, (int)line);
  else
    rille_fault_push_uv(L, status, path != NULL ? path : "cookies");
  (void)lua_error(L);
}

/* Closes a pool, the first time with its cookies saved. 0, or why they are not. */
static int close_pool(struct rille_pool *pool) {
  if (rille_pool_is_closed(pool))
    return 0;
  rille_pool_close(pool);
  struct rille_jar *jar = rille_pool_jar(pool);
  return jar != NULL ? rille_jar_save(jar) : 0;
}

/* pool([max_connections], [max_per_host], [cookies], [http_version]) -> pool; 0: no limit */
static int l_pool(lua_State *L) {
  static const char *const versions[] = {"1.1", "auto", "2", NULL};
  lua_Integer connections = luaL_optinteger(L, 1, 0);
  lua_Integer per_host = luaL_optinteger(L, 2, 0);
  luaL_argcheck(L, connections >= 0 && connections <= INT32_MAX, 1, "out of range");
  luaL_argcheck(L, per_host >= 0 && per_host <= INT32_MAX, 2, "out of range");
  bool cookies;
  const char *path = check_cookies(L, 3, &cookies);
  const struct rille_pool_options options = {
      .max_connections = (long)connections,
      .max_per_host = (long)per_host,
      .http = (enum rille_http_version)luaL_checkoption(L, 4, "1.1", versions)};
  struct rille_pool **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, POOL);
  *box = rille_pool_new(&rille_of(L)->loop, &calls_of_pool, &options);
  if (*box == NULL)
    return luaL_error(L, "not enough memory");
  if (lua_isuserdata(L, 3))
    share_jar(L, *box, 3);
  else if (cookies)
    open_jar(L, *box, path);
  return 1;
}

/* pool:close(): ends what is in flight, then saves the cookies. The box keeps the pool: results are still to
 * be fetched. */
static int l_close(lua_State *L) {
  struct rille_pool **box = luaL_checkudata(L, 1, POOL);
  int status = *box != NULL ? close_pool(*box) : 0;
  if (status == 0)
    return 0;
  lua_pushfstring(L, "cannot save the cookies: %s", rille_jar_path(rille_pool_jar(*box)));
  rille_fault_push_uv(L, status, lua_tostring(L, -1));
  return lua_error(L);
}

/* Nobody can be told but by a warning. It makes no strings: nothing may raise before the pool is freed. */
static void warn_unsaved(lua_State *L, const struct rille_jar *jar, int status) {
  char text[128];
  lua_warning(L, "rille: cannot save the cookies: ", 1);
  lua_warning(L, rille_jar_path(jar), 1);
  lua_warning(L, ": ", 1);
  lua_warning(L, uv_strerror_r(status, text, sizeof text), 0);
}

/* pool:stats() -> table */
static int l_stats(lua_State *L) {
  struct rille_pool **box = luaL_checkudata(L, 1, POOL);
  rille_stats_push(L, *box);
  return 1;
}

/* Nobody waits for this pool any more, or the state is being closed. */
static int l_gc(lua_State *L) {
  struct rille_pool **box = luaL_checkudata(L, 1, POOL);
  struct rille_pool *pool = *box;
  *box = NULL;
  if (pool == NULL)
    return 0;
  int status = close_pool(pool);
  if (status != 0)
    warn_unsaved(L, rille_pool_jar(pool), status);
  rille_pool_free(pool);
  return 0;
}

/* check(options): raises what a request with these would raise */
static int l_check(lua_State *L) {
  struct rille_transfer_request request = {.method = NULL};
  lua_settop(L, 1);
  for (int i = 1; i < RILLE_REQUEST_OPTIONS; i++)
    lua_pushnil(L);
  lua_rotate(L, 1, -1);
  rille_request_check_options(L, &request);
  return 0;
}

/* safe_url(url) -> url, its password hidden */
static int l_safe_url(lua_State *L) {
  rille_push_safe_url(L, luaL_checkstring(L, 1));
  return 1;
}

/* has_to_be_encoded(url) -> true if it has a space or what is not ASCII; nil if it is no string. Each request
 * asks: a pattern would take a twentieth of all that is done here for it. */
static int l_has_to_be_encoded(lua_State *L) {
  size_t length, i = 0;
  if (lua_type(L, 1) != LUA_TSTRING)
    return 0;
  const char *url = lua_tolstring(L, 1, &length);
  while (i < length && url[i] != ' ' && (unsigned char)url[i] < 0x80)
    i++;
  lua_pushboolean(L, i < length);
  return 1;
}

/* date(text) -> seconds since the epoch of an HTTP date (RFC 9110, 5.6.7), or nil */
static int l_date(lua_State *L) {
  time_t seconds = curl_getdate(luaL_checkstring(L, 1), NULL);
  if (seconds < 0)
    lua_pushnil(L);
  else
    lua_pushinteger(L, (lua_Integer)seconds);
  return 1;
}

static const luaL_Reg pool_meta[] = {{"__gc", l_gc}, {NULL, NULL}};
static const luaL_Reg pool_methods[] = {
    {"request", l_request}, {"stream", l_stream}, {"stats", l_stats}, {"close", l_close}, {NULL, NULL}};
static const luaL_Reg lib[] = {
    {"pool", l_pool}, {"check", l_check}, {"safe_url", l_safe_url},
    {"has_to_be_encoded", l_has_to_be_encoded}, {"date", l_date}, {NULL, NULL}};

int luaopen_rille_http(lua_State *L) {
  rille_class(L, POOL, pool_meta, pool_methods);
  rille_stream_open(L);
  luaL_newlib(L, lib);
  rille_response_open(L);
  lua_setfield(L, -2, "response"); /* its methods */
  rille_upload_open(L);
  return 1;
}
