/* generator.h -- what generator.c and its parts share.
 * Model:  a generator is a fiber with a phase. It is LIVE until its body has returned (EXHAUSTED), raised
 *         (FAILED) or was closed (CLOSING, CLOSED). Where it was made, and which loop closed it, are kept as
 *         a function and a line: nothing is formatted until somebody asks.
 * Owner:  the userdata is at index 1 of the stack of every function that takes the generator.
 * Errors: functions that raise say so. */
#ifndef RILLE_GENERATOR_H
#define RILLE_GENERATOR_H

#include "fiber.h"
#include "scope.h"

#define RILLE_GENERATOR_CLASS "rille.generator"

/* User values of a generator. */
enum {
  RILLE_GENERATOR_CO = 1, /* its coroutine */
  RILLE_GENERATOR_CAUSE,  /* the error that it failed with, or that its cleanup did */
  RILLE_GENERATOR_MAKER,  /* the function that made it */
  RILLE_GENERATOR_LOOP,   /* the function with the loop that closed it */
  RILLE_GENERATOR_USER,   /* the function that took its first step */
  RILLE_GENERATOR_STEP,   /* the Task that takes, or took, a step whose outcome nobody has got yet */
  RILLE_GENERATOR_VALUES = RILLE_GENERATOR_STEP
};

enum rille_generator_phase {
  RILLE_GENERATOR_LIVE,
  RILLE_GENERATOR_IN_PLACE, /* its body runs in the coroutine of `place` (generator_delegate.c) */
  RILLE_GENERATOR_CLOSING,
  RILLE_GENERATOR_EXHAUSTED,
  RILLE_GENERATOR_CLOSED,
  RILLE_GENERATOR_FAILED
};

struct rille_generator {
  struct rille_fiber fiber;
  struct rille_scope scope; /* while it is being closed */
  struct list link;         /* in rt->generators from its first step until it ends */
  struct list closers;      /* ops of those who wait for the close under way (R48) */
  const void *mark;         /* that it is a generator (generator.c, check) */
  const struct rille_fiber *place; /* where its body runs, while it is IN_PLACE */
  struct rille_task *step;  /* that Task, which is its user value; or NULL */
  int line;                 /* where it was made, in the function that is its user value */
  int loop_line;            /* where the loop ends that closed it early, likewise; 0: none did */
  int user_line;            /* where its first step was taken, likewise */
  uint8_t phase;
  bool joined;              /* somebody waits for `step`, or was woken and is about to have its outcome */
  bool finalised;           /* the collector has called its finaliser; another one may have kept it */
};

enum { RILLE_HAS_ERROR = 1 }; /* an error is in flight, at index 2, and must not be replaced */

/* The generator at `index`, or NULL. */
struct rille_generator *rille_generator_test(lua_State *L, int index);

/* Notes that the generator's first step is taken by the caller of the running function. May raise. */
void rille_generator_begin(lua_State *L, struct rille_generator *g);

/* __gc: a generator that was dropped while suspended is reported, and closed in a task (R93, R94). */
int rille_generator_gc(lua_State *L);

/* __leak: a generator that has begun and not ended. */
int rille_generator_leak(lua_State *L);

/* Makes what generator_drop.c needs, and has it called at the end of the program. */
void rille_generator_open_drop(lua_State *L);

/* Closes the generator: returns its results, waits, or raises. */
int rille_generator_close(lua_State *L, struct rille_generator *g, lua_KContext flags);

/* One step with the `nargs` values on top, of a generator that can take one. The generator is at index 1. */
int rille_generator_step(lua_State *L, struct rille_generator *g, int nargs);

/* Starts a step in a task of its own, of a generator that can take one (generator_within.c). */
void rille_generator_start_step(lua_State *L, struct rille_generator *g);

/* Waits for that step, at most so many seconds (below 0: no limit): returns its item, raises its error, or
 * pushes nil and "timeout". L's stack is the generator alone. */
int rille_generator_join_step(lua_State *L, struct rille_generator *g, double seconds);

/* True if that step has an outcome that nobody has got. */
bool rille_generator_step_is_over(const struct rille_generator *g);

/* Nobody is to get its outcome. */
void rille_generator_forget_step(lua_State *L, struct rille_generator *g);

/* Pushes the error of that step and returns true, if it has failed and nobody has got or waits for it. */
bool rille_generator_push_unseen(lua_State *L, struct rille_generator *g);

/* Raises that another task has closed the generator (R47). */
int rille_generator_raise_closed(lua_State *L, struct rille_generator *g);

/* Pushes the results of a body that has returned, and returns how many; they stay where they are. */
int rille_generator_push_results(lua_State *L, struct rille_generator *g);

/* Pushes make_yield_from, which uses the methods of generators in the table at `methods`. */
void rille_generator_push_delegate(lua_State *L, int methods);

/* Pushes "file:line", where the generator was made. */
void rille_generator_push_birthplace(lua_State *L, const struct rille_generator *g);

/* True if the running function is called from inside g's body. */
bool rille_generator_is_inside(lua_State *L, const struct rille_generator *g);

/* Raises why the generator cannot be advanced or closed now (R49, R80, R84). */
int rille_generator_raise_busy(lua_State *L, struct rille_generator *g, const char *verb);

/* Raises the error on top, which left the body; its story says whose it was. */
int rille_generator_pass_error(lua_State *L, struct rille_generator *g);

/* True if the value at `index` is the signal that close raises in the body. */
bool rille_generator_is_close_signal(lua_State *L, int index);

/* Makes that signal. */
void rille_generator_open_close(lua_State *L);

#endif
