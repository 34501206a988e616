/* leak.c -- what was opened and is to be closed; the binding rille.host.leak. The model is told in leak.h.
 * Owner:  the registry has the table of the noted objects, with weak keys, and while specs run the list of
 *         what was told of those that were collected open.
 * Errors: none of its own. */
#include "leak.h"

#include <stdlib.h>

#include "box.h"
#include "describe.h"
#include "lib.h"

static const char NOTED = 0; /* their addresses are the keys in the registry */
static const char TOLD = 0;

void rille_leak_note(lua_State *L, int index) {
  if (!rille_of(L)->watching)
    return;
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &NOTED);
  lua_pushvalue(L, index);
  lua_pushboolean(L, true);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* Pushes what is open in the object at `index`, which was noted with the value on top: a string, or nil.
 * Pops that. */
static bool push_leak(lua_State *L, int index) {
  index = lua_absindex(L, index);
  int place = lua_gettop(L);
  if (luaL_getmetafield(L, index, "__leak") == LUA_TNIL) {
    lua_pushnil(L);
    lua_replace(L, place);
    return false;
  }
  lua_pushvalue(L, index);
  lua_pushvalue(L, place);
  lua_call(L, 2, 1);
  lua_replace(L, place);
  return lua_isstring(L, place);
}

/* The object at 1. Its key is in the table until its finaliser was called. */
static int add_told(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &TOLD);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &NOTED);
  lua_pushvalue(L, 1);
  if (lua_rawget(L, 3) != LUA_TNIL && push_leak(L, 1))
    lua_rawseti(L, 2, (lua_Integer)lua_rawlen(L, 2) + 1);
  return 0;
}

/* Its finaliser goes on, also without the memory to tell of it. */
void rille_leak_collected(lua_State *L, int index) {
  struct rille *rt = rille_of(L);
  if (!rt->watching || rt->closing)
    return;
  index = lua_absindex(L, index);
  int top = lua_gettop(L);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &TOLD) != LUA_TNIL) {
    lua_pushcfunction(L, add_told);
    lua_pushvalue(L, index);
    (void)lua_pcall(L, 1, 0, 0);
  }
  lua_settop(L, top);
}

void rille_leak_watch(lua_State *L) {
  rille_push_weak(L, "k");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &NOTED);
  rille_of(L)->watching = true;
}

/* watch(): objects that are opened from here on are noted. */
static int l_watch(lua_State *L) {
  rille_leak_watch(L);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &TOLD);
  return 0;
}

/* note(object): with the script's line */
static int l_note(lua_State *L) {
  lua_settop(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &NOTED);
  lua_insert(L, 1);
  rille_push_line(L, L);
  lua_rawset(L, 1);
  return 0;
}

/* open() -> table of what is open, in words, by object */
static int l_open(lua_State *L) {
  lua_settop(L, 0);
  lua_newtable(L);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &NOTED) == LUA_TNIL)
    lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, 2) != 0; lua_settop(L, 3)) {
    if (!push_leak(L, 3)) /* in the place of the value */
      continue;
    lua_pushvalue(L, 3);
    lua_insert(L, -2);
    lua_rawset(L, 1);
  }
  lua_settop(L, 1);
  return 1;
}

/* collected() -> list of what was open in objects that were collected since it was last called, in words */
static int l_collected(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &TOLD);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &TOLD);
  return 1;
}

/* forget(object): it is told of no more */
static int l_forget(lua_State *L) {
  lua_settop(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &NOTED);
  lua_insert(L, 1);
  lua_pushnil(L);
  lua_rawset(L, 1);
  return 0;
}

static int report(lua_State *L) {
  rille_push_embedded(L, "rille.leak_report");
  lua_call(L, 0, 0);
  return 0;
}

/* A program that was ended, by an error, say, may have left open what it would have closed. */
void rille_leak_report(struct rille *rt) {
  if (!rt->watching || (rt->stopping && rt->status != EXIT_SUCCESS))
    return;
  lua_pushcfunction(rt->L, report);
  if (lua_pcall(rt->L, 0, 0, 0) != LUA_OK)
    lua_pop(rt->L, 1);
}

static const luaL_Reg lib[] = {
    {"watch", l_watch}, {"open", l_open}, {"collected", l_collected}, {"forget", l_forget}, {NULL, NULL}};

int luaopen_rille_leak(lua_State *L) {
  luaL_newlib(L, lib);
  if (rille_of(L)->debugging) { /* who would note asks for it, once */
    lua_pushcfunction(L, l_note);
    lua_setfield(L, -2, "note");
  }
  return 1;
}
