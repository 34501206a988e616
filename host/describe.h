/* describe.h -- puts fibers, waits and boundaries into words, for messages and reports. */
#ifndef RILLE_DESCRIBE_H
#define RILLE_DESCRIBE_H

#include "fiber.h"

/* Pushes "task 'main'", "generator (file:line)" or "coroutine (file:line)". */
void rille_push_fiber(lua_State *L, struct rille_fiber *f);

/* Pushes "file:line", the innermost line of coroutine co that is the script's; or "?". */
void rille_push_line(lua_State *L, lua_State *co);

/* Pushes what task t waits for, and where: "http.get (file:line)". */
void rille_push_wait(lua_State *L, struct rille_task *t);

/* Pushes what keeps L from waiting: "table.sort", "a coroutine that the host did not make". */
void rille_push_boundary(lua_State *L);

#endif
