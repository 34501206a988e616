/* report.h -- what is told of tasks: on stderr, and by rille.tasks().
 * Model:  everything is read off the live tasks when somebody asks (describe.h); nothing is noted for it
 *         but when a wait began. The reports run on the main thread, between two turns of the loop.
 * Owner:  nothing is kept.
 * Errors: a report that fails, for want of memory, says so and leaves the program as it was. */
#ifndef RILLE_REPORT_H
#define RILLE_REPORT_H

#include "runtime.h"
#include "task.h"

/* Prints "rille: <message>" and the story of the error on top of L, and pops it. */
void rille_report_error(lua_State *L);

/* Prints the title and, for every live task, what it waits for and its stack. */
void rille_report_tasks(struct rille *rt, const char *title);

/* Warns that the task is about to be killed: "task 'x' <why>; it waits for ...", and its stack. */
void rille_report_killed(struct rille_task *t, const char *why);

/* Prints the tree of the live tasks, which somebody has inquired for. */
void rille_report_tree(struct rille *rt);

int luaopen_rille_report(lua_State *L);

#endif
