/* server.c -- the HTTP server's binding, rille.host.server: listeners, and requests to be answered.
 * Model:  listener:accept() gives one complete request and an exchange, which answers it once. All
 *         that concerns sockets, limits and time is in server_connection.c; here are the waits, the
 *         request as a table, and the text of a response.
 * Owner:  the Listener userdata owns its listener, the Exchange userdata embeds its exchange:
 *         collected or closed unanswered, it closes its connection.
 * Errors: bad options and responses that HTTP cannot carry raise strings, before anything is
 *         sent; what the system refuses raises error objects. A client that went away is no
 *         error: respond gives false. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>

#include "box.h"
#include "server_connection.h"
#include "fault.h"
#include "fiber.h"
#include "lib.h"
#include "runtime.h"

#define LISTENER "rille.Listener"
#define EXCHANGE "rille.Exchange"

enum { MAX_CONNECTIONS = 1024, BACKLOG = 511 };

/* --- listeners --- */

static struct rille_listener *check_listener(lua_State *L) {
  struct rille_listener **box = luaL_checkudata(L, 1, LISTENER);
  luaL_argcheck(L, *box != NULL, 1, "the listener was collected");
  return *box;
}

/* By default at most half of the descriptors that the process may have. */
static lua_Integer default_connections(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur / 2 >= MAX_CONNECTIONS)
    return MAX_CONNECTIONS;
  return limit.rlim_cur > 2 ? (lua_Integer)limit.rlim_cur / 2 : 1;
}

static double field_timeout(lua_State *L, const char *name, double def) {
  return rille_field_number(L, 1, name, def, 0.001, 1e9);
}

static struct rille_listener_options check_options(lua_State *L) {
  const lua_Integer mega = 1024 * 1024;
  struct rille_listener_options o;
  o.limits.head = (size_t)rille_field_integer(L, 1, "max_header_size", 32 * 1024, 64, 16 * mega);
  o.limits.headers = (uint32_t)rille_field_integer(L, 1, "max_headers", 100, 1, 10000);
  o.limits.body = (size_t)rille_field_integer(L, 1, "max_body", mega, 0, 1024 * mega);
  o.max_connections =
      (uint32_t)rille_field_integer(L, 1, "max_connections", default_connections(), 1, 1000000);
  o.header_timeout = field_timeout(L, "header_timeout", 10);
  o.body_timeout = field_timeout(L, "body_timeout", 30);
  o.keep_alive = field_timeout(L, "keep_alive", 60);
  o.write_timeout = field_timeout(L, "write_timeout", 30);
  return o;
}

static int raise_listen(lua_State *L, int err, const char *where, const char *host, int port) {
  rille_fault_push_uv(L, err, lua_pushfstring(L, "cannot listen on %s", where));
  lua_pushstring(L, host != NULL ? host : where);
  lua_setfield(L, -2, host != NULL ? "host" : "path");
  if (host != NULL) {
    lua_pushinteger(L, port);
    lua_setfield(L, -2, "port");
  }
  return lua_error(L);
}

static void open_unix(lua_State *L, struct rille_listener *l, const char *path, size_t length,
                      int backlog) {
  struct sockaddr_un address;
  int err = UV_ENAMETOOLONG; /* libuv would cut it */
  if (length < sizeof address.sun_path)
    err = rille_listener_open_unix(l, path, backlog);
  if (err != 0)
    raise_listen(L, err, path, NULL, 0);
}

static void open_tcp(lua_State *L, struct rille_listener *l, const char *host, int port,
                     int backlog) {
  struct sockaddr_storage address;
  int err = uv_ip4_addr(host, port, (struct sockaddr_in *)&address);
  bool v6 = err != 0;
  if (v6)
    err = uv_ip6_addr(host, port, (struct sockaddr_in6 *)&address);
  if (err == 0)
    err = rille_listener_open_tcp(l, (struct sockaddr *)&address, backlog);
  if (err != 0)
    raise_listen(L, err, lua_pushfstring(L, v6 ? "[%s]:%d" : "%s:%d", host, port), host, port);
}

