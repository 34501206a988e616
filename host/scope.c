/* scope.c -- scopes and their signals. The model is told in scope.h.
 * Owner:  nothing: a scope is embedded in whoever opened it.
 * Errors: raising a signal is the purpose. */
#include "scope.h"

#include "describe.h"
#include "fault.h"
#include "runtime.h"
#include "task.h"

/* --- the stack of scopes --- */

void rille_scope_enter(struct rille_task *t, struct rille_scope *s) {
  s->outer = t->scope;
  s->task = t;
  t->scope = s;
}

void rille_scope_leave(struct rille_scope *s) {
  for (struct rille_scope **place = &s->task->scope; *place != NULL; place = &(*place)->outer)
    if (*place == s) {
      *place = s->outer;
      return;
    }
}

void rille_scope_drop_all(struct rille_task *t) {
  while (t->scope != &t->root) {
    struct rille_scope *s = t->scope;
    t->scope = s->outer;
    if (s->drop != NULL)
      s->drop(s);
  }
}

/* --- signals --- */

/* The outermost scope whose signal is due, among those that no shield covers. */
static struct rille_scope *due_scope(struct rille_task *t) {
  struct rille_scope *due = NULL;
  for (struct rille_scope *s = t->scope; s != NULL; s = s->outer) {
    if (s->state == RILLE_SIGNALLED || s->state == RILLE_SWALLOWED)
      due = s;
    if (s->shield || s->state == RILLE_UNWINDING) /* cleanup under way is not cut short (R63, R71) */
      break;
  }
  return due;
}

void rille_scope_move(struct rille_task *t, struct rille_task *from, struct rille_scope *mark) {
  struct rille_scope *top = from->scope;
  if (top == mark)
    return;
  struct rille_scope *bottom = top;
  bottom->task = t;
  while (bottom->outer != mark) {
    bottom = bottom->outer;
    bottom->task = t;
  }
  bottom->outer = t->scope;
  t->scope = top;
  from->scope = mark;
}

void rille_task_interrupt(struct rille_task *t) {
  if (t->leaf != NULL && t->leaf->op != NULL && due_scope(t) != NULL)
    rille_op_interrupt(t->leaf->op);
}

/* Begins the story of the signal on top: where it strikes first, and of a task's `own` which task that is. */
static void note_wait(lua_State *L, struct rille_task *t, bool own, const char *what) {
  if (rille_fault_has_story(L, -1))
    return;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  rille_push_line(L, L);
  lua_pushfstring(L, "while waiting for %s (%s)", what, lua_tostring(L, -1));
  lua_replace(L, -2);
  if (own) {
    lua_pushliteral(L, "\n");
    rille_task_push_origin(L, t);
    if (lua_isnil(L, -1)) /* the host's */
      lua_pop(L, 2);
    else
      lua_concat(L, 3);
  }
  rille_fault_add(L, -2);
}

/* The task goes on catching the signal; or the time for cleanup is over, which the loop would tell if the
 * task let it have its turn. */
static bool is_hopeless(const struct rille_task *t, const struct rille_scope *s) {
  const struct rille_deadline *limit = &t->fiber.rt->cleanup;
  if (s->ends || s->swallowed == 0)
    return false;
  return s->swallowed >= RILLE_SWALLOW_LIMIT || (limit->index != 0 && limit->at <= (double)uv_hrtime() / 1e9);
}

void rille_task_check(lua_State *L, struct rille_task *t, const char *what) {
  struct rille_scope *s = due_scope(t);
  if (s == NULL)
    return;
  if (is_hopeless(t, s) && rille_fiber_can_wait(L)) {
    t->killed = true;
    t->leaf = rille_fiber_of(L);
    t->fiber.rt->waiting = true;
    lua_yieldk(L, 0, 0, NULL); /* to the loop, which does not come back */
  }
  s->push_signal(L, t, s);
  if (what != NULL && rille_fault_is(L, -1, "ECANCELED")) /* the close signal is one for all generators */
    note_wait(L, t, s == &t->root, what);
  t->fiber.rt->raises++;
  for (struct rille_scope *inner = t->scope;; inner = inner->outer) { /* those inside unwind with it */
    inner->state = RILLE_UNWINDING;
    inner->raised = t->fiber.rt->raises;
    if (inner == s)
      break;
  }
  lua_error(L);
}

void rille_task_caught(lua_State *L, intptr_t before) {
  struct rille_fiber *f = rille_fiber_of(L);
  struct rille_task *t = f->task;
  f->rt->passing = false;
  if (t == NULL)
    return;
  if (t->exiting && t->root.raised > before)
    lua_error(L);
  for (struct rille_scope *s = t->scope; s != NULL; s = s->outer)
    if (s->ends && s->swallowed >= RILLE_SWALLOW_LIMIT && s->raised > before)
      lua_error(L);
  for (struct rille_scope *s = t->scope; s != NULL; s = s->outer)
    if (s->state == RILLE_UNWINDING && s->raised > before) {
      s->state = RILLE_SWALLOWED;
      s->swallowed++;
    }
}

/* The scope of t whose signal is the value at `index`; NULL if it is none of them. */
static struct rille_scope *scope_of_signal(lua_State *L, struct rille_task *t, int index) {
  index = lua_absindex(L, index);
  for (struct rille_scope *s = t != NULL ? t->scope : NULL; s != NULL; s = s->outer)
    if (s->state != RILLE_OPEN) {
      s->push_signal(L, t, s);
      bool same = lua_rawequal(L, index, -1);
      lua_pop(L, 1);
      if (same)
        return s;
    }
  return NULL;
}

void rille_task_raised_again(lua_State *L, struct rille_task *t, int index) {
  struct rille_scope *s = scope_of_signal(L, t, index);
  if (s == NULL || s->state != RILLE_SWALLOWED)
    return;
  s->state = RILLE_UNWINDING;
  s->raised = ++t->fiber.rt->raises;
}

bool rille_task_is_signal(lua_State *L, struct rille_task *t, int index) {
  return scope_of_signal(L, t, index) != NULL;
}
