/* waitlist.c -- a queue of waiting tasks, from which channels, workers and locks are made; the binding
 * rille.host.waitlist.
 * Model:  wait() parks the caller at the end; wake(n) lets the n that wait longest go on. A waiter that
 *         was woken is never cancelled instead (fiber.h), so a wake-up is not lost; nor does it time out.
 * Owner:  the waiters are ops on their callers' stacks; the queue's head is in the userdata, which each
 *         of those stacks keeps alive. A waiter's deadline leaves the heap before its wait ends.
 * Errors: a cancelled wait raises the signal and has left the queue. */
#include "box.h"
#include "fiber.h"
#include "lib.h"
#include "runtime.h"

#define WAITLIST "rille.Waitlist"

struct waitlist {
  struct list waiters;
  const char *name; /* what a wait is called in reports; its user value keeps it */
};

struct waiter {
  struct rille_op op;
  struct list link;
  struct rille_deadline deadline; /* not in the heap if it waits without limit */
  struct rille *rt;
  bool woken;
};

static struct waitlist *check_waitlist(lua_State *L) { return luaL_checkudata(L, 1, WAITLIST); }

/* Takes the waiter out of the queue and the heap. */
static void leave(struct waiter *w) {
  list_remove(&w->link);
  rille_deadline_stop(w->rt, &w->deadline);
}

static void on_due(struct rille_deadline *d) {
  struct waiter *w = LIST_ENTRY(d, struct waiter, deadline);
  leave(w);
  rille_op_done(&w->op);
}

static void wait_abort(struct rille_op *op) { leave((struct waiter *)op); }

static int wait_finish(lua_State *L, struct rille_op *op) {
  lua_pushboolean(L, ((struct waiter *)op)->woken);
  return 1;
}

static const struct rille_op_class wait_class = {
    .name = "a wake-up", .abort = wait_abort, .finish = wait_finish};

/* new([name]) -> waitlist; the name is what a wait is called in reports */
static int l_new(lua_State *L) {
  const char *name = luaL_optstring(L, 1, wait_class.name);
  lua_settop(L, 1);
  struct waitlist *list = lua_newuserdatauv(L, sizeof *list, 1);
  list_init(&list->waiters);
  list->name = name;
  luaL_setmetatable(L, WAITLIST);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/* waitlist:check(): raises if the caller could not wait now */
static int l_check(lua_State *L) {
  rille_check_wait(L, check_waitlist(L)->name);
  return 0;
}

/* waitlist:wait([seconds]) -> woken: parks the caller until it is woken, or for so long */
static int l_wait(lua_State *L) {
  struct waitlist *list = check_waitlist(L);
  double seconds = lua_isnoneornil(L, 2) ? -1 : rille_check_seconds(L, 2);
  rille_check_wait(L, list->name);
  struct waiter *w = lua_newuserdatauv(L, sizeof *w, 0);
  rille_op_init(&w->op, &wait_class);
  w->op.name = list->name;
  w->rt = rille_of(L);
  w->deadline = (struct rille_deadline){.due = on_due};
  w->woken = false;
  if (seconds >= 0 && !rille_deadline_start(w->rt, &w->deadline, seconds))
    return luaL_error(L, "not enough memory");
  list_append(&list->waiters, &w->link);
  return rille_op_park(L, &w->op);
}

static int wake(lua_State *L, struct list *waiters, lua_Integer n) {
  lua_Integer woken = 0;
  for (; woken < n && !list_empty(waiters); woken++) {
    struct waiter *first = LIST_ENTRY(waiters->next, struct waiter, link);
    leave(first);
    first->woken = true;
    rille_op_done(&first->op);
  }
  lua_pushinteger(L, woken);
  return 1;
}

/* waitlist:wake([n=1]) -> how many were woken */
static int l_wake(lua_State *L) {
  struct waitlist *list = check_waitlist(L);
  return wake(L, &list->waiters, luaL_optinteger(L, 2, 1));
}

/* waitlist:wake_all() -> how many were woken */
static int l_wake_all(lua_State *L) { return wake(L, &check_waitlist(L)->waiters, LUA_MAXINTEGER); }

static const luaL_Reg methods[] = {
    {"wait", l_wait},         {"wake", l_wake}, {"wake_all", l_wake_all},
    {"check", l_check}, {NULL, NULL}};

static const luaL_Reg meta[] = {{NULL, NULL}};

static const luaL_Reg lib[] = {{"new", l_new}, {NULL, NULL}};

int luaopen_rille_waitlist(lua_State *L) {
  rille_class(L, WAITLIST, meta, methods);
  luaL_newlib(L, lib);
  return 1;
}
