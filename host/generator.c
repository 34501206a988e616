/* generator.c -- async generators: a body that yields items to whoever asks, and may wait between them.
 * The binding rille.host.generator; rules R1 to R62 of the semantics.
 * Model:  told in generator.h; this file makes generators and takes their steps.
 * Owner:  the Generator userdata is the fiber's record; it keeps the coroutine in a user value, and the
 *         coroutine keeps it in its first slot.
 * Errors: the body's error reaches the consumer as the same object; later steps say that the generator
 *         has failed already (R33). */
#include "generator.h"

#include <string.h>

#include "box.h"
#include "describe.h"
#include "fault.h"
#include "lib.h"
#include "runtime.h"
#include "task.h"

static const char MARK = 0; /* its address is in every generator */

/* A step checks its argument: the length and the mark tell a generator from other userdata, and cost a third
 * of what comparing metatables does. */
static inline struct rille_generator *test(lua_State *L, int index) {
  struct rille_generator *g = lua_touserdata(L, index);
  return g != NULL && lua_rawlen(L, index) == sizeof *g && g->mark == &MARK ? g : NULL;
}

static inline struct rille_generator *check(lua_State *L) {
  struct rille_generator *g = test(L, 1);
  if (g == NULL)
    rille_bad_self(L, RILLE_GENERATOR_CLASS);
  return g;
}

struct rille_generator *rille_generator_test(lua_State *L, int index) { return test(L, index); }

static const char *status_of(const struct rille_generator *g) {
  static const char *const ended[] = {NULL, NULL, "closing", "exhausted", "closed", "failed"};
  if (ended[g->phase] != NULL)
    return ended[g->phase];
  if (g->step != NULL && !rille_generator_step_is_over(g) && g->fiber.state != RILLE_RUNNING)
    return "waiting";
  switch (g->phase == RILLE_GENERATOR_IN_PLACE ? g->place->state : g->fiber.state) {
  case RILLE_CREATED:
    return "created";
  case RILLE_SUSPENDED:
    return "suspended";
  case RILLE_RUNNING:
    return "running";
  case RILLE_WAITING:
    return "waiting";
  default:
    return "failed"; /* its task was killed */
  }
}

/* --- next --- */

/* A step of a generator that has ended: nil, or an error if items were lost (R24, R33). */
static int ended(lua_State *L, struct rille_generator *g) {
  if (g->phase == RILLE_GENERATOR_IN_PLACE)
    return rille_generator_raise_busy(L, g, "next");
  if (g->phase == RILLE_GENERATOR_CLOSING && g->fiber.state != RILLE_RUNNING)
    return rille_error(L, "generator is being closed by another task");
  if (g->phase == RILLE_GENERATOR_CLOSING)
    return rille_generator_raise_busy(L, g, "next");
  if (g->phase != RILLE_GENERATOR_FAILED) {
    lua_pushnil(L);
    return 1;
  }
  lua_getiuservalue(L, 1, RILLE_GENERATOR_CAUSE);
  rille_fault_push_message(L, -1);
  return rille_error(L, "generator already failed: %s", lua_tostring(L, -1));
}

/* The body has failed; its error is on top of L. Keeps and raises it. */
static int fail(lua_State *L, struct rille_generator *g) {
  if (g->fiber.state != RILLE_DEAD) /* refused: too deep in C calls; it was not advanced */
    return lua_error(L);
  /* R34 */
  if (rille_generator_is_close_signal(L, -1) && !rille_task_is_signal(L, rille_fiber_of(L)->task, -1)) {
    rille_generator_push_birthplace(L, g);
    lua_pushfstring(L, "generator raised the close signal while nobody closed it (made at %s)",
                    lua_tostring(L, -1));
  }
  list_remove(&g->link);
  g->phase = RILLE_GENERATOR_FAILED;
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, RILLE_GENERATOR_CAUSE);
  return rille_generator_pass_error(L, g);
}

