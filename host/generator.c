/* generator.c -- async generators: a body that yields items to whoever asks, and may wait between them.
 * The binding rille.host.generator; rules R1 to R62 of the semantics.
 * Model:  a generator is a fiber with a phase. next takes one step of it; close raises the close signal
 *         at the pending yield, in a scope of its own of the task that closes, so that the cleanup may
 *         wait and is shielded from that task's own cancellation (R63, R71).
 * Owner:  the Generator userdata is the fiber's record; it keeps the coroutine in a user value, and the
 *         coroutine keeps it in its first slot.
 * Errors: the body's error reaches the consumer as the same object; later steps say that the generator
 *         has failed already (R33). */
#include <string.h>

#include "box.h"
#include "describe.h"
#include "fault.h"
#include "fiber.h"
#include "lib.h"
#include "runtime.h"
#include "task.h"

#define GENERATOR "rille.generator"

enum { CO = 1, CAUSE, MAKER, LOOP, VALUES = LOOP }; /* user values */

enum phase { LIVE, CLOSING, EXHAUSTED, CLOSED, FAILED };

struct generator {
  struct rille_fiber fiber;
  struct rille_scope scope; /* while it is being closed */
  struct list closers;      /* ops of those who wait for the close under way (R48) */
  int line;                 /* where it was made, in the function that is its user value */
  int loop_line;            /* where the loop ends that closed it early, likewise; 0: none did */
  uint8_t phase;
};

static const char CLOSE_SIGNAL = 0; /* its address is the key in the registry */

static void push_close_signal(lua_State *L, struct rille_task *t, struct rille_scope *s) {
  (void)t;
  (void)s;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &CLOSE_SIGNAL);
}

static bool is_close_signal(lua_State *L, int index) {
  push_close_signal(L, NULL, NULL);
  bool is = lua_rawequal(L, index < 0 ? index - 1 : index, -1);
  lua_pop(L, 1);
  return is;
}

/* The metatable is the first upvalue of every method: a check costs no look-up by name. */
static struct generator *check(lua_State *L) {
  void *ud = lua_touserdata(L, 1);
  if (ud != NULL && lua_getmetatable(L, 1)) {
    bool same = lua_rawequal(L, -1, lua_upvalueindex(1));
    lua_pop(L, 1);
    if (same)
      return ud;
  }
  luaL_typeerror(L, 1, GENERATOR);
  return NULL;
}

/* Pushes "file:line", where the generator at index 1 was made. */
static void push_birthplace(lua_State *L, const struct generator *g) {
  lua_Debug ar;
  if (lua_getiuservalue(L, 1, MAKER) == LUA_TFUNCTION && lua_getinfo(L, ">S", &ar) != 0)
    lua_pushfstring(L, "%s:%d", ar.short_src, g->line);
  else
    lua_pushliteral(L, "?");
}

