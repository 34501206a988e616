/* http_upload.c -- request bodies that are not a string in memory. The model is told in http_upload.h.
 * Owner:  Lua owns the upload; a transfer in flight borrows its body, and lets go of it when it ends.
 * Errors: as told there; a wait that is aborted leaves the upload as it was. */
#include "http_upload.h"

#include "box.h"
#include "fault.h"
#include "fiber.h"

#define UPLOAD "rille.http.Upload"

enum { ERROR = 1, USER_VALUES = ERROR };

struct upload {
  struct rille_op op;
  struct rille_send send;
  bool told; /* the request has raised the error of the source */
};

static struct upload *check_upload(lua_State *L) { return luaL_checkudata(L, 1, UPLOAD); }

/* upload(length, replayable) -> upload; length -1: not known */
static int l_upload(lua_State *L) {
  lua_Integer length = luaL_checkinteger(L, 1);
  bool replayable = lua_toboolean(L, 2);
  luaL_argcheck(L, length >= -1, 1, "out of range");
  struct upload *u = lua_newuserdatauv(L, sizeof *u, USER_VALUES);
  rille_send_init(&u->send, length, replayable);
  u->op = (struct rille_op){.fiber = NULL};
  u->told = false;
  luaL_setmetatable(L, UPLOAD);
  return 1;
}

/* --- for requests --- */

struct rille_send *rille_upload_body(lua_State *L, int index) {
  struct upload *u = luaL_testudata(L, index, UPLOAD);
  if (u == NULL)
    return NULL;
  if (u->send.transfer != NULL || u->send.over)
    (void)luaL_error(L, "this upload was used already");
  return &u->send;
}

void rille_upload_on_sent(struct rille_send *send) {
  rille_op_done(&LIST_ENTRY(send, struct upload, send)->op);
}

bool rille_upload_push_error(lua_State *L, const struct rille_transfer *t, int index) {
  struct upload *u = luaL_testudata(L, index, UPLOAD);
  if (t->end != RILLE_END_UPLOAD || u == NULL)
    return false;
  u->told = true;
  lua_getiuservalue(L, index, ERROR);
  return true;
}

/* --- waiting --- */

static void wait_abort(struct rille_op *op) { (void)op; } /* the upload is as it was */

static int await_finish(lua_State *L, struct rille_op *op);
static int write_finish(lua_State *L, struct rille_op *op);
static int sent_finish(lua_State *L, struct rille_op *op);

static const struct rille_op_class await_class = {
    .name = "a request to be sent", .abort = wait_abort, .finish = await_finish, .external = true};
static const struct rille_op_class write_class = {
    .name = "a request's body to be sent", .abort = wait_abort, .finish = write_finish, .external = true};
static const struct rille_op_class sent_class = {
    .name = "a request's body to be sent", .abort = wait_abort, .finish = sent_finish, .external = true};

static int park(lua_State *L, struct upload *u, const struct rille_op_class *class) {
  if (u->op.fiber != NULL)
    return luaL_error(L, "another task waits for this upload");
  rille_check_wait(L, class->name);
  rille_op_init(&u->op, class);
  return rille_op_park(L, &u->op);
}

/* The round that the caller is in, at 2, is not the one under way. */
static bool is_past(lua_State *L, const struct upload *u) {
  return u->send.over || (lua_Integer)u->send.round != luaL_checkinteger(L, 2);
}

/* upload:await(round) -> round: waits until libcurl asks for the body, after that round; nil: it will not */
static int l_await(lua_State *L) {
  struct upload *u = check_upload(L);
  lua_settop(L, 2);
  return is_past(L, u) ? await_finish(L, &u->op) : park(L, u, &await_class);
}

static int await_finish(lua_State *L, struct rille_op *op) {
  (void)op;
  struct upload *u = check_upload(L);
  if (u->send.over)
    return 0;
  if (!is_past(L, u))
    return park(L, u, &await_class);
  lua_pushinteger(L, (lua_Integer)u->send.round);
  return 1;
}

/* upload:write(round, piece, at) -> at, sent: writes of the piece, from `at` on, what there is room for,
 * which it waits for; nil: nothing more of this round is wanted */