/* listen{host=numeric address, port= | unix=path, backlog=, limits} -> listener */
static int l_listen(lua_State *L) {
  size_t length;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  struct rille_listener_options options = check_options(L);
  int backlog = (int)rille_field_integer(L, 1, "backlog", BACKLOG, 1, INT_MAX);
  int port = (int)rille_field_integer(L, 1, "port", 0, 0, 65535);
  const char *host = rille_field_string(L, 1, "host", NULL);
  const char *path = rille_field_string(L, 1, "unix", &length);
  struct rille_listener **box = lua_newuserdatauv(L, sizeof(struct rille_listener *), 0);
  *box = NULL; /* born closed */
  luaL_setmetatable(L, LISTENER);
  *box = rille_listener_new(rille_of(L), &options);
  if (*box == NULL)
    return luaL_error(L, "not enough memory");
  if (path != NULL)
    open_unix(L, *box, path, length, backlog);
  else
    open_tcp(L, *box, host != NULL ? host : "127.0.0.1", port, backlog);
  return 1;
}

/* listener:port() -> the port that it is bound to, or nil for a Unix socket or a closed listener */
static int l_port(lua_State *L) {
  struct rille_listener *l = check_listener(L);
  struct sockaddr_storage address;
  int length = sizeof address;
  if (!l->listening || l->uv.handle.type != UV_TCP ||
      uv_tcp_getsockname(&l->uv.tcp, (struct sockaddr *)&address, &length) != 0)
    return 0;
  lua_pushinteger(L, ntohs(address.ss_family == AF_INET6
                               ? ((struct sockaddr_in6 *)&address)->sin6_port
                               : ((struct sockaddr_in *)&address)->sin_port));
  return 1;
}

/* listener:drain(): no more connections; requests that have begun may still be accepted */
static int l_drain(lua_State *L) {
  rille_listener_drain(check_listener(L));
  return 0;
}

/* listener:close(): closes every connection too; idempotent */
static int l_close(lua_State *L) {
  rille_listener_close(check_listener(L));
  return 0;
}

static int l_listener_gc(lua_State *L) {
  struct rille_listener **box = luaL_checkudata(L, 1, LISTENER);
  if (*box != NULL)
    rille_listener_release(*box);
  *box = NULL;
  return 0;
}

/* --- accepting --- */

static void push_span(lua_State *L, const struct rille_message *m, struct rille_span span) {
  lua_pushlstring(L, m->head + span.at, span.length);
}

static void set_span(lua_State *L, const char *name, const struct rille_message *m,
                     struct rille_span span) {
  push_span(L, m, span);
  lua_setfield(L, -2, name);
}

/* Pushes the request as a table; headers as a list of name, value, name, value. */
static void push_request(lua_State *L, const struct rille_exchange *x) {
  const struct rille_message *m = &x->message;
  lua_createtable(L, 0, 10);
  lua_pushstring(L, m->method);
  lua_setfield(L, -2, "method");
  lua_pushstring(L, m->minor == 0 ? "1.0" : "1.1");
  lua_setfield(L, -2, "version");
  set_span(L, "target", m, m->target);
  set_span(L, "path", m, m->path);
  set_span(L, "query", m, m->query);
  lua_pushlstring(L, m->body, m->body_length);
  lua_setfield(L, -2, "body");
  lua_createtable(L, (int)m->header_count * 2, 0);
  for (uint32_t i = 0; i < m->header_count; i++) {
    push_span(L, m, m->headers[i].name);
    lua_rawseti(L, -2, 2 * (lua_Integer)i + 1);
    push_span(L, m, m->headers[i].value);
    lua_rawseti(L, -2, 2 * (lua_Integer)i + 2);
  }
  lua_setfield(L, -2, "headers");
  if (x->peer[0] == '\0')
    return;
  lua_pushstring(L, x->peer);
  lua_setfield(L, -2, "host");
  lua_pushinteger(L, x->peer_port);
  lua_setfield(L, -2, "port");
}

static void exchange_abort(struct rille_op *op) {
  rille_exchange_forget((struct rille_exchange *)op);
}

static int accept_finish(lua_State *L, struct rille_op *op) {
  struct rille_exchange *x = (struct rille_exchange *)op;
  if (x->state == RILLE_EXCHANGE_EMPTY)
    return 0;
  lua_settop(L, 2); /* listener, exchange */
  push_request(L, x);
  rille_message_free(&x->message);
  return 2;
}

static const struct rille_op_class accept_class = {
    .name = "a request", .abort = exchange_abort, .finish = accept_finish};

