/* report.c -- what is told of tasks; the binding rille.host.report. The model is told in report.h.
 * Owner:  nothing is kept.
 * Errors: those of whatever pushes; the reports are protected. */
#include "report.h"

#include <stdio.h>

#include "box.h"
#include "describe.h"
#include "fault.h"

enum { CHAIN_LIMIT = 16 }; /* coroutines of a chain that are named */

/* --- errors --- */

/* hint(message) -> what else is said of it, by rille.call_hint */
static int hint(lua_State *L) {
  rille_push_embedded(L, "rille.call_hint");
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

/* Pushes the hint for the message at `index`. Without memory there is none. */
static void push_hint(lua_State *L, int index) {
  lua_pushcfunction(L, hint);
  lua_pushvalue(L, index);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK)
    return;
  lua_pop(L, 1);
  lua_pushliteral(L, "");
}

static int print_error(lua_State *L) {
  rille_fault_push_message(L, 1);
  rille_fault_push_story(L, 1);
  push_hint(L, 2);
  rille_flush(rille_of(L));
  lua_pushfstring(L, "rille: %s%s%s%s\n", lua_tostring(L, 2), lua_tostring(L, 4),
                  lua_rawlen(L, 3) > 0 ? "\n" : "", lua_tostring(L, 3));
  (void)fputs(lua_tostring(L, -1), stderr);
  return 0;
}

/* Calls the function with the value on top. Pops both. */
static void protected(lua_State *L, lua_CFunction f) {
  lua_pushcfunction(L, f);
  lua_insert(L, -2);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    (void)fputs("rille: error while reporting\n", stderr);
    lua_pop(L, 1);
  }
}

void rille_report_error(lua_State *L) { protected(L, print_error); }

/* --- stacks --- */

/* Adds to the text on top where task t was spawned, if no line of the script is on its stack: a task of a
 * stream. */
static void push_owner(lua_State *L, struct rille_task *t, const struct rille_fiber *leaf) {
  if (leaf->L == NULL)
    return;
  rille_push_line(L, leaf->L);
  bool told = lua_tostring(L, -1)[0] != '?';
  lua_pop(L, 1);
  if (told)
    return;
  lua_pushliteral(L, "\n");
  rille_task_push_origin(L, t);
  if (lua_isnil(L, -1))
    lua_pop(L, 2);
  else
    lua_concat(L, 3);
}

/* Pushes the text with what task t waits for and its stack. */
static void push_stack(lua_State *L, struct rille_task *t, const char *between) {
  rille_task_push_name(L, t);
  rille_push_wait(L, t);
  struct rille_fiber *f = t->leaf != NULL ? t->leaf : &t->fiber;
  lua_pushfstring(L, "%s%s waits for %s", lua_tostring(L, -2), between, lua_tostring(L, -1));
  if (f->L != NULL)
    luaL_traceback(L, f->L, lua_tostring(L, -1), 0);
  push_owner(L, t, f);
}

static int print_stack(lua_State *L) {
  push_stack(L, lua_touserdata(L, 1), "");
  (void)fprintf(stderr, "%s\n", lua_tostring(L, -1));
  return 0;
}

void rille_report_tasks(struct rille *rt, const char *title) {
  rille_flush(rt);
  (void)fprintf(stderr, "rille: %s\n", title);
  for (struct list *l = rt->tasks.next; l != &rt->tasks; l = l->next) {
    lua_pushlightuserdata(rt->L, LIST_ENTRY(l, struct rille_task, link));
    protected(rt->L, print_stack);
  }
}

struct killed {
  struct rille_task *task;
  const char *why;
};

static int warn_killed(lua_State *L) {
  const struct killed *k = lua_touserdata(L, 1);
  push_stack(L, k->task, lua_pushfstring(L, " %s; it", k->why));
  lua_warning(L, "rille: ", 1);
  lua_warning(L, lua_tostring(L, -1), 0);
  return 0;
}

void rille_report_killed(struct rille_task *t, const char *why) {
  struct killed k = {t, why};
  lua_pushlightuserdata(t->fiber.rt->L, &k);
  protected(t->fiber.rt->L, warn_killed);
}

/* --- the list --- */

/* Pushes the list of the coroutines that the task is in, the innermost first, but for its root. */
static void push_chain(lua_State *L, struct rille_task *t, struct rille_fiber *f) {
  lua_Integer n = 0;
  lua_newtable(L);
  for (; f != NULL && f != &t->fiber && n < CHAIN_LIMIT; f = f->consumer) {
    rille_push_fiber(L, f);
    lua_rawseti(L, -2, ++n);
  }
  if (f == NULL || f == &t->fiber)
    return;
  lua_pushfstring(L, "%d more", (int)f->depth - (int)t->fiber.depth);
  lua_rawseti(L, -2, ++n);
}

/* Sets what the task waits for in the entry on top. */
static void set_wait(lua_State *L, const struct rille_fiber *leaf) {
  rille_push_op(L, leaf->op);
  lua_setfield(L, -2, "waits_for");
  rille_push_line(L, leaf->L);
  if (lua_tostring(L, -1)[0] == '?') { /* no line of the script is on its stack */
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  lua_setfield(L, -2, "where");
  uint32_t now = (uint32_t)(uv_hrtime() / 1000000);
  lua_pushnumber(L, (lua_Number)(now - leaf->op->since) / 1000);
  lua_setfield(L, -2, "since");
}

/* Pushes the entry of a task. */
static void push_entry(lua_State *L, struct rille_task *t) {
  lua_createtable(L, 0, 9);
  rille_task_push(L, t);
  lua_getfield(L, -1, "name");
  lua_setfield(L, -3, "name");
  lua_setfield(L, -2, "task");
  const char *state = rille_task_status(t);
  lua_pushstring(L, state);
  lua_setfield(L, -2, "state");
  rille_task_push_birthplace(L, t);
  lua_setfield(L, -2, "spawned");
  struct rille_task *parent = rille_task_parent(L, t);
  if (parent != NULL) {
    rille_task_push(L, parent);
    lua_setfield(L, -2, "parent");
  }
  if (state[0] == 'w')
    set_wait(L, t->leaf);
  struct rille_fiber *me = rille_fiber_of(L);
  push_chain(L, t, t->leaf == NULL && me->task == t ? me : t->leaf);
  lua_setfield(L, -2, "within");
}

/* tasks() -> list of the live tasks, the oldest first */
static int l_tasks(lua_State *L) {
  struct rille *rt = rille_of(L);
  lua_Integer n = 0;
  lua_createtable(L, (int)rt->task_count, 0);
  for (struct list *l = rt->tasks.next; l != &rt->tasks; l = l->next) {
    push_entry(L, LIST_ENTRY(l, struct rille_task, link));
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* --- the tree --- */

/* The words are Lua's: rille.task_tree makes them of the list. */
static int print_tree(lua_State *L) {
  rille_push_embedded(L, "rille.task_tree");
  (void)l_tasks(L);
  lua_call(L, 1, 1);
  rille_flush(rille_of(L));
  (void)fprintf(stderr, "%s\n", lua_tostring(L, -1));
  return 0;
}

void rille_report_tree(struct rille *rt) {
  rt->inquired = false;
  lua_pushnil(rt->L);
  protected(rt->L, print_tree);
}

static const luaL_Reg lib[] = {{"tasks", l_tasks}, {NULL, NULL}};

int luaopen_rille_report(lua_State *L) {
  luaL_newlib(L, lib);
  return 1;
}
