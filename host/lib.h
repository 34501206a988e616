/* lib.h -- the roll of the host's modules: "rille.host.<x>" is host/<x>.c. */
#ifndef RILLE_LIB_H
#define RILLE_LIB_H

#include <stddef.h>

#include <lua.h>

/* A module of lualib/, embedded at build time; the table ends with a NULL name. */
struct rille_embedded {
  const char *name;  /* "rille.stream" */
  const char *chunk; /* "=rille/stream.lua" */
  const char *source;
  size_t size;
};

extern const struct rille_embedded rille_lualib[];

/* Opens Lua's standard libraries and the host's versions of some of their functions, and makes the
 * host's modules and the embedded Lua ones known to require. */
void rille_lib_open(lua_State *L);

int luaopen_rille_base(lua_State *L);
int luaopen_rille_coroutine(lua_State *L);
int luaopen_rille_generator(lua_State *L);
int luaopen_rille_timer(lua_State *L);
int luaopen_rille_cancel_scope(lua_State *L);
int luaopen_rille_waitlist(lua_State *L);
int luaopen_rille_clock(lua_State *L);
int luaopen_rille_tty(lua_State *L);
int luaopen_rille_charset(lua_State *L);
int luaopen_rille_file(lua_State *L);
int luaopen_rille_repl(lua_State *L);
int luaopen_rille_http(lua_State *L);
int luaopen_rille_server(lua_State *L);
int luaopen_rille_build(lua_State *L);

#endif
