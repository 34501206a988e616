/* box.h -- class tables and argument readers that every binding shares.
 * Model:  a class is a metatable in the registry, found by name; its methods are in a table apart, so
 *         that a script cannot reach __gc. Options are fields of a table argument.
 * Owner:  the registry owns classes. Nothing else is kept.
 * Errors: readers raise a string in the form of Lua's own library, and blame the caller. */
#ifndef RILLE_BOX_H
#define RILLE_BOX_H

#include <stdbool.h>

#include <lauxlib.h>
#include <lua.h>

/* Registers class `name`: metamethods (with __name, and no __metatable), methods as __index. */
void rille_class(lua_State *L, const char *name, const luaL_Reg *meta, const luaL_Reg *methods);

/* Pushes a table with weak keys ("k") or values ("v"). */
void rille_push_weak(lua_State *L, const char *mode);

/* Pushes what a module of lualib gives; for what is seldom done: it is loaded anew. */
void rille_push_embedded(lua_State *L, const char *name);

/* A number of seconds at `arg`: finite, 0 <= s < 1e9. */
double rille_check_seconds(lua_State *L, int arg);

/* The function at `arg`. `usage` is how one is given: who writes f() gives what a call of it returns. */
void rille_check_function(lua_State *L, int arg, const char *usage);

/* The userdata of a class at 1, on which a method is called. */
void *rille_check_self(lua_State *L, const char *class);

/* Raises that what is at 1 is not of the class. */
int rille_bad_self(lua_State *L, const char *class);

/* Fields of the options table at index `t`; `def` when the field is nil. They raise
 * "bad option 'timeout' (number expected, got string)". */
double rille_field_number(lua_State *L, int t, const char *name, double def, double min, double max);
lua_Integer rille_field_integer(lua_State *L, int t, const char *name, lua_Integer def, lua_Integer min,
                                lua_Integer max);
bool rille_field_boolean(lua_State *L, int t, const char *name, bool def);
/* Pushes the string (or nil) so that it stays alive, and returns it (NULL for nil). */
const char *rille_field_string(lua_State *L, int t, const char *name, size_t *length);

#endif
