/* generator_within.c -- a step with patience, which may outlive the call that asked for it (R67). A part of
 * generator.c.
 * Model:  the step is taken by a task of its own, which the generator keeps until somebody has its outcome:
 *         an item that arrives while nobody asks is there for the next call (R69). Who asks joins that task,
 *         for so long as it likes.
 * Owner:  the generator keeps the Task in a user value, and its address in `step`; the Task keeps the
 *         generator while the step is in flight (R96). It is a daemon: alone, it does not keep the program
 *         alive.
 * Errors: the outcome of the step is raised in the call that gets it. One that nobody asks for any more is
 *         raised by close, or attached to the error in flight; of a dropped generator it is a warning. */
#include "generator.h"

#include "fault.h"
#include "task.h"

struct step_wait {
  struct rille_join join;
  struct rille_generator *generator; /* at index 1 of the waiter's stack; the Task is at index 2 */
};

/* The step's own task: takes it. */
static int take_step(lua_State *L) {
  struct rille_generator *g = lua_touserdata(L, 1);
  if (g->phase != RILLE_GENERATOR_LIVE) /* closed before the task had its turn */
    return rille_generator_raise_closed(L, g);
  return rille_generator_step(L, g, 0);
}

void rille_generator_start_step(lua_State *L, struct rille_generator *g) {
  rille_check_wait(L, "a generator");
  if (g->fiber.state == RILLE_CREATED)
    rille_generator_begin(L, g);
  rille_generator_push_birthplace(L, g);
  lua_pushfstring(L, "step of the generator made at %s", lua_tostring(L, -1));
  int name = lua_gettop(L);
  lua_pushcfunction(L, take_step);
  lua_pushvalue(L, 1);
  struct rille_task *t = rille_task_spawn(L, 1, true);
  rille_task_make_daemon(t);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, RILLE_GENERATOR_STEP);
  g->step = t; /* before anything may raise: nobody else is to take a step */
  rille_task_set_name(L, -1, name);
  lua_settop(L, 1);
}

void rille_generator_forget_step(lua_State *L, struct rille_generator *g) {
  lua_pushnil(L);
  lua_setiuservalue(L, 1, RILLE_GENERATOR_STEP);
  g->step = NULL;
}

bool rille_generator_step_is_over(const struct rille_generator *g) {
  return g->step->fiber.state == RILLE_DEAD;
}

/* The step is over: whoever comes first has its outcome. */
static int deliver(lua_State *L, struct rille_generator *g) {
  if (g->step == lua_touserdata(L, 2))
    rille_generator_forget_step(L, g);
  return rille_task_push_results(L, 2);
}

static void step_abort(struct rille_op *op) {
  rille_task_join_abort(op);
  ((struct step_wait *)op)->generator->joined = false;
}

static int step_finish(lua_State *L, struct rille_op *op) {
  struct rille_generator *g = ((struct step_wait *)op)->generator;
  struct rille_task *t = lua_touserdata(L, 2);
  g->joined = false;
  if (t->fiber.state == RILLE_DEAD)
    return deliver(L, g);
  lua_pushnil(L);
  lua_pushliteral(L, "timeout");
  return 2;
}

static const struct rille_op_class step_class = {
    .name = "the step of a generator", .abort = step_abort, .finish = step_finish};

/* Raises if somebody waits for the step already (R80), or the caller is a part of it (R84). */
static void check_join(lua_State *L, struct rille_generator *g) {
  if (rille_generator_is_inside(L, g))
    rille_generator_raise_busy(L, g, "next");
  if (!g->joined)
    return;
  rille_generator_push_birthplace(L, g);
  luaL_error(L, "generator already running: another task is waiting for its next item (made at %s)",
             lua_tostring(L, -1));
}

int rille_generator_join_step(lua_State *L, struct rille_generator *g, double seconds) {
  if (!rille_fiber_of(L)->can_wait || !lua_isyieldable(L))
    rille_check_wait(L, "a generator"); /* R104 */
  if (g->step == NULL) /* a finaliser has closed it since the step was begun */
    return rille_generator_raise_closed(L, g);
  check_join(L, g);
  lua_getiuservalue(L, 1, RILLE_GENERATOR_STEP);
  if (rille_generator_step_is_over(g))
    return deliver(L, g);
  rille_check_wait(L, "a generator");
  struct rille_task *t = g->step; /* a finaliser may close g in the next line: then its step is forgotten */
  struct step_wait *w = lua_newuserdatauv(L, sizeof *w, 0);
  rille_op_init(&w->join.op, &step_class);
  w->join.outcome = false;
  w->generator = g;
  if (!rille_task_join(t, &w->join, seconds))
    return luaL_error(L, "not enough memory");
  g->joined = true;
  return rille_op_park(L, &w->join.op);
}

bool rille_generator_push_unseen(lua_State *L, struct rille_generator *g) {
  struct rille_task *t = g->step;
  bool unseen = t != NULL && !g->joined && t->fiber.state == RILLE_DEAD &&
                t->fiber.outcome == RILLE_FAILED && !t->cancelled;
  if (unseen) {
    lua_pushvalue(t->fiber.L, -1);
    lua_xmove(t->fiber.L, L, 1);
  }
  return unseen;
}
