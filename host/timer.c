/* timer.c -- rille.sleep and rille.now; the binding rille.host.timer.
 * Model:  one op per sleep, with a deadline in the runtime's heap. sleep(0) is one turn of the loop.
 * Owner:  the op is a part of the task that sleeps, or a userdata on the waiter's stack; its deadline
 *         leaves the heap before the wait ends.
 * Errors: a bad argument raises at the call; a cancelled sleep raises the signal. */
#include "box.h"
#include "fiber.h"
#include "lib.h"
#include "runtime.h"
#include "task.h"

static void on_due(struct rille_deadline *d) {
  rille_op_done(&LIST_ENTRY(d, struct rille_sleep, deadline)->op);
}

static void sleep_abort(struct rille_op *op) {
  rille_deadline_stop(op->fiber->rt, &((struct rille_sleep *)op)->deadline);
}

static int sleep_finish(lua_State *L, struct rille_op *op) {
  (void)L;
  (void)op;
  return 0;
}

static const struct rille_op_class sleep_class = {
    .name = "sleep", .abort = sleep_abort, .finish = sleep_finish};

/* A task's root waits for one thing at a time, and stays in its task. Any other fiber can be taken over
 * while it sleeps, and its op must outlive the task. */
static struct rille_sleep *push_op(lua_State *L) {
  struct rille_fiber *f = rille_fiber_of(L);
  if (f->kind == RILLE_TASK)
    return &f->task->sleep;
  return lua_newuserdatauv(L, sizeof(struct rille_sleep), 0);
}

/* sleep(seconds): parks the caller; with 0, until the loop has had its turn */
static int l_sleep(lua_State *L) {
  double seconds = rille_check_seconds(L, 1);
  rille_check_wait(L, "sleep");
  struct rille_sleep *s = push_op(L);
  rille_op_init(&s->op, &sleep_class);
  s->deadline = (struct rille_deadline){.due = on_due};
  if (seconds == 0)
    rille_op_done(&s->op);
  else if (!rille_deadline_start(rille_of(L), &s->deadline, seconds))
    return luaL_error(L, "not enough memory");
  return rille_op_park(L, &s->op);
}

/* turn(): lets the loop have its turn if the caller can wait; else nothing */
static int l_turn(lua_State *L) {
  if (!rille_fiber_of(L)->can_wait || !lua_isyieldable(L))
    return 0;
  lua_settop(L, 0);
  lua_pushinteger(L, 0);
  return l_sleep(L);
}

/* now() -> monotonic seconds */
static int l_now(lua_State *L) {
  lua_pushnumber(L, rille_now(rille_of(L)));
  return 1;
}

static const luaL_Reg lib[] = {{"sleep", l_sleep}, {"turn", l_turn}, {"now", l_now}, {NULL, NULL}};

int luaopen_rille_timer(lua_State *L) {
  luaL_newlib(L, lib);
  return 1;
}