static int next_k(lua_State *L, int status, lua_KContext ctx) {
  struct rille_generator *g = (struct rille_generator *)ctx;
  struct rille_fiber *me = rille_fiber_of(L);
  if (status == LUA_YIELD && me->evicted) { /* R47 */
    me->evicted = false;
    me->task->leaf = NULL;
    return rille_generator_raise_closed(L, g);
  }
  if (g->fiber.outcome == RILLE_ITEM)
    return rille_fiber_take(L, &g->fiber);
  if (g->fiber.outcome == RILLE_DONE) {
    list_remove(&g->link);
    g->phase = RILLE_GENERATOR_EXHAUSTED; /* its results stay where they are, for result() */
    lua_pushnil(L);
    return 1;
  }
  rille_fiber_take(L, &g->fiber);
  return fail(L, g);
}

/* Raises, or pushes nil and returns false, unless the generator can take a step now. */
static bool check_step(lua_State *L, struct rille_generator *g) {
  if (!rille_fiber_can_wait(L))
    rille_check_wait(L, "a generator"); /* R104: always, not only if the body should wait */
  if (g->phase != RILLE_GENERATOR_LIVE) {
    ended(L, g);
    return false;
  }
  if (g->fiber.state == RILLE_DEAD)
    rille_error(L, "generator already failed: its task was killed");
  if (g->fiber.state != RILLE_SUSPENDED && g->fiber.state != RILLE_CREATED)
    rille_generator_raise_busy(L, g, "next");
  return true;
}

int rille_generator_step(lua_State *L, struct rille_generator *g, int nargs) {
  if (g->fiber.state == RILLE_CREATED)
    rille_generator_begin(L, g);
  return rille_fiber_step(L, &g->fiber, nargs, true, (lua_KContext)g, next_k);
}

/* A value for the body, or an error, while its next item is on the way: it has no pending yield. */
static int refuse_value(lua_State *L, struct rille_generator *g, const char *what) {
  rille_generator_push_birthplace(L, g);
  return rille_error(L, "cannot %s a generator whose step is in flight (made at %s); take its item first",
                     what, lua_tostring(L, -1));
}

/* Goes on waiting for the step that next_within left in flight. */
static int join(lua_State *L, struct rille_generator *g, int nargs) {
  for (; nargs > 0; nargs--) {
    if (!lua_isnil(L, -1))
      return refuse_value(L, g, "send a value to");
    lua_pop(L, 1);
  }
  lua_settop(L, 1);
  return rille_generator_join_step(L, g, -1);
}

/* The wait of a consumer that has taken many steps without one: the loop runs once (R27). */
struct turn {
  struct rille_op op;
  struct rille_generator *generator; /* at index 1 of the waiter's stack */
  int nargs;                   /* values for the step, on top of it */
};

static void turn_abort(struct rille_op *op) { (void)op; /* it is done from the start */ }

static int turn_finish(lua_State *L, struct rille_op *op) {
  struct turn *t = (struct turn *)op;
  if (t->generator->step != NULL)
    return join(L, t->generator, t->nargs);
  return check_step(L, t->generator) ? rille_generator_step(L, t->generator, t->nargs) : 1;
}

static const struct rille_op_class turn_class = {
    .name = "the loop's turn", .abort = turn_abort, .finish = turn_finish};

static int step_after_turn(lua_State *L, struct rille_generator *g, int nargs) {
  rille_check_wait(L, "the loop's turn");
  struct turn *t = lua_newuserdatauv(L, sizeof *t, 0);
  lua_insert(L, 2);
  rille_op_init(&t->op, &turn_class);
  t->generator = g;
  t->nargs = nargs;
  rille_op_done(&t->op);
  return rille_op_park(L, &t->op);
}

/* One step with the `nargs` values on top. The generator is at index 1. */
static int advance(lua_State *L, struct rille_generator *g, int nargs) {
  if (g->step != NULL)
    return join(L, g, nargs);
  if (!check_step(L, g))
    return 1;
  if (--g->fiber.rt->budget < 0)
    return step_after_turn(L, g, nargs);
  return rille_generator_step(L, g, nargs);
}

/* Refuses a new loop over a generator that another loop has closed early: it would silently find
 * nothing (R59). */
static void check_loop(lua_State *L, struct rille_generator *g) {
  lua_Debug ar;
  if (g->loop_line > 0 && lua_getiuservalue(L, 1, RILLE_GENERATOR_LOOP) == LUA_TFUNCTION &&
      lua_getinfo(L, ">S", &ar) != 0)
    rille_error(L, "generator was closed by the loop at %s:%d; use g:keep() for a loop that leaves it open",
               ar.short_src, g->loop_line);
}

