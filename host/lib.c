/* lib.c -- the roll of modules.
 * Model:  a C module is opened when it is first required; an embedded Lua module is compiled then. The
 *         functions that the host replaces (base, coroutine) are in place from the start.
 * Owner:  the registry and package.preload.
 * Errors: as luaL_openlibs; called before any script runs. */
#include "lib.h"

#include <stdint.h>

#include <lauxlib.h>
#include <lua-cjson.h>
#include <lualib.h>

#include "describe.h"
#include "fault.h"
#include "json.h"
#include "leak.h"
#include "program.h"
#include "report.h"
#include "task.h"

static const luaL_Reg modules[] = {{"rille.host.fault", luaopen_rille_fault},
                                   {"rille.host.json", luaopen_rille_json},
                                   {"rille.host.task", luaopen_rille_task},
                                   {"rille.host.misuse", luaopen_rille_misuse},
                                   {"rille.host.report", luaopen_rille_report},
                                   {"rille.host.leak", luaopen_rille_leak},
                                   {"rille.host.generator", luaopen_rille_generator},
                                   {"rille.host.timer", luaopen_rille_timer},
                                   {"rille.host.cancel_scope", luaopen_rille_cancel_scope},
                                   {"rille.host.waitlist", luaopen_rille_waitlist},
                                   {"rille.host.clock", luaopen_rille_clock},
                                   {"rille.host.tty", luaopen_rille_tty},
                                   {"rille.host.charset", luaopen_rille_charset},
                                   {"rille.host.file", luaopen_rille_file},
                                   {"rille.host.repl", luaopen_rille_repl},
                                   {"rille.host.http", luaopen_rille_http},
                                   {"rille.host.server", luaopen_rille_server},
                                   {"rille.host.program", luaopen_rille_program},
                                   {"rille.host.build", luaopen_rille_build},
                                   {"cjson", luaopen_cjson},
                                   {NULL, NULL}};

/* The loader of an embedded module: the upvalue is its entry. */
static int l_load(lua_State *L) {
  const struct rille_embedded *e = lua_touserdata(L, lua_upvalueindex(1));
  if (luaL_loadbufferx(L, e->source, e->size, e->chunk, "t") != LUA_OK)
    return lua_error(L);
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

void rille_lib_open(lua_State *L) {
  int top = lua_gettop(L);
  luaL_openlibs(L);
  luaL_requiref(L, "rille.host.fault", luaopen_rille_fault, 0);
  luaL_requiref(L, "rille.host.task", luaopen_rille_task, 0);
  lua_settop(L, top);
  if (rille_of(L)->debugging)
    rille_leak_watch(L);
  (void)luaopen_rille_base(L);
  (void)luaopen_rille_coroutine(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  luaL_setfuncs(L, modules, 0);
  for (const struct rille_embedded *e = rille_lualib; e->name != NULL; e++) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)e);
    lua_pushcclosure(L, l_load, 1);
    lua_setfield(L, -2, e->name);
  }
  lua_settop(L, top);
}
