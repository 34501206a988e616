/* generator_close.c -- how a generator is closed, and the words for its state. A part of generator.c.
 * Model:  close raises the close signal at the pending yield, in a scope of its own of the task that closes,
 *         so that the cleanup may wait and is shielded from that task's own cancellation (R63, R71). If
 *         another task waits inside, its step is taken over first (fiber.h).
 * Owner:  the scope is a part of the generator.
 * Errors: an error of the cleanup is raised, or attached to the one in flight (R37, R38). */
#include "generator.h"

#include <string.h>

#include "describe.h"
#include "fault.h"
#include "runtime.h"
#include "task.h"

static const char CLOSE_SIGNAL = 0; /* its address is the key in the registry */

static void push_close_signal(lua_State *L, struct rille_task *t, struct rille_scope *s) {
  (void)t;
  (void)s;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &CLOSE_SIGNAL);
}

bool rille_generator_is_close_signal(lua_State *L, int index) {
  push_close_signal(L, NULL, NULL);
  bool is = lua_rawequal(L, index < 0 ? index - 1 : index, -1);
  lua_pop(L, 1);
  return is;
}

void rille_generator_push_birthplace(lua_State *L, const struct rille_generator *g) {
  lua_Debug ar;
  if (lua_getiuservalue(L, 1, RILLE_GENERATOR_MAKER) != LUA_TFUNCTION) {
    lua_pop(L, 1);
    lua_pushliteral(L, "?");
  } else {
    (void)lua_getinfo(L, ">S", &ar); /* pops it */
    lua_pushfstring(L, "%s:%d", ar.short_src, g->line);
  }
}

/* Whom f's end is due to: its consumer, or whoever waits for the task that it is the root of. */
static struct rille_fiber *outer(lua_State *L, struct rille_fiber *f) {
  return f->consumer != NULL || f->kind != RILLE_TASK ? f->consumer : rille_task_keeper(L, f->task);
}

/* The running function is called from inside g's body: directly, in a step that waited on the way, or in a
 * task of a group that the body has opened, or of a stream whose step it takes. */
static bool is_inside(lua_State *L, const struct rille_generator *g) {
  if (g->fiber.state != RILLE_WAITING)
    return g->fiber.state == RILLE_RUNNING;
  struct rille_fiber *f = rille_fiber_of(L);
  while (f != NULL && f != &g->fiber)
    f = outer(L, f);
  return f != NULL;
}

/* Pushes what task t waits for, and where: "http.get at file:line". */
static void push_awaited(lua_State *L, struct rille_task *t) {
  struct rille_fiber *leaf = t->leaf;
  if (leaf == NULL || leaf->op == NULL || leaf->L == NULL) {
    lua_pushliteral(L, "its turn");
    return;
  }
  rille_push_line(L, leaf->L);
  lua_pushfstring(L, "%s at %s", leaf->op->name, lua_tostring(L, -1));
  lua_replace(L, -2);
}

bool rille_generator_is_inside(lua_State *L, const struct rille_generator *g) { return is_inside(L, g); }

int rille_generator_raise_busy(lua_State *L, struct rille_generator *g, const char *verb) {
  rille_generator_push_birthplace(L, g);
  if (g->phase == RILLE_GENERATOR_IN_PLACE)
    return luaL_error(L, strcmp(verb, "close") == 0
                             ? "cannot close a generator that another one delegates to; close that one "
                               "(made at %s)"
                             : "generator already running: another one delegates to it (made at %s)",
                      lua_tostring(L, -1));
  if (is_inside(L, g))
    return rille_error(L, strcmp(verb, "close") == 0
                             ? "cannot close a running generator from inside it; use return"
                             : "generator already running (made at %s)", lua_tostring(L, -1));
  rille_task_push_name(L, g->fiber.task);
  rille_push_line(L, g->fiber.consumer->L);
  push_awaited(L, g->fiber.task);
  return rille_error(L, "generator already running: %s is waiting in next() since %s (body awaits %s)",
                     lua_tostring(L, -3), lua_tostring(L, -2), lua_tostring(L, -1));
}

int rille_generator_raise_closed(lua_State *L, struct rille_generator *g) {
  rille_generator_push_birthplace(L, g);
  return rille_error(L, "generator closed by another task (made at %s)", lua_tostring(L, -1));
}

int rille_generator_push_results(lua_State *L, struct rille_generator *g) {
  return g->fiber.L == NULL ? 0 : rille_fiber_push_top(L, &g->fiber, g->fiber.count);
}