/* g(): what a loop calls; a loop sends nothing into the body (R19) */
static int l_call(lua_State *L) {
  struct rille_generator *g = check(L);
  bool idle = g->phase == RILLE_GENERATOR_LIVE && g->fiber.state == RILLE_SUSPENDED && g->step == NULL;
  if (idle && rille_fiber_can_wait(L) && g->fiber.rt->budget > 0) { /* what most steps find */
    g->fiber.rt->budget--;
    return rille_fiber_step(L, &g->fiber, 0, true, (lua_KContext)g, next_k);
  }
  lua_settop(L, 1);
  if (g->phase == RILLE_GENERATOR_CLOSED)
    check_loop(L, g);
  return advance(L, g, 0);
}

/* g:next(...) -> item values, or nil at the end; the arguments become the results of the yield (R20) */
static int l_next(lua_State *L) {
  struct rille_generator *g = check(L);
  int nargs = lua_gettop(L) - 1;
  if (g->phase == RILLE_GENERATOR_LIVE && g->fiber.state == RILLE_CREATED && g->step == NULL && nargs > 0) {
    for (int i = 2; i <= nargs + 1; i++)
      if (!lua_isnil(L, i))
        return rille_error(L, "cannot send a value to a just-started generator");
    lua_settop(L, 1);
    nargs = 0;
  }
  return advance(L, g, nargs);
}

/* g:next_within(seconds) -> item values, or nil at the end; nil, "timeout" if it takes longer (R67) */
static int l_next_within(lua_State *L) {
  struct rille_generator *g = check(L);
  double seconds = rille_check_seconds(L, 2);
  lua_settop(L, 1);
  if (g->step == NULL) {
    if (!check_step(L, g))
      return 1;
    rille_generator_start_step(L, g);
  }
  return rille_generator_join_step(L, g, seconds);
}

/* g:throw(err) -> next item: raises err at the pending yield */
static int l_throw(lua_State *L) {
  struct rille_generator *g = check(L);
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  if (g->step != NULL)
    return refuse_value(L, g, "throw into");
  if (g->phase == RILLE_GENERATOR_LIVE && g->fiber.state == RILLE_CREATED) { /* no yield: it ends here */
    if (!rille_fiber_kill(L, &g->fiber))
      lua_pop(L, 1);
    return fail(L, g);
  }
  if (g->phase > RILLE_GENERATOR_CLOSING)
    return lua_error(L);
  check_step(L, g);
  g->fiber.inject = RILLE_INJECT_ERROR;
  return rille_generator_step(L, g, 1);
}

/* --- close --- */

/* g:close() -> what the body returned, if it did */
static int l_close(lua_State *L) {
  struct rille_generator *g = check(L);
  lua_settop(L, 1);
  return rille_generator_close(L, g, 0);
}

/* __close(g, err): a cleanup error does not replace err (L12) */
static int l_close_loop(lua_State *L) {
  struct rille_generator *g = check(L);
  lua_settop(L, 2);
  if (g->phase == RILLE_GENERATOR_LIVE) {
    g->loop_line = rille_push_caller(L);
    lua_setiuservalue(L, 1, RILLE_GENERATOR_LOOP);
  }
  return rille_generator_close(L, g, lua_isnil(L, 2) ? 0 : RILLE_HAS_ERROR);
}

/* --- the rest of the methods --- */

/* g:each() -> the four values of a loop that closes g */
static int l_each(lua_State *L) {
  struct rille_generator *g = check(L);
  if (g->phase == RILLE_GENERATOR_CLOSED)
    check_loop(L, g);
  lua_settop(L, 1);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  lua_pushvalue(L, 1);
  return 4;
}

static int l_kept(lua_State *L) {
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(1));
  return advance(L, lua_touserdata(L, 1), 0);
}

/* g:keep() -> an iterator: a loop over it leaves g open */
static int l_keep(lua_State *L) {
  check(L);
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, l_kept, 1);
  return 1;
}

