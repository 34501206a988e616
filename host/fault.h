/* fault.h -- error objects for what the world does, and the story of an error.
 * Model:  an error object is a table with `code`, `message` and what it concerns, of class
 *         "rille.error"; tostring gives the message. The story of an error (the frames of each
 *         coroutine that it passed through) is kept beside the error, never in it: by identity for
 *         objects, for a string until two others were raised.
 * Owner:  the registry, weakly.
 * Errors: the push functions may raise "not enough memory", as everything that pushes may. */
#ifndef RILLE_FAULT_H
#define RILLE_FAULT_H

#include <stdbool.h>

#include <lauxlib.h>
#include <lua.h>

/* Pushes an error object. Add fields with lua_setfield, then lua_error. The message is one line that
 * a person can act on: "GET http://localhost:1/: connection refused". */
void rille_fault_push(lua_State *L, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Pushes the error object of a libuv status: code "ECONNREFUSED", "<what>: connection refused". */
void rille_fault_push_uv(lua_State *L, int status, const char *what);

/* True if the value is an error object, of that code if one is given. */
bool rille_fault_is(lua_State *L, int index, const char *code);

/* Appends the frames of coroutine L, which `who` names, to the story of the error at `index`. `how` it
 * came there from another coroutine: "advanced by"; NULL where it was raised: its story begins. */
void rille_fault_tell(lua_State *L, int index, int level, const char *how, const char *who);

/* Adds a line, the string on top (nil or "": nothing), to the story of the error at `index`. Pops it. */
void rille_fault_add(lua_State *L, int index);

/* True if the error at `index` has a story. */
bool rille_fault_has_story(lua_State *L, int index);

/* Attaches to the error at `index` one that must not replace it (R37, R40): in its field `suppressed`,
 * if it is an error object, and in its story. A story that has grown long only counts further ones. */
void rille_fault_suppress(lua_State *L, int index, int suppressed);

/* The error at `index` is raised under a base call and unwinds it. What unwound it before, if it was another
 * error, has met a <close> handler that failed with this one, and is attached to it (R40). Called by the
 * message handler: an upvalue of it keeps the record of its call, or else the registry does, weakly. */
void rille_fault_unwind(lua_State *L, int index);

/* Pushes the text of the story of the error at `index` ("" when there is none). */
void rille_fault_push_story(lua_State *L, int index);

/* Pushes tostring(error) as a report shows it, for any value: "(error object is a nil value)". */
void rille_fault_push_message(lua_State *L, int index);

int luaopen_rille_fault(lua_State *L);

#endif
