/* json_value.h -- the Lua value of a place on the tape of a JSON text (json_tape.h).
 * Model:  one walk over the tape, without recursion. Tables have their size from the start. A short string
 *         that is made a second time is known by its bytes from then on, in this text and in the next, until
 *         another one takes its place: most strings of a document are in it more than once, and to find one
 *         here costs less than in Lua's own table of them.
 * Owner:  who has the struct, and on the stack the table that keeps its strings alive.
 * Errors: "not enough memory", and a stack that cannot hold the levels, are raised. Nothing is held then. */
#ifndef RILLE_JSON_VALUE_H
#define RILLE_JSON_VALUE_H

#include <lua.h>

#include "json_tape.h"

enum { RILLE_JSON_STRINGS_BITS = 9, RILLE_JSON_STRINGS = 1 << RILLE_JSON_STRINGS_BITS };

struct rille_json_string {
  const char *text; /* its bytes in the string that the keeper has at the index behind this place; or NULL */
  uint32_t length;
  uint32_t missed; /* a mark of the last string that was looked for here and made */
};

struct rille_json_strings {
  struct rille_json_string known[RILLE_JSON_STRINGS];
};

/* Pushes a keeper for strings of which none is known. */
void rille_json_push_keeper(lua_State *L);

/* Pushes the value at a place of the text that was read last. `keeper`: where the keeper is. */
void rille_json_push(lua_State *L, struct rille_json *json, size_t at, struct rille_json_strings *strings,
                     int keeper);

#endif