/* g:status() */
static int l_status(lua_State *L) {
  lua_pushstring(L, status_of(check(L)));
  return 1;
}

/* g:result() -> the body's return values, once it is exhausted */
static int l_result(lua_State *L) {
  struct rille_generator *g = check(L);
  return g->phase == RILLE_GENERATOR_EXHAUSTED ? rille_generator_push_results(L, g) : 0;
}

static int l_tostring(lua_State *L) {
  struct rille_generator *g = check(L);
  rille_generator_push_birthplace(L, g);
  const char *status = status_of(g);
  if (strcmp(status, "waiting") == 0) {
    struct rille_task *task = g->phase == RILLE_GENERATOR_IN_PLACE ? g->place->task : g->fiber.task;
    rille_push_wait(L, task != NULL ? task : g->step);
    lua_pushfstring(L, "generator made at %s (waiting for %s)", lua_tostring(L, -2),
                    lua_tostring(L, -1));
    return 1;
  }
  lua_pushfstring(L, "generator made at %s (%s)", lua_tostring(L, -1), status);
  return 1;
}

/* --- making --- */

/* Refuses `for v in f do`, which would make generators without end: the loop calls f(nil, v). */
static void check_called(lua_State *L) {
  lua_Debug ar;
  if (lua_getstack(L, 0, &ar) != 0 && lua_getinfo(L, "n", &ar) != 0 &&
      strcmp(ar.namewhat, "for iterator") == 0)
    rille_error(L, "a loop over a generator function; call it: 'for v in f() do'");
}

/* A generator function: upvalues are the metatable and the body. Runs nothing yet (R1). */
static int l_make(lua_State *L) {
  int nargs = lua_gettop(L);
  if (nargs == 2 && lua_isnil(L, 1))
    check_called(L);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  struct rille_generator *g =
      (struct rille_generator *)rille_fiber_new(L, sizeof *g, RILLE_GENERATOR_VALUES, RILLE_GENERATOR);
  list_init(&g->link);
  list_init(&g->closers);
  g->mark = &MARK;
  lua_setiuservalue(L, -2, RILLE_GENERATOR_CO);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  g->line = rille_push_caller(L);
  lua_setiuservalue(L, -2, RILLE_GENERATOR_MAKER);
  lua_insert(L, 1);
  rille_fiber_load(L, &g->fiber, nargs, true);
  return l_each(L);
}

/* generator(fn) -> a generator function */
static int l_generator(lua_State *L) {
  rille_check_function(L, 1, "generator(f)");
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_pushcclosure(L, l_make, 2);
  return 1;
}

/* is_generator_function(v) -> boolean */
static int l_is_generator_function(lua_State *L) {
  lua_pushboolean(L, lua_tocfunction(L, 1) == l_make);
  return 1;
}

static const luaL_Reg meta[] = {{"__call", l_call},
                                {"__close", l_close_loop},
                                {"__gc", rille_generator_gc},
                                {"__leak", rille_generator_leak},
                                {"__tostring", l_tostring},
                                {NULL, NULL}};

static const luaL_Reg methods[] = {{"next", l_next},     {"next_within", l_next_within},
                                   {"throw", l_throw},   {"close", l_close},
                                   {"each", l_each},     {"keep", l_keep},
                                   {"status", l_status}, {"result", l_result},
                                   {NULL, NULL}};

static const luaL_Reg lib[] = {{"generator", l_generator},
                               {"is_generator_function", l_is_generator_function},
                               {NULL, NULL}};

int luaopen_rille_generator(lua_State *L) {
  rille_generator_open_close(L);
  rille_generator_open_drop(L);
  lua_createtable(L, 0, 8);   /* room for all: a key that is the first to come is found at the first probe, */
  luaL_setfuncs(L, meta, 0);  /* and each step looks for __call */
  lua_pushliteral(L, RILLE_GENERATOR_CLASS);
  lua_setfield(L, -2, "__name");
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__index");
  luaL_newlibtable(L, lib);
  lua_pushvalue(L, -3);
  luaL_setfuncs(L, lib, 1);
  rille_generator_push_delegate(L, -2);
  lua_setfield(L, -2, "make_yield_from");
  lua_insert(L, -2);
  lua_setfield(L, -2, "methods");
  return 1;
}