static int l_write(lua_State *L) {
  struct upload *u = check_upload(L);
  (void)luaL_checkstring(L, 3);
  (void)luaL_checkinteger(L, 4);
  lua_settop(L, 4);
  return write_finish(L, &u->op);
}

static int write_finish(lua_State *L, struct rille_op *op) {
  (void)op;
  struct upload *u = check_upload(L);
  if (is_past(L, u))
    return 0;
  size_t room = rille_send_room(&u->send);
  if (room == 0)
    return park(L, u, &write_class);
  size_t length;
  const char *piece = lua_tolstring(L, 3, &length);
  lua_Integer at = lua_tointeger(L, 4);
  if (at < 1 || at > (lua_Integer)length)
    return luaL_argerror(L, 4, "out of range");
  size_t n = length - (size_t)(at - 1);
  if (n > room)
    n = room;
  if (!rille_send_write(&u->send, piece + at - 1, n))
    return luaL_error(L, "not enough memory");
  lua_pushinteger(L, at + (lua_Integer)n);
  lua_pushinteger(L, (lua_Integer)u->send.sent);
  return 2;
}

/* upload:finish(round): all is written */
static int l_finish(lua_State *L) {
  struct upload *u = check_upload(L);
  if (!is_past(L, u))
    rille_send_finish(&u->send);
  return 0;
}

/* upload:sent(round, seen) -> sent: waits until it is another number of bytes than seen; nil: it will not
 * be */
static int l_sent(lua_State *L) {
  struct upload *u = check_upload(L);
  (void)luaL_checkinteger(L, 3);
  lua_settop(L, 3);
  return sent_finish(L, &u->op);
}

static int sent_finish(lua_State *L, struct rille_op *op) {
  (void)op;
  struct upload *u = check_upload(L);
  if ((lua_Integer)u->send.round != luaL_checkinteger(L, 2))
    return 0;
  if (u->send.sent == lua_tointeger(L, 3))
    return u->send.over ? 0 : park(L, u, &sent_class);
  lua_pushinteger(L, (lua_Integer)u->send.sent);
  return 1;
}

/* --- the end --- */

/* upload:fail(error): the source has failed; the request raises this */
static int l_fail(lua_State *L) {
  struct upload *u = check_upload(L);
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, ERROR);
  if (u->send.transfer != NULL)
    rille_transfer_fail(u->send.transfer, RILLE_END_UPLOAD);
  return 0;
}

/* upload:told() -> whether the request has raised the error of the source */
static int l_told(lua_State *L) {
  lua_pushboolean(L, check_upload(L)->told);
  return 1;
}

static int l_gc(lua_State *L) {
  rille_send_part(&check_upload(L)->send);
  return 0;
}

static const luaL_Reg meta[] = {{"__gc", l_gc}, {NULL, NULL}};

static const luaL_Reg methods[] = {{"await", l_await}, {"write", l_write}, {"finish", l_finish},
                                   {"sent", l_sent},   {"fail", l_fail},   {"told", l_told},
                                   {NULL, NULL}};

/* boundary() -> 32 hexadecimal digits that nobody can foresee */
static int l_boundary(lua_State *L) {
  unsigned char bytes[16];
  char text[2 * sizeof bytes];
  int err = uv_random(NULL, NULL, bytes, sizeof bytes, 0, NULL);
  if (err != 0) {
    rille_fault_push_uv(L, err, "random bytes");
    return lua_error(L);
  }
  for (size_t i = 0; i < sizeof text; i++)
    text[i] = "0123456789abcdef"[i % 2 == 0 ? bytes[i / 2] >> 4 : bytes[i / 2] & 15];
  lua_pushlstring(L, text, sizeof text);
  return 1;
}

void rille_upload_open(lua_State *L) {
  rille_class(L, UPLOAD, meta, methods);
  lua_pushcfunction(L, l_upload);
  lua_setfield(L, -2, "upload");
  lua_pushcfunction(L, l_boundary);
  lua_setfield(L, -2, "boundary");
}