static const char *status_of(const struct generator *g) {
  static const char *const ended[] = {NULL, "closing", "exhausted", "closed", "failed"};
  if (g->phase != LIVE)
    return ended[g->phase];
  switch (g->fiber.state) {
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

/* Raises why the generator cannot take a step now (R49, R80, R84). */
static int raise_busy(lua_State *L, struct generator *g, const char *verb) {
  push_birthplace(L, g);
  if (g->fiber.state == RILLE_RUNNING)
    return luaL_error(L, strcmp(verb, "close") == 0
                             ? "cannot close a running generator from inside it; use return"
                             : "generator already running (made at %s)", lua_tostring(L, -1));
  rille_task_push_name(L, g->fiber.task);
  rille_push_wait(L, g->fiber.task);
  return luaL_error(L, "generator already running: %s is waiting in it for %s (made at %s)",
                    lua_tostring(L, -2), lua_tostring(L, -1), lua_tostring(L, -3));
}

/* A step of a generator that has ended: nil, or an error if items were lost (R24, R33). */
static int ended(lua_State *L, struct generator *g) {
  if (g->phase == CLOSING && g->fiber.state != RILLE_RUNNING)
    return luaL_error(L, "generator is being closed by another task");
  if (g->phase == CLOSING)
    return raise_busy(L, g, "next");
  if (g->phase != FAILED) {
    lua_pushnil(L);
    return 1;
  }
  lua_getiuservalue(L, 1, CAUSE);
  rille_fault_push_message(L, -1);
  return luaL_error(L, "generator already failed: %s", lua_tostring(L, -1));
}

/* Raises the error on top, which left the body; its story says whose it was. */
static int pass_error(lua_State *L, struct generator *g) {
  push_birthplace(L, g);
  const char *how = lua_pushfstring(L, "generator made at %s, advanced by", lua_tostring(L, -1));
  lua_pushvalue(L, -3);
  return rille_fiber_pass_error(L, how);
}

/* The body has failed; its error is on top of L. Keeps and raises it. */
static int fail(lua_State *L, struct generator *g) {
  if (g->fiber.state != RILLE_DEAD) /* refused: too deep in C calls; it was not advanced */
    return lua_error(L);
  if (is_close_signal(L, -1)) { /* R34 */
    push_birthplace(L, g);
    lua_pushfstring(L, "generator raised the close signal while nobody closed it (made at %s)",
                    lua_tostring(L, -1));
  }
  g->phase = FAILED;
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, CAUSE);
  return pass_error(L, g);
}

static int next_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  struct generator *g = (struct generator *)ctx;
  struct rille_fiber *me = rille_fiber_of(L);
  if (me->evicted) { /* R47 */
    me->evicted = false;
    push_birthplace(L, g);
    return luaL_error(L, "generator closed by another task (made at %s)", lua_tostring(L, -1));
  }
  if (g->fiber.outcome == RILLE_ITEM)
    return rille_fiber_take(L, &g->fiber);
  if (g->fiber.outcome == RILLE_DONE) {
    g->phase = EXHAUSTED; /* its results stay where they are, for result() */
    lua_pushnil(L);
    return 1;
  }
  rille_fiber_take(L, &g->fiber);
  return fail(L, g);
}

/* Raises, or pushes nil and returns false, unless the generator can take a step now. */
static bool check_step(lua_State *L, struct generator *g) {
  if (!rille_fiber_of(L)->can_wait || !lua_isyieldable(L))
    rille_check_wait(L, "a generator"); /* R104: always, not only if the body should wait */
  if (g->phase != LIVE) {
    ended(L, g);
    return false;
  }
  if (g->fiber.state == RILLE_DEAD)
    luaL_error(L, "generator already failed: its task was killed");
  if (g->fiber.state != RILLE_SUSPENDED && g->fiber.state != RILLE_CREATED)
    raise_busy(L, g, "next");
  return true;
}

static int step(lua_State *L, struct generator *g, int nargs) {
  rille_fiber_step(L, &g->fiber, nargs, (lua_KContext)g, next_k);
  return next_k(L, LUA_OK, (lua_KContext)g);
}

/* The wait of a consumer that has taken many steps without one: the loop runs once (R27). */
struct turn {
  struct rille_op op;
  struct generator *generator; /* at index 1 of the waiter's stack */
  int nargs;                   /* values for the step, on top of it */
};

static void turn_abort(struct rille_op *op) { (void)op; /* it is done from the start */ }

static int turn_finish(lua_State *L, struct rille_op *op) {
  struct turn *t = (struct turn *)op;
  return check_step(L, t->generator) ? step(L, t->generator, t->nargs) : 1;
}

static const struct rille_op_class turn_class = {"the loop's turn", turn_abort, turn_finish};

