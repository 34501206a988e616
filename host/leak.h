/* leak.h -- what was opened and is to be closed: noted while specs run, and with RILLE_DEBUG.
 * Model:  a binding notes an object when there is something to close in it. The metamethod __leak of its
 *         class tells, in words, what is still open; nothing once it is closed. An object that is
 *         dropped open is told of by its finaliser. Nothing is noted unless rille.host.leak was told to
 *         watch, or the environment asks for it: a program pays one test. With RILLE_DEBUG what is open
 *         when the last task has ended is a warning each; the words around it are Lua's:
 *         rille.leak_report. Modules in Lua note objects too, with the place where that is done, which their
 *         __leak gets as its second argument.
 * Owner:  a weak table in the registry: to be noted keeps nothing alive.
 * Errors: those of whatever pushes. */
#ifndef RILLE_LEAK_H
#define RILLE_LEAK_H

#include <lua.h>

#include "runtime.h"

/* Notes the object at `index`, if leaks are watched. May raise. */
void rille_leak_note(lua_State *L, int index);

/* The object at `index` is being collected. Called by its finaliser before it closes what is open. Raises
 * nothing. */
void rille_leak_collected(lua_State *L, int index);

/* Has objects noted from here on. May raise. */
void rille_leak_watch(lua_State *L);

/* Warns of what is open, when the program has come to its end by itself. */
void rille_leak_report(struct rille *rt);

int luaopen_rille_leak(lua_State *L);

#endif
