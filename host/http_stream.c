/* http_stream.c -- responses whose body is read as it comes. The model is told in http_stream.h.
 * Owner:  Lua owns the body; t->owner leads to its op until the transfer is given back.
 * Errors: as told there; a wait that is aborted leaves the body as it was. */
#include "http_stream.h"

#include "box.h"
#include "describe.h"
#include "fiber.h"
#include "http_error.h"
#include "http_response.h"
#include "http_upload.h"
#include "leak.h"
#include "runtime.h"

#define BODY "rille.http.Body"

enum { POOL = 1, METHOD, URL, UPLOAD, WHERE, USER_VALUES = WHERE };

enum state {
  OPENING, /* the head is not in */
  OPEN,
  ENDED,   /* the end was read */
  CLOSED   /* or it has failed */
};

struct body {
  struct rille_op op; /* first: the owner of the transfer is this op */
  struct rille_transfer *transfer; /* NULL: not started yet, or given back */
  enum state state;
  const char *where; /* the text of the user value */
};

static struct body *check_body(lua_State *L) { return luaL_checkudata(L, 1, BODY); }

/* Raises the error of the transfer of the body at 1, and gives it back. */
static int fail(lua_State *L, struct body *b) {
  lua_getiuservalue(L, 1, METHOD);
  lua_getiuservalue(L, 1, URL);
  lua_getiuservalue(L, 1, UPLOAD);
  bool source = rille_upload_push_error(L, b->transfer, lua_gettop(L));
  if (!source)
    rille_http_error_push(L, b->transfer, lua_tostring(L, -3), lua_tostring(L, -2));
  rille_transfer_release(b->transfer);
  b->transfer = NULL;
  b->state = CLOSED;
  return source ? rille_fiber_pass_error(L, "awaited by") : lua_error(L);
}

/* --- opening --- */

static void open_abort(struct rille_op *op) {
  struct body *b = (struct body *)op;
  rille_transfer_release(b->transfer);
  b->transfer = NULL;
  b->state = CLOSED;
}

static int open_finish(lua_State *L, struct rille_op *op) {
  struct body *b = (struct body *)op;
  struct rille_transfer *t = b->transfer;
  if (t->end == RILLE_END_CLOSED || (!t->head_done && t->end != RILLE_END_OK))
    return fail(L, b);
  lua_getiuservalue(L, 1, METHOD);
  lua_getiuservalue(L, 1, URL);
  rille_response_push(L, t, lua_gettop(L) - 1, lua_gettop(L));
  lua_pushvalue(L, 1);
  b->state = OPEN;
  return 2;
}

static const struct rille_op_class open_class = {
    .name = "http.stream", .abort = open_abort, .finish = open_finish, .external = true};

void rille_stream_push(lua_State *L, int pool, int method, int url, int upload) {
  const int kept[] = {pool, method, url, upload};
  struct body *b = lua_newuserdatauv(L, sizeof *b, USER_VALUES);
  rille_op_init(&b->op, &open_class);
  b->transfer = NULL;
  b->state = OPENING;
  b->where = NULL;
  luaL_setmetatable(L, BODY);
  for (int i = 0; i < UPLOAD; i++) {
    lua_pushvalue(L, kept[i]);
    lua_setiuservalue(L, -2, i + 1);
  }
  rille_push_line(L, L);
  b->where = lua_tostring(L, -1);
  lua_setiuservalue(L, -2, WHERE);
  rille_leak_note(L, -1);
}

const char *rille_stream_where(const struct rille_op *op) { return ((const struct body *)op)->where; }

int rille_stream_start(lua_State *L, int index, struct rille_transfer *t,
                       const struct rille_transfer_request *request) {
  struct body *b = lua_touserdata(L, index);
  b->transfer = t;
  t->owner = &b->op;
  rille_transfer_start(t, request);
  lua_copy(L, index, 1); /* the user values keep what is needed of the others */
  lua_settop(L, 1);
  return rille_op_park(L, &b->op);
}

/* --- reading --- */

static void read_abort(struct rille_op *op) { (void)op; } /* what comes waits for the next read */