int rille_generator_pass_error(lua_State *L, struct rille_generator *g) {
  rille_generator_push_birthplace(L, g);
  const char *how = lua_pushfstring(L, "generator made at %s, advanced by", lua_tostring(L, -1));
  lua_pushvalue(L, -3);
  return rille_fiber_pass_error(L, how);
}

struct close_wait {
  struct rille_op op;
  struct list link;
  lua_KContext flags;
};

/* The cleanup failed; its error is on top. With an error in flight it is attached to that (R37). */
static int cleanup_failed(lua_State *L, struct rille_generator *g, lua_KContext flags) {
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, RILLE_GENERATOR_CAUSE);
  if ((flags & RILLE_HAS_ERROR) == 0 || rille_task_is_signal(L, rille_fiber_of(L)->task, 2))
    return rille_generator_pass_error(L, g); /* nobody would show a signal: the error goes on in its place */
  rille_fault_suppress(L, 2, -1);
  return 0;
}

/* Close raises why the body had to be ended, which is on top, or attaches it to the error in flight. */
static int ignored(lua_State *L, struct rille_generator *g, lua_KContext flags) {
  lua_pushfstring(L, "generator ignored close: %s", lua_tostring(L, -1));
  return cleanup_failed(L, g, flags);
}

/* The body swallowed the close signal and yielded again (R50): end it, uncatchably. */
static int ignored_close(lua_State *L, struct rille_generator *g, lua_KContext flags) {
  lua_Debug ar;
  const char *where = "?";
  lua_settop(L, 2);
  for (int level = 0; lua_getstack(g->fiber.L, level, &ar) != 0; level++)
    if (lua_getinfo(g->fiber.L, "Sl", &ar) != 0 && ar.currentline > 0) {
      where = lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
      break;
    }
  lua_pushfstring(L, "it yielded again at %s", where);
  if (!rille_fiber_kill(L, &g->fiber))
    lua_pop(L, 1);
  return ignored(L, g, flags);
}

static int close_k(lua_State *L, int status, lua_KContext flags);

/* Resumes the body so that it raises the close signal at its yield. */
static int inject_close(lua_State *L, struct rille_generator *g, lua_KContext flags) {
  g->fiber.inject = RILLE_INJECT_SIGNAL;
  return rille_fiber_step(L, &g->fiber, 0, rille_fiber_can_wait(L), flags, close_k);
}

/* The body has ended, or yielded again. Results of the close are pushed, or its error is raised. */
static int close_outcome(lua_State *L, struct rille_generator *g, lua_KContext flags) {
  if (g->fiber.outcome == RILLE_ITEM)
    return ignored_close(L, g, flags);
  if (g->fiber.outcome == RILLE_DONE) /* R52; they stay there for others who wait for this close */
    return (flags & RILLE_HAS_ERROR) == 0 ? rille_generator_push_results(L, g) : 0;
  rille_fiber_take(L, &g->fiber);
  if (g->fiber.state != RILLE_DEAD && !rille_fiber_kill(L, &g->fiber)) /* refused: too deep in C calls */
    lua_pop(L, 1);
  if (!rille_generator_is_close_signal(L, -1))
    return cleanup_failed(L, g, flags);
  if (g->scope.swallowed < RILLE_SWALLOW_LIMIT)
    return 0;
  lua_pushfstring(L, "it caught the signal %d times", RILLE_SWALLOW_LIMIT);
  return ignored(L, g, flags); /* R66: no pcall has kept it after that */
}

static void wake_closers(struct rille_generator *g) {
  while (!list_empty(&g->closers)) {
    struct list *first = g->closers.next;
    list_remove(first);
    rille_op_done(&LIST_ENTRY(first, struct close_wait, link)->op);
  }
}

static int close_k(lua_State *L, int status, lua_KContext flags) {
  (void)status;
  struct rille_generator *g = lua_touserdata(L, 1);
  if (g->fiber.outcome == RILLE_ITEM && g->scope.state == RILLE_SIGNALLED && !g->fiber.ignored) {
    /* It was taken over with an item on its way: that is lost, as its consumer was told (R47, R69). */
    lua_pop(g->fiber.L, g->fiber.count);
    return inject_close(L, g, flags);
  }
  rille_scope_leave(&g->scope);
  g->phase = RILLE_GENERATOR_CLOSED;
  list_remove(&g->link);
  wake_closers(g);
  return close_outcome(L, g, flags);
}

