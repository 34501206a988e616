/* describe.c -- puts fibers, waits and boundaries into words, for messages and reports.
 * Model:  what a coroutine is and waits for is read off its stack when somebody asks, so that nothing
 *         has to be noted while it runs.
 *         A boundary is what keeps a coroutine from waiting (R104, R105). A wait needs every coroutine
 *         from the caller down to the task's root to be able to yield. The first that is not has a C
 *         function on its stack that calls Lua and cannot be suspended: table.sort, string.gsub, a
 *         finaliser. It is searched by value in the loaded modules, as Lua's own messages do.
 * Owner:  nothing is kept.
 * Errors: as everything that pushes. */
#include "describe.h"

#include <stdarg.h>
#include <string.h>

#include <lualib.h>

#include "task.h"

/* --- fibers and waits --- */

/* The outermost level of a stack. lua_getstack walks from the top, so on a stack that has overflowed a
 * linear search would be quadratic: double, then halve. */
static int last_level(lua_State *L) {
  lua_Debug ar;
  int low = 0, high = 1;
  while (lua_getstack(L, high, &ar) != 0) {
    low = high;
    high *= 2;
  }
  while (high - low > 1) {
    int middle = low + (high - low) / 2;
    if (lua_getstack(L, middle, &ar) != 0)
      low = middle;
    else
      high = middle;
  }
  return low;
}

void rille_push_fiber(lua_State *L, struct rille_fiber *f) {
  if (f->kind == RILLE_TASK) {
    rille_task_push_name(L, (struct rille_task *)f);
    return;
  }
  const char *kind = f->kind == RILLE_GENERATOR ? "generator" : "coroutine";
  lua_Debug ar;
  /* the body is the outermost function but for the host's base call, until an error has unwound it */
  int last = f->L != NULL ? last_level(f->L) : 0;
  if (last > 0 && lua_getstack(f->L, last - 1, &ar) != 0 && lua_getinfo(f->L, "S", &ar) != 0 &&
      ar.linedefined >= 0)
    lua_pushfstring(L, "%s (%s:%d)", kind, ar.short_src, ar.linedefined);
  else
    lua_pushstring(L, kind);
}

/* The host's own Lua: the embedded modules. A file's source begins with '@'. */
static bool is_embedded(const char *source) {
  return strncmp(source, "=rille/", 7) == 0 || strcmp(source, "=rille.lua") == 0;
}

/* The level of the innermost function, from `level` on, that is the script's; -1 if there is none. */
static int script_level(lua_State *co, int level, lua_Debug *ar) {
  for (; lua_getstack(co, level, ar) != 0; level++)
    if (lua_getinfo(co, "Sl", ar) != 0 && ar->currentline > 0 && !is_embedded(ar->source))
      return level;
  return -1;
}

void rille_push_line(lua_State *L, lua_State *co) {
  lua_Debug ar;
  if (script_level(co, 0, &ar) >= 0)
    lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
  else
    lua_pushliteral(L, "?");
}

int rille_push_script(lua_State *L) {
  lua_Debug ar;
  if (script_level(L, 1, &ar) < 0)
    return 0;
  (void)lua_getinfo(L, "f", &ar);
  return ar.currentline;
}

int rille_push_caller(lua_State *L) {
  lua_Debug ar;
  if (script_level(L, 1, &ar) < 0 && (lua_getstack(L, 1, &ar) == 0 || lua_getinfo(L, "l", &ar) == 0)) {
    lua_pushnil(L);
    return 0;
  }
  (void)lua_getinfo(L, "f", &ar);
  return ar.currentline;
}

int rille_error(lua_State *L, const char *format, ...) {
  va_list args;
  rille_push_line(L, L);
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  if (strcmp(lua_tostring(L, -2), "?") != 0)
    lua_pushfstring(L, "%s: %s", lua_tostring(L, -2), lua_tostring(L, -1));
  return lua_error(L);
}

/* misuse(format, ...): as rille_error, for embedded modules. Upvalue: string.format. */
static int l_misuse(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return rille_error(L, "%s", lua_tostring(L, -1));
}

int luaopen_rille_misuse(lua_State *L) {
  lua_getglobal(L, LUA_STRLIBNAME);
  lua_getfield(L, -1, "format");
  lua_pushcclosure(L, l_misuse, 1);
  return 1;
}

void rille_push_op(lua_State *L, const struct rille_op *op) {
  struct rille_task *awaited = rille_task_awaited(op);
  if (awaited != NULL)
    rille_task_push_name(L, awaited);
  else
    lua_pushstring(L, op->name);
}

void rille_push_wait(lua_State *L, struct rille_task *t) {
  struct rille_fiber *leaf = t->leaf;
  if (leaf == NULL || leaf->op == NULL || leaf->L == NULL) {
    lua_pushliteral(L, "its turn");
    return;
  }
  rille_push_op(L, leaf->op);
  rille_push_line(L, leaf->L);
  if (strcmp(lua_tostring(L, -1), "?") != 0) {
    lua_pushfstring(L, "%s (%s)", lua_tostring(L, -2), lua_tostring(L, -1));
    lua_replace(L, -3);
  }
  lua_pop(L, 1);
}