/* listener:accept() -> exchange, request; nothing once no request will come any more */
static int l_accept(lua_State *L) {
  struct rille_listener *l = check_listener(L);
  lua_settop(L, 1);
  rille_check_wait(L, "a request");
  struct rille_exchange *x = lua_newuserdatauv(L, sizeof *x, 0);
  rille_exchange_init(x, &accept_class);
  luaL_setmetatable(L, EXCHANGE);
  rille_exchange_accept(x, l);
  return x->op.done ? accept_finish(L, &x->op) : rille_op_park(L, &x->op);
}

/* --- responding --- */

/* A response's head while it is made. The lines are in a userdata at `slot`, which grows. */
struct head {
  char *lines;
  size_t length;
  size_t size;
  int slot;
  int status;
  bool bodiless;      /* 204, 304, or the answer to HEAD: no body is sent */
  bool close;         /* the handler asks for it */
  bool dated;         /* the handler gave a Date */
  bool typed;         /* ... a Content-Type */
  long long stated;   /* ... a Content-Length; -1: none */
};

static void append(lua_State *L, struct head *h, const char *text, size_t length) {
  if (h->length + length > h->size) {
    size_t size = 2 * (h->length + length) + 256;
    char *grown = lua_newuserdatauv(L, size, 0);
    if (h->length > 0)
      memcpy(grown, h->lines, h->length);
    lua_replace(L, h->slot);
    h->lines = grown;
    h->size = size;
  }
  memcpy(h->lines + h->length, text, length);
  h->length += length;
}

static void append_line(lua_State *L, struct head *h, const char *name, size_t name_length,
                        const char *value, size_t value_length) {
  append(L, h, name, name_length);
  append(L, h, ": ", 2);
  append(L, h, value, value_length);
  append(L, h, "\r\n", 2);
}

static bool is_line_safe(const char *value, size_t length) {
  return memchr(value, '\r', length) == NULL && memchr(value, '\n', length) == NULL &&
         memchr(value, '\0', length) == NULL;
}

/* Headers that say how the message is framed are the server's to write: takes note of what the
 * handler wants, refuses what it may not. True if the line is not to be written. */
static bool take_own_header(lua_State *L, struct head *h, const char *name, size_t name_length,
                            const char *value, size_t value_length) {
  if (rille_request_is_word(name, name_length, "connection")) {
    if (!rille_request_is_word(value, value_length, "close"))
      luaL_error(L, "header 'Connection' may only be \"close\"");
    h->close = true;
    return true;
  }
  if (rille_request_is_word(name, name_length, "content-length")) {
    if (value_length == 0 || value_length > 18 || strspn(value, "0123456789") != value_length)
      luaL_error(L, "header 'Content-Length' is not a number of bytes");
    h->stated = strtoll(value, NULL, 10);
    return true;
  }
  if (rille_request_is_word(name, name_length, "transfer-encoding") ||
      rille_request_is_word(name, name_length, "upgrade") ||
      rille_request_is_word(name, name_length, "trailer") ||
      rille_request_is_word(name, name_length, "keep-alive"))
    luaL_error(L, "header '%s' cannot be set: the server frames its messages itself", name);
  h->dated = h->dated || rille_request_is_word(name, name_length, "date");
  h->typed = h->typed || rille_request_is_word(name, name_length, "content-type");
  return false;
}

/* Takes the header whose value, a string or a number, is on top. */
static void take_header(lua_State *L, struct head *h, const char *name, size_t name_length) {
  size_t value_length;
  if (!lua_isstring(L, -1))
    luaL_error(L, "header '%s' has a %s as its value", name, luaL_typename(L, -1));
  const char *value = lua_tolstring(L, -1, &value_length);
  if (!is_line_safe(value, value_length))
    luaL_error(L, "header '%s' has a line break or a NUL in its value", name);
  if (!take_own_header(L, h, name, name_length, value, value_length))
    append_line(L, h, name, name_length, value, value_length);
}

/* Takes the headers in the table at `index`: name = value, or name = {value, value}. */
static void take_headers(lua_State *L, struct head *h, int index) {
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    size_t length;
    if (lua_type(L, -2) != LUA_TSTRING)
      luaL_error(L, "a header's name is a %s", luaL_typename(L, -2));
    const char *name = lua_tolstring(L, -2, &length);
    if (!rille_request_is_token(name, length))
      luaL_error(L, "bad header name '%s'", name);
    if (lua_istable(L, -1)) {
      lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
      for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, i);
        take_header(L, h, name, length);
        lua_pop(L, 1);
      }
    } else {
      take_header(L, h, name, length);
    }
    lua_pop(L, 1);
  }
}