static int step_after_turn(lua_State *L, struct generator *g, int nargs) {
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
static int advance(lua_State *L, struct generator *g, int nargs) {
  if (!check_step(L, g))
    return 1;
  if (--g->fiber.rt->budget < 0)
    return step_after_turn(L, g, nargs);
  return step(L, g, nargs);
}

/* Refuses a new loop over a generator that another loop has closed early: it would silently find
 * nothing (R59). */
static void check_loop(lua_State *L, struct generator *g) {
  lua_Debug ar;
  if (g->phase == CLOSED && g->loop_line > 0 && lua_getiuservalue(L, 1, LOOP) == LUA_TFUNCTION &&
      lua_getinfo(L, ">S", &ar) != 0)
    luaL_error(L, "generator was closed by the loop at %s:%d; use g:keep() for a loop that leaves it open",
               ar.short_src, g->loop_line);
}

/* g(): what a loop calls; a loop sends nothing into the body (R19) */
static int l_call(lua_State *L) {
  struct generator *g = check(L);
  lua_settop(L, 1);
  check_loop(L, g);
  return advance(L, g, 0);
}

/* g:next(...) -> item values, or nil at the end; the arguments become the results of the yield (R20) */
static int l_next(lua_State *L) {
  struct generator *g = check(L);
  int nargs = lua_gettop(L) - 1;
  if (g->phase == LIVE && g->fiber.state == RILLE_CREATED && nargs > 0) {
    for (int i = 2; i <= nargs + 1; i++)
      if (!lua_isnil(L, i))
        return luaL_error(L, "cannot send a value to a just-started generator");
    lua_settop(L, 1);
    nargs = 0;
  }
  return advance(L, g, nargs);
}

/* g:throw(err) -> next item: raises err at the pending yield */
static int l_throw(lua_State *L) {
  struct generator *g = check(L);
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  if (g->phase == LIVE && g->fiber.state == RILLE_CREATED) { /* no yield is pending: it ends here */
    if (!rille_fiber_kill(L, &g->fiber))
      lua_pop(L, 1);
    return fail(L, g);
  }
  if (g->phase != LIVE && g->phase != CLOSING)
    return lua_error(L);
  check_step(L, g);
  g->fiber.inject = RILLE_INJECT_ERROR;
  return step(L, g, 1);
}

/* --- close --- */

enum { HAS_ERROR = 1 }; /* close_k: an error is in flight, at index 2, and must not be replaced */

struct close_wait {
  struct rille_op op;
  struct list link;
  lua_KContext flags;
};

/* The cleanup failed; its error is on top. With an error in flight it is attached to that (R37). */
static int cleanup_failed(lua_State *L, struct generator *g, lua_KContext flags) {
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, CAUSE);
  if ((flags & HAS_ERROR) == 0 || rille_task_is_signal(L, rille_fiber_of(L)->task, 2))
    return pass_error(L, g); /* nobody would show a signal: the error goes on in its place */
  rille_fault_suppress(L, 2, -1);
  return 0;
}

/* The body swallowed the close signal and yielded again (R50): end it, uncatchably. */
static int ignored_close(lua_State *L, struct generator *g, lua_KContext flags) {
  lua_Debug ar;
  const char *where = "?";
  lua_settop(L, 2);
  for (int level = 0; lua_getstack(g->fiber.L, level, &ar) != 0; level++)
    if (lua_getinfo(g->fiber.L, "Sl", &ar) != 0 && ar.currentline > 0) {
      where = lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
      break;
    }
  lua_pushfstring(L, "generator ignored close: it yielded again at %s", where);
  if (!rille_fiber_kill(L, &g->fiber))
    lua_pop(L, 1);
  return cleanup_failed(L, g, flags);
}

static int close_k(lua_State *L, int status, lua_KContext flags);

/* Resumes the body so that it raises the close signal at its yield. */
static int inject_close(lua_State *L, struct generator *g, lua_KContext flags) {
  g->fiber.inject = RILLE_INJECT_SIGNAL;
  rille_fiber_step(L, &g->fiber, 0, flags, close_k);
  return close_k(L, LUA_OK, flags);
}

/* The body has ended, or yielded again. Results of the close are pushed, or its error is raised. */
static int close_outcome(lua_State *L, struct generator *g, lua_KContext flags) {
  if (g->fiber.outcome == RILLE_ITEM)
    return ignored_close(L, g, flags);
  if (g->fiber.outcome == RILLE_DONE)
    return (flags & HAS_ERROR) == 0 ? rille_fiber_take(L, &g->fiber) : 0; /* R52 */
  rille_fiber_take(L, &g->fiber);
  if (g->fiber.state != RILLE_DEAD && !rille_fiber_kill(L, &g->fiber)) /* refused: too deep in C calls */
    lua_pop(L, 1);
  return is_close_signal(L, -1) ? 0 : cleanup_failed(L, g, flags);
}

