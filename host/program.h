/* program.h -- rille.host.program: what the program that runs has in it; see program.c. */
#ifndef RILLE_PROGRAM_H
#define RILLE_PROGRAM_H

#include <lua.h>

#include "archive.h"

/* Tells the state of the archive, before rille.host.program is required. It must stay open. */
void rille_program_set(lua_State *L, const struct rille_archive *a);

int luaopen_rille_program(lua_State *L);

#endif