/* What is there for the reader of the body at 1: a piece, the end or a failure. */
static int deliver(lua_State *L, struct body *b) {
  struct rille_transfer *t = b->transfer;
  if (t->end == RILLE_END_CLOSED)
    return fail(L, b);
  if (t->body.length > 0) {
    lua_pushlstring(L, t->body.data, t->body.length);
    rille_transfer_consume(t);
    return 1;
  }
  if (t->end != RILLE_END_OK)
    return fail(L, b);
  rille_transfer_release(t);
  b->transfer = NULL;
  b->state = ENDED;
  lua_pushnil(L);
  return 1;
}

static int read_finish(lua_State *L, struct rille_op *op) {
  struct body *b = (struct body *)op;
  if (b->transfer != NULL)
    return deliver(L, b);
  lua_pushliteral(L, "response closed by another task");
  return lua_error(L);
}

static const struct rille_op_class read_class = {
    .name = "a response's body", .abort = read_abort, .finish = read_finish, .external = true};

static void check_readable(lua_State *L, const struct body *b) {
  if (b->op.fiber != NULL)
    (void)rille_error(L, "another task is reading this response");
  if (b->state == CLOSED)
    (void)rille_error(L, "the response is closed");
}

/* body:read() -> a string as it came, decoded; nil at the end. Waits. */
static int l_read(lua_State *L) {
  struct body *b = check_body(L);
  lua_settop(L, 1);
  check_readable(L, b);
  if (b->state == ENDED)
    return 0;
  if (b->transfer->body.length > 0 || b->transfer->end != RILLE_END_NONE)
    return deliver(L, b);
  rille_check_wait(L, read_class.name);
  rille_op_init(&b->op, &read_class);
  return rille_op_park(L, &b->op);
}

/* body:check(): raises if the caller could not read now */
static int l_check(lua_State *L) {
  check_readable(L, check_body(L));
  return 0;
}

/* --- the end --- */

/* body:close(): gives up what was not read; a reader in another task is woken. Idempotent. */
static int l_close(lua_State *L) {
  struct body *b = check_body(L);
  struct rille_transfer *t = b->transfer;
  b->state = CLOSED;
  b->transfer = NULL;
  if (t != NULL) {
    if (b->op.fiber != NULL)
      rille_op_done(&b->op);
    rille_transfer_leave(t);
  }
  return 0;
}

/* Pushes "the response of GET url opened at file:line", of the body at 1. */
static const char *push_description(lua_State *L) {
  lua_getiuservalue(L, 1, METHOD);
  lua_getiuservalue(L, 1, URL);
  rille_push_safe_url(L, lua_tostring(L, -1));
  lua_getiuservalue(L, 1, WHERE);
  return lua_pushfstring(L, "the response of %s %s opened at %s", lua_tostring(L, -4), lua_tostring(L, -2),
                         lua_tostring(L, -1));
}

/* Warns of the body at 1, which nobody has read to its end or closed. */
static void warn_dropped(lua_State *L) {
  lua_pushfstring(L,
                  "rille: %s was dropped before its end; it is closed now. Close it: "
                  "'local res <close> = http.stream(url)', or read all of it",
                  push_description(L));
  lua_warning(L, lua_tostring(L, -1), 0);
}

static bool is_unread(const struct body *b) {
  const struct rille_transfer *t = b->transfer;
  return t != NULL && b->state == OPEN && !(t->end == RILLE_END_OK && rille_transfer_is_read(t));
}

static int l_leak(lua_State *L) {
  if (!is_unread(check_body(L)))
    return 0;
  lua_pushfstring(L, "%s is open", push_description(L));
  return 1;
}

static int l_gc(lua_State *L) {
  struct body *b = check_body(L);
  struct rille_transfer *t = b->transfer;
  if (t == NULL)
    return 0;
  bool unread = is_unread(b);
  if (unread)
    rille_leak_collected(L, 1);
  b->transfer = NULL;
  b->state = CLOSED;
  rille_transfer_release(t);
  if (unread && !rille_of(L)->closing)
    warn_dropped(L);
  return 0;
}

static const luaL_Reg meta[] = {
    {"__gc", l_gc}, {"__close", l_close}, {"__interrupt", l_close}, {"__leak", l_leak}, {NULL, NULL}};

static const luaL_Reg methods[] = {
    {"read", l_read}, {"close", l_close}, {"check", l_check}, {NULL, NULL}};

void rille_stream_open(lua_State *L) { rille_class(L, BODY, meta, methods); }