static void close_wait_abort(struct rille_op *op) { list_remove(&((struct close_wait *)op)->link); }

/* The close under way is over: its outcome is this one's too. */
static int close_wait_finish(lua_State *L, struct rille_op *op) {
  struct rille_generator *g = lua_touserdata(L, 1);
  if ((((struct close_wait *)op)->flags & RILLE_HAS_ERROR) != 0)
    return 0;
  if (lua_getiuservalue(L, 1, RILLE_GENERATOR_CAUSE) != LUA_TNIL)
    return rille_generator_pass_error(L, g);
  return g->fiber.outcome == RILLE_DONE ? rille_generator_push_results(L, g) : 0;
}

static const struct rille_op_class close_wait_class = {.name = "the close of a generator",
                                                       .abort = close_wait_abort,
                                                       .finish = close_wait_finish};

/* Another task is closing it: waits for that (R48). */
static int wait_for_close(lua_State *L, struct rille_generator *g, lua_KContext flags) {
  rille_check_wait(L, close_wait_class.name);
  struct close_wait *w = lua_newuserdatauv(L, sizeof *w, 0);
  rille_op_init(&w->op, &close_wait_class);
  w->flags = flags;
  list_append(&g->closers, &w->link);
  return rille_op_park(L, &w->op);
}

/* The task that closes it was killed, and the body with it. */
static void close_dropped(struct rille_scope *s) {
  struct rille_generator *g = LIST_ENTRY(s, struct rille_generator, scope);
  g->phase = RILLE_GENERATOR_CLOSED;
  wake_closers(g);
}

/* From here on the body is shielded from the signals of the scopes around (R63, R71). */
static void begin_close(struct rille_generator *g, struct rille_task *task) {
  memset(&g->scope, 0, sizeof g->scope);
  g->scope.state = RILLE_SIGNALLED;
  g->scope.shield = true;
  g->scope.ends = true; /* it is the body that is to end, not the task */
  g->scope.push_signal = push_close_signal;
  g->scope.drop = close_dropped;
  rille_scope_enter(task, &g->scope);
  g->phase = RILLE_GENERATOR_CLOSING;
}

/* Closes a generator that no task is inside of: created, or at a yield. */
static int close_idle(lua_State *L, struct rille_generator *g, lua_KContext flags) {
  struct rille_task *task = rille_fiber_of(L)->task;
  if (g->fiber.state == RILLE_CREATED || task == NULL) { /* R41: the body never runs; or no task, no wait */
    g->phase = RILLE_GENERATOR_CLOSED;
    list_remove(&g->link);
    return rille_fiber_kill(L, &g->fiber) ? 0 : cleanup_failed(L, g, flags);
  }
  begin_close(g, task);
  return inject_close(L, g, flags);
}

/* It has ended: there is nothing to close. An error that a step in flight ended with is not lost. */
static int close_ended(lua_State *L, struct rille_generator *g, lua_KContext flags) {
  if (g->step == NULL || g->joined)
    return 0;
  bool failed = rille_generator_push_unseen(L, g);
  rille_generator_forget_step(L, g);
  return failed ? cleanup_failed(L, g, flags) : 0;
}

int rille_generator_close(lua_State *L, struct rille_generator *g, lua_KContext flags) {
  uint8_t state = g->fiber.state;
  if (g->phase > RILLE_GENERATOR_CLOSING || state == RILLE_DEAD)
    return close_ended(L, g, flags);
  if (g->phase == RILLE_GENERATOR_IN_PLACE || is_inside(L, g)) /* an error in flight goes before */
    return (flags & RILLE_HAS_ERROR) != 0 ? 0 : rille_generator_raise_busy(L, g, "close");
  if (g->phase == RILLE_GENERATOR_CLOSING)
    return wait_for_close(L, g, flags);
  if (g->step != NULL)
    rille_generator_forget_step(L, g); /* the error that ends it goes to whoever waits for it */
  if (state != RILLE_WAITING)
    return close_idle(L, g, flags);
  rille_check_wait(L, close_wait_class.name);
  struct rille_task *task = rille_fiber_of(L)->task;
  begin_close(g, task);
  return rille_fiber_take_over(L, &g->fiber, flags, close_k); /* R46 */
}

void rille_generator_open_close(lua_State *L) {
  rille_fault_push(L, "ECLOSED", "the generator is being closed");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &CLOSE_SIGNAL);
}
