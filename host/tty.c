/* tty.c -- whether a standard stream is a terminal, and how wide; the binding rille.host.tty.
 * Owner:  nothing is kept.
 * Errors: a bad argument raises. */
#include <sys/ioctl.h>
#include <unistd.h>

#include <lauxlib.h>

#include "lib.h"

static int check_fd(lua_State *L) {
  lua_Integer fd = luaL_checkinteger(L, 1);
  luaL_argcheck(L, fd >= 0 && fd <= 2, 1, "0, 1 or 2 expected");
  return (int)fd;
}

/* isatty(fd) -> boolean; fd: 0, 1 or 2 */
static int l_isatty(lua_State *L) {
  lua_pushboolean(L, isatty(check_fd(L)));
  return 1;
}

/* columns(fd) -> how many the terminal has; nil if it does not say */
static int l_columns(lua_State *L) {
  struct winsize size = {0};
  if (ioctl(check_fd(L), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    lua_pushinteger(L, size.ws_col);
  else
    lua_pushnil(L);
  return 1;
}

static const luaL_Reg lib[] = {{"isatty", l_isatty}, {"columns", l_columns}, {NULL, NULL}};

int luaopen_rille_tty(lua_State *L) {
  luaL_newlib(L, lib);
  return 1;
}
