/* describe.h -- puts fibers, waits and boundaries into words, for messages and reports. */
#ifndef RILLE_DESCRIBE_H
#define RILLE_DESCRIBE_H

#include "fiber.h"

/* Pushes "task 'main'", "generator (file:line)" or "coroutine (file:line)". */
void rille_push_fiber(lua_State *L, struct rille_fiber *f);

/* Pushes "file:line", the innermost line of coroutine co that is the script's; or "?". */
void rille_push_line(lua_State *L, lua_State *co);

/* Pushes the innermost function of the script that is on L's stack, below the running one, and returns the
 * line that it is at. If the host's own functions alone are there, the one that called; nil and 0: none. */
int rille_push_caller(lua_State *L);

/* The same of the script only: pushes nothing and returns 0 if no function of it is on the stack. */
int rille_push_script(lua_State *L);

/* luaL_error, but it blames the script's line, also if an embedded module has called the running function. */
int rille_error(lua_State *L, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "rille.host.misuse": the function misuse(format, ...), which is rille_error for embedded modules. */
int luaopen_rille_misuse(lua_State *L);

/* Pushes what an op waits for: "sleep", "task 'x'". */
void rille_push_op(lua_State *L, const struct rille_op *op);

/* Pushes what task t waits for, and where in the script, if it is there: "http.get (file:line)". */
void rille_push_wait(lua_State *L, struct rille_task *t);

/* Pushes what keeps L from waiting: "table.sort", "a coroutine that the host did not make". */
void rille_push_boundary(lua_State *L);

/* What to do instead of waiting in it, after the message; "" if the boundary says that itself. */
const char *rille_boundary_way_out(const char *boundary);

#endif
