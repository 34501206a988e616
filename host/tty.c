/* tty.c -- whether a standard stream is a terminal; the binding rille.host.tty.
 * Owner:  nothing is kept.
 * Errors: a bad argument raises. */
#include <unistd.h>

#include <lauxlib.h>

#include "lib.h"

/* isatty(fd) -> boolean; fd: 0, 1 or 2 */
static int l_isatty(lua_State *L) {
  lua_Integer fd = luaL_checkinteger(L, 1);
  luaL_argcheck(L, fd >= 0 && fd <= 2, 1, "0, 1 or 2 expected");
  lua_pushboolean(L, isatty((int)fd));
  return 1;
}

static const luaL_Reg lib[] = {{"isatty", l_isatty}, {NULL, NULL}};

int luaopen_rille_tty(lua_State *L) {
  luaL_newlib(L, lib);
  return 1;
}
