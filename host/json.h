/* json.h -- a JSON text, or the value at a JSON pointer in it, as a Lua value; the binding rille.host.json.
 * Model:  a parser (json_tape.h) and known strings (json_value.h) in a userdata, the reader. The last one
 *         that was used is kept for the next text, unless it is large. It is out of its place while in use,
 *         so that a finaliser may read something meanwhile.
 * Owner:  the registry, or the stack of a call under way: an error leaves the reader to the collector.
 * Errors: told below; "not enough memory" is raised. */
#ifndef RILLE_JSON_H
#define RILLE_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>

#include "json_tape.h"

/* The value at the pointer in a text; of all of it if the index `pointer` has none. Returns what it pushes:
 *   value                   nil if the pointer leads to nothing
 *   nil, "pointer"          it is not a JSON pointer
 *   nil, "text", reason     simdjson refuses the text
 *   nil, "beyond", reason   the text is beyond what simdjson holds, and may be JSON
 * The text has to stay where it is. */
int rille_json_at(lua_State *L, const char *text, size_t length, bool padded, int pointer);

int luaopen_rille_json(lua_State *L);

#endif
