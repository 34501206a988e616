/* generator_delegate.c -- a body that hands its consumer on to another generator (R89). A part of
 * generator.c.
 * Model:  the body of a generator that has not begun is called in place, in the coroutine that delegates to
 *         it: an item then costs the same at any depth. One that has begun has a coroutine of its own, and so
 *         has every fortieth of a deep recursion, as the C stack is finite: it is stepped, and its item is
 *         yielded; what the consumer sends goes to it, and an error that is thrown in is thrown there.
 * Owner:  the inner generator, or its place, is a to-be-closed value of the running function: on every way
 *         out it is closed first (R92).
 * Errors: those of the inner body. A place where nothing can be yielded is refused before anything runs. */
#include "generator.h"

#include "box.h"
#include "describe.h"
#include "task.h"

/* Upvalues of yield_from: methods of generators, and what to call for another source. */
enum { AT_NEXT = 1, AT_THROW, AT_RESULT, AT_OTHER };

/* --- in place --- */

#define PLACE "rille.generator.place"

/* The place of a body, a to-be-closed value of yield_from. Its user value is the generator. */
struct place {
  struct rille_generator *generator;
};

/* __close(place, err): if the body is still there, an error has left it, or its coroutine was reset. */
static int l_leave(lua_State *L) {
  struct place *p = luaL_checkudata(L, 1, PLACE);
  struct rille_generator *g = p->generator;
  if (g->phase != RILLE_GENERATOR_IN_PLACE)
    return 0;
  bool closed = rille_generator_is_close_signal(L, 2) || (lua_isnil(L, 2) && !g->place->can_wait);
  g->phase = closed ? RILLE_GENERATOR_CLOSED : RILLE_GENERATOR_FAILED;
  g->fiber.state = RILLE_DEAD;
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, RILLE_GENERATOR_CAUSE);
  return 0;
}

/* The body has returned: what is above the place are its results, which the generator keeps too. */
static int returned_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct rille_generator *g = ((struct place *)lua_touserdata(L, 2))->generator;
  int n = lua_gettop(L) - 2;
  g->phase = RILLE_GENERATOR_EXHAUSTED;
  g->fiber.state = RILLE_DEAD;
  luaL_checkstack(L, n, "too many results");
  if (!lua_checkstack(g->fiber.L, n))
    return luaL_error(L, "too many results");
  for (int i = 3; i < 3 + n; i++)
    lua_pushvalue(L, i);
  lua_xmove(L, g->fiber.L, n);
  g->fiber.count = n;
  return n;
}

/* It has not begun, and nobody is about to begin it. */
static bool is_movable(const struct rille_generator *g) {
  return g->phase == RILLE_GENERATOR_LIVE && g->fiber.state == RILLE_CREATED && g->step == NULL;
}

/* Calls the body of the generator, which has not begun, here. Returns false if it must not. */
static bool call_in_place(lua_State *L, struct rille_generator *g, int *results) {
  struct rille_fiber *f = rille_fiber_of(L);
  if (f->kind != RILLE_GENERATOR || !is_movable(g) || !rille_fiber_may_nest(L))
    return false;
  int n = g->fiber.nargs; /* the body and its arguments */
  luaL_checkstack(L, n + 4, "too many arguments");
  struct place *p = lua_newuserdatauv(L, sizeof *p, 1);
  if (!is_movable(g)) { /* a finaliser has closed it in that line */
    lua_settop(L, 1);
    return false;
  }
  p->generator = g;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  luaL_setmetatable(L, PLACE);
  lua_toclose(L, 2); /* the last to raise */
  lua_xmove(g->fiber.L, L, n);
  g->fiber.nargs = 0;
  g->place = f;
  g->phase = RILLE_GENERATOR_IN_PLACE;
  rille_fiber_nest(L, n - 1, 0, returned_k);
  *results = returned_k(L, LUA_OK, 0);
  return true;
}

/* --- step by step --- */

/* Raises unless the running coroutine can yield here. */
static void check_place(lua_State *L) {
  uint8_t kind = rille_fiber_of(L)->kind;
  if (kind != RILLE_GENERATOR && kind != RILLE_COROUTINE)
    rille_error(L, "yield_from outside the body of a generator or coroutine");
  rille_check_yield(L);
}

static int answer_k(lua_State *L, int status, lua_KContext ctx);

/* Calls the method at the upvalue, of the generator, with the `nargs` values on top. */
static int ask(lua_State *L, int upvalue, int nargs) {
  luaL_checkstack(L, 2, "too many arguments");
  lua_pushvalue(L, lua_upvalueindex(upvalue));
  lua_pushvalue(L, 1);
  lua_rotate(L, -(nargs + 2), 2);
  lua_callk(L, nargs + 1, LUA_MULTRET, 0, answer_k);
  return answer_k(L, LUA_OK, 0);
}

/* The consumer wants the next item. Its arguments, or the error that it throws, are above the generator. */
static int resumed_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct rille_fiber *f = rille_fiber_of(L);
  int inject = f->inject;
  f->inject = RILLE_INJECT_NOTHING;
  if (inject == RILLE_INJECT_ERROR)
    return ask(L, AT_THROW, 1);
  if (inject == RILLE_INJECT_SIGNAL)
    rille_task_check(L, f->task, NULL);
  return ask(L, AT_NEXT, lua_gettop(L) - 1);
}

/* The generator's answer, an item or the end, is above it. */
static int answer_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  if (!lua_isnil(L, 2))
    return lua_yieldk(L, lua_gettop(L) - 1, 0, resumed_k);
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(AT_RESULT));
  lua_pushvalue(L, 1);
  lua_call(L, 1, LUA_MULTRET);
  return lua_gettop(L) - 1;
}

static int other_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  return lua_gettop(L);
}

/* yield_from(x, ...) -> what the body of x returns: yields the items of x in the running coroutine */
static int l_yield_from(lua_State *L) {
  luaL_checkany(L, 1);
  check_place(L);
  lua_settop(L, 4); /* a source, as the expressions of a `for` */
  if (rille_generator_test(L, 1) == NULL) {
    lua_pushvalue(L, lua_upvalueindex(AT_OTHER));
    lua_insert(L, 1);
    lua_callk(L, 4, LUA_MULTRET, 0, other_k);
    return other_k(L, LUA_OK, 0);
  }
  lua_settop(L, 1);
  int results;
  if (call_in_place(L, lua_touserdata(L, 1), &results))
    return results;
  lua_toclose(L, 1);
  return ask(L, AT_NEXT, 0);
}

/* make_yield_from(other) -> yield_from, which calls other(x, ...) if x is no generator */
static int l_make_yield_from(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  for (int i = 1; i < AT_OTHER; i++)
    lua_pushvalue(L, lua_upvalueindex(i));
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, l_yield_from, AT_OTHER);
  return 1;
}

void rille_generator_push_delegate(lua_State *L, int methods) {
  static const luaL_Reg place[] = {{"__close", l_leave}, {NULL, NULL}};
  static const luaL_Reg none[] = {{NULL, NULL}};
  rille_class(L, PLACE, place, none);
  methods = lua_absindex(L, methods);
  lua_getfield(L, methods, "next");
  lua_getfield(L, methods, "throw");
  lua_getfield(L, methods, "result");
  lua_pushcclosure(L, l_make_yield_from, AT_RESULT);
}