static int close_k(lua_State *L, int status, lua_KContext flags) {
  (void)status;
  struct generator *g = lua_touserdata(L, 1);
  if (g->fiber.outcome == RILLE_ITEM && g->scope.state == RILLE_SIGNALLED) {
    /* It was taken over with an item on its way: that is lost, as its consumer was told (R47, R69). */
    lua_pop(g->fiber.L, g->fiber.count);
    return inject_close(L, g, flags);
  }
  rille_scope_leave(g->fiber.task, &g->scope);
  g->phase = CLOSED;
  while (!list_empty(&g->closers)) {
    struct list *first = g->closers.next;
    list_remove(first);
    rille_op_done(&LIST_ENTRY(first, struct close_wait, link)->op);
  }
  return close_outcome(L, g, flags);
}

static void close_wait_abort(struct rille_op *op) { list_remove(&((struct close_wait *)op)->link); }

/* The close under way is over: its error is raised here too. */
static int close_wait_finish(lua_State *L, struct rille_op *op) {
  struct close_wait *w = (struct close_wait *)op;
  if (lua_getiuservalue(L, 1, CAUSE) == LUA_TNIL || (w->flags & HAS_ERROR) != 0)
    return 0;
  return pass_error(L, lua_touserdata(L, 1));
}

static const struct rille_op_class close_wait_class = {"the close of a generator", close_wait_abort,
                                                       close_wait_finish};

/* Another task is closing it: waits for that (R48). */
static int wait_for_close(lua_State *L, struct generator *g, lua_KContext flags) {
  rille_check_wait(L, close_wait_class.name);
  struct close_wait *w = lua_newuserdatauv(L, sizeof *w, 0);
  rille_op_init(&w->op, &close_wait_class);
  w->flags = flags;
  list_append(&g->closers, &w->link);
  return rille_op_park(L, &w->op);
}

/* From here on the body is shielded from the signals of the scopes around (R63, R71). */
static void begin_close(struct generator *g, struct rille_task *task) {
  memset(&g->scope, 0, sizeof g->scope);
  g->scope.state = RILLE_SIGNALLED;
  g->scope.shield = true;
  g->scope.push_signal = push_close_signal;
  rille_scope_enter(task, &g->scope);
  g->phase = CLOSING;
}

/* Closes a generator that no task is inside of: created, or at a yield. */
static int close_idle(lua_State *L, struct generator *g, lua_KContext flags) {
  struct rille_task *task = rille_fiber_of(L)->task;
  if (g->fiber.state == RILLE_CREATED || task == NULL) { /* R41: the body never runs; or no task, no wait */
    g->phase = CLOSED;
    return rille_fiber_kill(L, &g->fiber) ? 0 : cleanup_failed(L, g, flags);
  }
  begin_close(g, task);
  return inject_close(L, g, flags);
}

static int close_generator(lua_State *L, struct generator *g, lua_KContext flags) {
  uint8_t state = g->fiber.state;
  if ((g->phase != LIVE && g->phase != CLOSING) || state == RILLE_DEAD)
    return 0;
  if (state == RILLE_RUNNING) /* from inside; an error in flight goes before */
    return (flags & HAS_ERROR) != 0 ? 0 : raise_busy(L, g, "close");
  if (g->phase == CLOSING)
    return wait_for_close(L, g, flags);
  if (state != RILLE_WAITING)
    return close_idle(L, g, flags);
  rille_check_wait(L, close_wait_class.name);
  struct rille_task *task = rille_fiber_of(L)->task;
  begin_close(g, task);
  return rille_fiber_take_over(L, &g->fiber, flags, close_k); /* R46 */
}

/* g:close() -> what the body returned, if it did */
static int l_close(lua_State *L) {
  struct generator *g = check(L);
  lua_settop(L, 1);
  return close_generator(L, g, 0);
}