/* The Content-Length to write, -1 for none. A message without its body may state any. */
static long long content_length(lua_State *L, const struct head *h, size_t body_length) {
  if (h->status == 204 || (h->status == 304 && h->stated < 0))
    return -1;
  if (h->bodiless && h->stated >= 0)
    return h->stated;
  if (h->stated >= 0 && (unsigned long long)h->stated != body_length)
    luaL_error(L, "header 'Content-Length' is not the length of the body");
  return (long long)body_length;
}

/* Writes the lines that the server sets into `text`, returns how long they are. */
static unsigned write_own_lines(const struct head *h, struct rille_listener *l, char *text,
                                size_t size, long long length, bool keep, bool old) {
  char field[48] = "";
  if (length >= 0)
    (void)snprintf(field, sizeof field, "Content-Length: %lld\r\n", length);
  int n = snprintf(text, size, "HTTP/1.1 %d %s\r\n%s%s%s%s%s", h->status,
                   rille_reason_phrase(h->status), h->dated ? "" : "Date: ",
                   h->dated ? "" : rille_listener_date(l), h->dated ? "" : "\r\n", field,
                   !keep ? "Connection: close\r\n" : old ? "Connection: keep-alive\r\n" : "");
  return (unsigned)n;
}

static struct rille_exchange *check_exchange(lua_State *L) {
  return luaL_checkudata(L, 1, EXCHANGE);
}

static int respond_finish(lua_State *L, struct rille_op *op) {
  lua_pushboolean(L, ((struct rille_exchange *)op)->sent);
  return 1;
}

static const struct rille_op_class respond_class = {.name = "the client to take the response",
                                                    .abort = exchange_abort,
                                                    .finish = respond_finish,
                                                    .external = true};

static int send_response(lua_State *L, struct rille_exchange *x, struct head *h, const char *body,
                         size_t body_length) {
  char own[256];
  uv_buf_t buffers[3];
  long long length = content_length(L, h, body_length);
  append(L, h, "\r\n", 2);
  rille_check_wait(L, respond_class.name);
  rille_op_init(&x->op, &respond_class);
  if (x->connection == NULL) {
    x->state = RILLE_EXCHANGE_ANSWERED;
    lua_pushboolean(L, 0);
    return 1;
  }
  bool keep = rille_exchange_keeps_alive(x) && !h->close;
  unsigned n = write_own_lines(h, rille_exchange_listener(x), own, sizeof own, length, keep,
                               x->old);
  buffers[0] = uv_buf_init(own, n);
  buffers[1] = (uv_buf_t){.base = h->lines, .len = h->length};
  buffers[2] = (uv_buf_t){.base = (char *)(uintptr_t)body, .len = h->bodiless ? 0 : body_length};
  if (rille_exchange_respond(x, buffers, buffers[2].len > 0 ? 3 : 2, keep))
    return respond_finish(L, &x->op);
  return rille_op_park(L, &x->op);
}

/* exchange:respond(status, headers or nil, body or nil[, type]) -> whether the response is on
 * its way; `type` is the Content-Type if the headers have none */
static int l_respond(lua_State *L) {
  struct rille_exchange *x = check_exchange(L);
  struct head h = {.slot = 6, .stated = -1};
  size_t body_length, type_length;
  lua_Integer status = luaL_checkinteger(L, 2);
  luaL_argcheck(L, status >= 200 && status <= 599, 2, "status out of range");
  if (!lua_isnoneornil(L, 3))
    luaL_checktype(L, 3, LUA_TTABLE);
  const char *body = luaL_optlstring(L, 4, "", &body_length);
  const char *type = luaL_optlstring(L, 5, NULL, &type_length);
  if (x->state != RILLE_EXCHANGE_OPEN)
    return luaL_error(L, "the request was answered before");
  lua_settop(L, h.slot);
  h.status = (int)status;
  h.bodiless = x->head_only || status == 204 || status == 304;
  if (lua_istable(L, 3))
    take_headers(L, &h, 3);
  if (type != NULL && !h.typed)
    append_line(L, &h, "Content-Type", 12, type, type_length);
  return send_response(L, x, &h, body, body_length);
}

/* exchange:is_open() -> whether the request still wants its answer */
static int l_is_open(lua_State *L) {
  lua_pushboolean(L, check_exchange(L)->state == RILLE_EXCHANGE_OPEN);
  return 1;
}

/* exchange:close(): what is not answered will not be; idempotent */
static int l_exchange_close(lua_State *L) {
  struct rille_exchange *x = check_exchange(L);
  if (x->state == RILLE_EXCHANGE_OPEN)
    rille_exchange_drop(x);
  return 0;
}