/* --- boundaries --- */

/* C functions that let a yield pass: never the boundary. */
static bool passes(const char *name) {
  static const char *const names[] = {"pcall", "xpcall", "dofile", "coroutine.resume", "require"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0)
      return true;
  return strncmp(name, "rille.", 6) == 0;
}

/* Looks in the table on top for the function at `function`. Pushes its key and returns true if found. */
static bool find(lua_State *L, int function) {
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    bool same = lua_type(L, -2) == LUA_TSTRING && lua_rawequal(L, -1, function);
    lua_pop(L, 1);
    if (same)
      return true;
  }
  return false;
}

/* Replaces the function on top by its global name: "table.sort". False (and popped) if it has none. */
static bool push_global_name(lua_State *L) {
  int function = lua_gettop(L);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  int loaded = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, loaded) != 0) {
    if (lua_type(L, -2) == LUA_TSTRING && lua_istable(L, -1) && find(L, function)) {
      const char *module = lua_tostring(L, loaded + 1);
      if (strcmp(module, LUA_GNAME) == 0)
        lua_pushvalue(L, -1);
      else
        lua_pushfstring(L, "%s.%s", module, lua_tostring(L, -1));
      lua_replace(L, function);
      lua_settop(L, function);
      return true;
    }
    lua_settop(L, loaded + 1);
  }
  lua_settop(L, function - 1);
  return false;
}

/* Pushes the name of the frame if it can be the boundary. */
static bool push_frame(lua_State *L, lua_State *co, lua_Debug *ar) {
  if (lua_getinfo(co, "Snf", ar) == 0)
    return false;
  if (co != L) {
    if (!lua_checkstack(L, 1))
      return false;
    lua_xmove(co, L, 1);
  }
  if (ar->name != NULL && strcmp(ar->namewhat, "metamethod") == 0 && strcmp(ar->name, "__gc") == 0) {
    lua_pop(L, 1);
    lua_pushliteral(L, "a __gc metamethod");
    return true;
  }
  if (strcmp(ar->namewhat, "hook") == 0) {
    lua_pop(L, 1);
    lua_pushliteral(L, "a debug hook");
    return true;
  }
  if (ar->what[0] != 'C') {
    lua_pop(L, 1);
    return false;
  }
  if (push_global_name(L)) {
    if (!passes(lua_tostring(L, -1)))
      return true;
    lua_pop(L, 1);
    return false;
  }
  if (ar->name != NULL && strcmp(ar->name, "run") == 0) /* a scope's */
    return false;
  lua_pushfstring(L, "C function '%s'", ar->name != NULL ? ar->name : "?");
  return true;
}

const char *rille_boundary_way_out(const char *boundary) {
  static const char *const ways[][2] = {
      {"table.sort", ": get what it compares before it sorts"},
      {"string.gsub", ": loop over string.gmatch, which may wait, or get the replacements before"},
      {"load", ": read all of the chunk before"},
      {"a __gc metamethod", ": have it spawn a task that waits"},
      {"a debug hook", ": have it spawn a task that waits"},
      {"a coroutine that is being closed", ""},
      {"a coroutine that the host did not make (make it with coroutine.create)", ""},
  };
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
    if (strcmp(boundary, ways[i][0]) == 0)
      return ways[i][1];
  return ": get what it needs before that is called";
}

/* The coroutine, from L down to the root, that cannot yield; NULL if one on the way is being reset. */
static lua_State *culprit(lua_State *L) {
  for (struct rille_fiber *f = rille_fiber_of(L); f != NULL; f = f->consumer) {
    /* of a foreign consumer only the main thread is known */
    lua_State *co = f == rille_fiber_of(L) ? L : f->L;
    if (!f->can_wait && f->consumer == NULL && f->kind != RILLE_OUTSIDE)
      return NULL; /* its <close> variables run after its end */
    if (f->kind == RILLE_OUTSIDE || co == NULL || !lua_isyieldable(co))
      return co;
  }
  return NULL;
}

void rille_push_boundary(lua_State *L) {
  lua_State *co = culprit(L);
  lua_Debug ar;
  if (co == NULL) {
    lua_pushliteral(L, "a coroutine that is being closed");
    return;
  }
  if (lua_checkstack(co, 1) && !lua_isyieldable(co))
    for (int level = 1; lua_getstack(co, level, &ar) != 0; level++)
      if (push_frame(L, co, &ar))
        return;
  if (!rille_fiber_owns(co))
    lua_pushliteral(L, "a coroutine that the host did not make (make it with coroutine.create)");
  else
    lua_pushliteral(L, "a C call that cannot yield");
}