/* __close(g, err): a cleanup error does not replace err (L12) */
static int l_close_loop(lua_State *L) {
  struct generator *g = check(L);
  lua_Debug ar;
  lua_settop(L, 2);
  if (g->phase == LIVE && lua_getstack(L, 1, &ar) != 0 && lua_getinfo(L, "lf", &ar) != 0) {
    g->loop_line = ar.currentline;
    lua_setiuservalue(L, 1, LOOP);
  }
  return close_generator(L, g, lua_isnil(L, 2) ? 0 : HAS_ERROR);
}

/* --- the rest of the methods --- */

/* g:each() -> the four values of a loop that closes g */
static int l_each(lua_State *L) {
  check_loop(L, check(L));
  lua_settop(L, 1);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  lua_pushvalue(L, 1);
  return 4;
}

static int l_kept(lua_State *L) {
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(2));
  struct generator *g = check(L);
  return advance(L, g, 0);
}

/* g:keep() -> an iterator: a loop over it leaves g open */
static int l_keep(lua_State *L) {
  check(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, l_kept, 2);
  return 1;
}

/* g:status() */
static int l_status(lua_State *L) {
  lua_pushstring(L, status_of(check(L)));
  return 1;
}

/* g:result() -> the body's return values, once it is exhausted */
static int l_result(lua_State *L) {
  struct generator *g = check(L);
  int n = g->fiber.count;
  if (g->phase != EXHAUSTED || n == 0)
    return 0;
  luaL_checkstack(L, n, "too many results");
  if (!lua_checkstack(g->fiber.L, n))
    return luaL_error(L, "too many results");
  int top = lua_gettop(g->fiber.L);
  for (int i = top - n + 1; i <= top; i++)
    lua_pushvalue(g->fiber.L, i);
  lua_xmove(g->fiber.L, L, n);
  return n;
}

static int l_tostring(lua_State *L) {
  struct generator *g = check(L);
  push_birthplace(L, g);
  const char *status = status_of(g);
  if (strcmp(status, "waiting") == 0) {
    rille_push_wait(L, g->fiber.task);
    lua_pushfstring(L, "generator made at %s (waiting for %s)", lua_tostring(L, -2),
                    lua_tostring(L, -1));
    return 1;
  }
  lua_pushfstring(L, "generator made at %s (%s)", lua_tostring(L, -1), status);
  return 1;
}

/* --- making --- */

/* A generator function: upvalues are the metatable and the body. Runs nothing yet (R1). */
static int l_make(lua_State *L) {
  int nargs = lua_gettop(L);
  lua_Debug ar;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  struct generator *g =
      (struct generator *)rille_fiber_new(L, sizeof *g, VALUES, RILLE_GENERATOR);
  list_init(&g->closers);
  lua_setiuservalue(L, -2, CO);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, -2);
  if (lua_getstack(L, 1, &ar) != 0 && lua_getinfo(L, "lf", &ar) != 0) {
    g->line = ar.currentline;
    lua_setiuservalue(L, -2, MAKER);
  }
  lua_insert(L, 1);
  rille_fiber_load(L, &g->fiber, nargs, true);
  return l_each(L);
}

/* generator(fn) -> a generator function */
static int l_generator(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
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
                                {"__tostring", l_tostring},
                                {NULL, NULL}};

static const luaL_Reg methods[] = {{"next", l_next},     {"throw", l_throw},   {"close", l_close},
                                   {"each", l_each},     {"keep", l_keep},     {"status", l_status},
                                   {"result", l_result}, {NULL, NULL}};

static const luaL_Reg lib[] = {{"generator", l_generator},
                               {"is_generator_function", l_is_generator_function},
                               {NULL, NULL}};

int luaopen_rille_generator(lua_State *L) {
  rille_fault_push(L, "ECLOSED", "the generator is being closed");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &CLOSE_SIGNAL);
  luaL_newmetatable(L, GENERATOR);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, meta, 1);
  lua_newtable(L);
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, methods, 1);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__index");
  luaL_newlibtable(L, lib);
  lua_pushvalue(L, -3);
  luaL_setfuncs(L, lib, 1);
  lua_insert(L, -2);
  lua_setfield(L, -2, "methods");
  return 1;
}