static int l_exchange_gc(lua_State *L) {
  rille_exchange_drop(check_exchange(L));
  return 0;
}

/* --- host names --- */

struct lookup {
  uv_getaddrinfo_t req;
  struct resolve *waiter; /* NULL once nobody waits */
};

struct resolve {
  struct rille_op op;
  struct lookup *lookup; /* libuv's until its callback frees it */
  int status;
  char address[INET6_ADDRSTRLEN];
};

/* The first IPv4 address if there is one: a client that was told "localhost" tries it anyway. */
static int choose_address(const struct addrinfo *list, char *address, size_t size) {
  for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
    if (a->ai_family == AF_INET)
      return uv_ip4_name((struct sockaddr_in *)(void *)a->ai_addr, address, size);
  for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
    if (a->ai_family == AF_INET6)
      return uv_ip6_name((struct sockaddr_in6 *)(void *)a->ai_addr, address, size);
  return UV_EAI_NODATA;
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list) {
  struct lookup *lookup = (struct lookup *)req;
  struct resolve *r = lookup->waiter;
  if (r != NULL) {
    r->status = status == 0 ? choose_address(list, r->address, sizeof r->address) : status;
    rille_op_done(&r->op);
  }
  uv_freeaddrinfo(list);
  free(lookup);
}

static void resolve_abort(struct rille_op *op) {
  struct resolve *r = (struct resolve *)op;
  r->lookup->waiter = NULL;
  (void)uv_cancel((uv_req_t *)&r->lookup->req); /* refused when it runs: then it ends alone */
}

static int resolve_finish(lua_State *L, struct rille_op *op) {
  struct resolve *r = (struct resolve *)op;
  if (r->status != 0) {
    rille_fault_push_uv(L, r->status, lua_pushfstring(L, "host '%s'", lua_tostring(L, 1)));
    lua_pushvalue(L, 1);
    lua_setfield(L, -2, "host");
    return lua_error(L);
  }
  lua_pushstring(L, r->address);
  return 1;
}

static const struct rille_op_class resolve_class = {.name = "a host's address",
                                                    .abort = resolve_abort,
                                                    .finish = resolve_finish,
                                                    .external = true};

/* resolve(host) -> numeric address to listen on */
static int l_resolve(lua_State *L) {
  struct sockaddr_storage address;
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
  const char *host = luaL_checkstring(L, 1);
  lua_settop(L, 1);
  if (uv_ip4_addr(host, 0, (struct sockaddr_in *)&address) == 0 ||
      uv_ip6_addr(host, 0, (struct sockaddr_in6 *)&address) == 0)
    return 1;
  rille_check_wait(L, resolve_class.name);
  struct resolve *r = lua_newuserdatauv(L, sizeof *r, 0);
  rille_op_init(&r->op, &resolve_class);
  r->lookup = malloc(sizeof *r->lookup);
  if (r->lookup == NULL)
    return luaL_error(L, "not enough memory");
  r->lookup->waiter = r;
  r->status = uv_getaddrinfo(&rille_of(L)->loop, &r->lookup->req, on_resolved, host, NULL, &hints);
  if (r->status != 0) {
    free(r->lookup);
    rille_op_done(&r->op);
  }
  return rille_op_park(L, &r->op);
}

/* --- the binding --- */

static const luaL_Reg listener_methods[] = {
    {"accept", l_accept}, {"port", l_port}, {"drain", l_drain}, {"close", l_close}, {NULL, NULL}};

static const luaL_Reg listener_meta[] = {
    {"__gc", l_listener_gc}, {"__close", l_close}, {NULL, NULL}};

static const luaL_Reg exchange_methods[] = {{"respond", l_respond},
                                            {"is_open", l_is_open},
                                            {"close", l_exchange_close},
                                            {NULL, NULL}};

static const luaL_Reg exchange_meta[] = {
    {"__gc", l_exchange_gc}, {"__close", l_exchange_close}, {NULL, NULL}};

static const luaL_Reg lib[] = {{"listen", l_listen}, {"resolve", l_resolve}, {NULL, NULL}};

int luaopen_rille_server(lua_State *L) {
  rille_class(L, LISTENER, listener_meta, listener_methods);
  rille_class(L, EXCHANGE, exchange_meta, exchange_methods);
  luaL_newlib(L, lib);
  return 1;
}
