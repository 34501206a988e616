/* strict.h -- RILLE_DEBUG: 1 asks for more to be told of (slow.h, leak.h); strict asks for that too, and a
 * warning is an error of the program (R115).
 * Model:  what nobody else would say goes through Lua's own warn: warn in Lua, lua_warning in C. Usually
 *         Lua prints it, and warn "@off" silences it. When the environment says RILLE_DEBUG=strict, a
 *         warning, the script's own included, is printed as "rille: error: ..." and stops the program with
 *         status 1; nothing silences it.
 * Owner:  nothing is kept.
 * Errors: none is raised. */
#ifndef RILLE_STRICT_H
#define RILLE_STRICT_H

#include "runtime.h"

/* Reads the environment. Called once, before there is a script. */
void rille_strict_open(struct rille *rt);

/* Something was reported that does not stop a program which is not strict. C only. */
void rille_strict_fail(struct rille *rt);

#endif
