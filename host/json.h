/* json.h -- the value at a JSON pointer as a Lua value; the binding rille.host.json.
 * Model:  a parser (json_pointer.h) in a userdata. The last one that was used is kept for the next look-up.
 *         It is out of its place while in use, so that a finaliser may look something up meanwhile.
 * Owner:  the registry, or the stack of a look-up under way: an error leaves the parser to the collector.
 * Errors: told below; "not enough memory" is raised. */
#ifndef RILLE_JSON_H
#define RILLE_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>

#include "json_pointer.h"

/* The value at the pointer, the string at index `pointer`, in a text. Returns what it pushes:
 *   value                 nil if the pointer leads to nothing
 *   nil, "pointer"        it is not a JSON pointer
 *   nil, "text", reason   simdjson refuses the text
 *   nil, "beyond"         the text is beyond what simdjson holds, and may be JSON */
int rille_json_at(lua_State *L, const char *text, size_t length, bool padded, int pointer);

int luaopen_rille_json(lua_State *L);

#endif
