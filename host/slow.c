/* slow.c -- steps of tasks that take long. The model is told in slow.h.
 * Owner:  the registry has what was seen of the step under way, and the places that were told of.
 * Errors: all of Lua is called protected. */
#include "slow.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "describe.h"
#include "task.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid /* as the kernel has it; glibc 2.36 does not name it */
#endif

enum {
  TICK_MS = 100,    /* a step is slow after the first tick */
  LONG_TICKS = 10,  /* and is not waited for after these */
  PLACE_LIMIT = 20, /* that are told of */
  CHAIN_LIMIT = 8   /* coroutines whose frames are told */
};

static const char SEEN = 0; /* their addresses are the keys in the registry: what was seen, and where */
static const char PLACE = 0;
static const char PLACES = 0; /* list of those told of; and from a place to how often it was slow since */

struct rille_slow {
  struct rille *rt;
  timer_t timer;
  uint64_t began;               /* nanoseconds */
  volatile sig_atomic_t active; /* a step is under way */
  volatile sig_atomic_t ticks;  /* of it */
  volatile sig_atomic_t wanted; /* the next hook is to look */
  bool told;                    /* of the step under way */
  /* The hook that another one has set in a coroutine, as long as ours is there. */
  lua_State *kept;              /* only to be compared: it may be gone; NULL: none is kept */
  lua_Hook hook;
  int mask, count;
};

static struct rille_slow *volatile current; /* whose signal is */

/* Calls f with a light userdata and the value on top. Pops that. */
static void protected(lua_State *L, lua_CFunction f, struct rille_slow *s) {
  lua_pushcfunction(L, f);
  lua_insert(L, -2);
  lua_pushlightuserdata(L, s);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK)
    lua_pop(L, 1);
}

/* --- what is told --- */

static double seconds_of(const struct rille_slow *s) { return (double)(uv_hrtime() - s->began) / 1e9; }

static void set(lua_State *L, const char *key) { lua_rawsetp(L, LUA_REGISTRYINDEX, key); }

/* Pushes the table of the places. */
static void push_places(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &PLACES) == LUA_TTABLE)
    return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  set(L, &PLACES);
}

/* Counts a slow step at the place at index 3. True if it is to be told of. */
static bool count_place(lua_State *L) {
  push_places(L);
  if (lua_rawlen(L, -1) == PLACE_LIMIT) {
    lua_pushvalue(L, 3);
    if (lua_rawget(L, -2) == LUA_TNIL) {
      lua_pushliteral(L, "other places");
      lua_replace(L, 3);
    }
    lua_pop(L, 1);
  }
  lua_pushvalue(L, 3);
  bool is_new = lua_rawget(L, -2) == LUA_TNIL && lua_rawlen(L, -2) < PLACE_LIMIT;
  lua_Integer count = is_new ? 0 : lua_tointeger(L, -1) + 1;
  lua_pushvalue(L, 3);
  lua_pushinteger(L, count);
  lua_rawset(L, -4);
  if (is_new) {
    lua_pushvalue(L, 3);
    lua_rawseti(L, -3, (lua_Integer)lua_rawlen(L, -3) + 1);
  }
  lua_settop(L, 3);
  return is_new;
}

/* The Task at 1. Its step is over, or goes on for too long to be waited for. */
static int tell(lua_State *L) {
  struct rille_slow *s = lua_touserdata(L, 2);
  double seconds = seconds_of(s);
  lua_settop(L, 2);
  bool seen = lua_rawgetp(L, LUA_REGISTRYINDEX, &PLACE) == LUA_TSTRING;
  if (!seen) {
    lua_pushliteral(L, "?");
    lua_replace(L, 3);
  }
  if (!count_place(L))
    return 0;
  lua_getfield(L, 1, "name");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &SEEN);
  rille_flush(s->rt);
  (void)fprintf(stderr, "rille: slow step: task '%s' %s for %.2f s without waiting%s", lua_tostring(L, 4),
                s->active ? "has run" : "ran", seconds, s->active ? ", and goes on" : "");
  if (seen)
    (void)fprintf(stderr, "; after %.2f s it was at %s\n%s\n", TICK_MS / 1e3, lua_tostring(L, 3),
                  lua_tostring(L, 5));
  else
    (void)fputs(", in a C function that did not return meanwhile\n", stderr);
  return 0;
}

static int tell_places(lua_State *L) {
  push_places(L);
  lua_pushliteral(L, "other places");
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  for (lua_Integer i = 1; lua_rawgeti(L, 3, i) == LUA_TSTRING; i++) {
    const char *place = lua_tostring(L, 4);
    lua_pushvalue(L, 4);
    lua_rawget(L, 3);
    lua_Integer count = lua_tointeger(L, 5);
    if (count > 0)
      (void)fprintf(stderr, "rille: slow step: %d more at %s\n", (int)count,
                    place[0] == '?' ? "C functions" : place);
    lua_settop(L, 3);
  }
  return 0;
}

void rille_slow_summary(struct rille_slow *s) {
  rille_flush(s->rt);
  lua_pushnil(s->rt->L);
  protected(s->rt->L, tell_places, s);
}

/* --- what is seen --- */

/* Adds the frames of f to the text on top. */
static void add_frames(lua_State *L, struct rille_fiber *f) {
  lua_pushliteral(L, "\nadvanced by ");
  rille_push_fiber(L, f);
  lua_pushliteral(L, ":");
  luaL_traceback(L, f->L, NULL, 0);
  const char *frames = strchr(lua_tostring(L, -1), '\n');
  lua_pushstring(L, frames != NULL ? frames : "");
  lua_remove(L, -2);
  lua_concat(L, 5);
}

/* In the coroutine that runs; the function that the hook has stopped is at level 1. */
static int look(lua_State *L) {
  struct rille_slow *s = lua_touserdata(L, 2);
  struct rille_fiber *f = rille_fiber_of(L);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &PLACE) == LUA_TNIL) {
    luaL_traceback(L, L, NULL, 1);
    int n = 1;
    for (f = f->consumer; f != NULL && f->L != NULL && n < CHAIN_LIMIT; f = f->consumer, n++)
      add_frames(L, f);
    set(L, &SEEN);
    rille_push_line(L, L);
    set(L, &PLACE);
  }
  struct rille_task *t = rille_fiber_of(L)->task;
  if (s->ticks < LONG_TICKS || t == NULL)
    return 0;
  s->told = true;
  lua_settop(L, 0);
  lua_pushcfunction(L, tell);
  rille_task_push(L, t);
  lua_pushlightuserdata(L, s);
  lua_call(L, 2, 0);
  return 0;
}

static void on_hook(lua_State *L, lua_Debug *ar) {
  struct rille_slow *s = current;
  (void)ar;
  if (s != NULL && s->kept == L) {
    s->kept = NULL;
    lua_sethook(L, s->hook, s->mask, s->count);
  } else {
    lua_sethook(L, NULL, 0, 0);
  }
  if (s == NULL || !s->wanted)
    return;
  s->wanted = false;
  lua_pushnil(L);
  protected(L, look, s);
}

/* A hook that somebody else has set in this coroutine is kept. There is place for one: if it is taken, by a
 * coroutine that has not run since, this one is left alone. Ours is not called for lines: after the first
 * instruction Lua would go on to that event, with the hook that was given back, which may not want it. */
static void set_hook(struct rille_slow *s, lua_State *co) {
  lua_Hook hook = lua_gethook(co);
  if (hook == on_hook)
    return;
  if (hook != NULL) {
    if (s->kept != NULL && s->kept != co)
      return;
    s->hook = hook;
    s->mask = lua_gethookmask(co);
    s->count = lua_gethookcount(co);
    s->kept = co;
  } else if (s->kept == co) {
    s->kept = NULL;
  }
  lua_sethook(co, on_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

static void on_tick(int signum) {
  struct rille_slow *s = current;
  (void)signum;
  if (s == NULL || !s->active || s->told)
    return;
  s->ticks++;
  if (s->ticks == 1 || s->ticks == LONG_TICKS)
    s->wanted = true;
  if (s->wanted && s->rt->running != NULL)
    set_hook(s, s->rt->running);
}

/* --- steps --- */

static void set_timer(struct rille_slow *s, long ms) {
  struct timespec tick = {.tv_sec = 0, .tv_nsec = ms * 1000000};
  struct itimerspec times = {.it_interval = tick, .it_value = tick};
  (void)timer_settime(s->timer, 0, &times, NULL);
}

void rille_slow_begin(struct rille_slow *s) {
  s->began = uv_hrtime();
  s->ticks = 0;
  s->told = false;
  s->active = true;
  set_timer(s, TICK_MS);
}

void rille_slow_end(struct rille_slow *s) {
  lua_State *L = s->rt->L;
  set_timer(s, 0);
  s->active = false;
  s->wanted = false;
  if (s->ticks == 0)
    return;
  if (!s->told) {
    lua_pushvalue(L, -1);
    protected(L, tell, s);
  }
  lua_pushnil(L);
  set(L, &SEEN);
  lua_pushnil(L);
  set(L, &PLACE);
}

/* --- open and close --- */

static int start(struct rille_slow *s, int signum) {
  struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = signum;
  event.sigev_notify_thread_id = gettid();
  (void)sigfillset(&action.sa_mask);
  if (sigaction(signum, &action, NULL) != 0)
    return -1;
  return timer_create(CLOCK_MONOTONIC, &event, &s->timer);
}

struct rille_slow *rille_slow_open(struct rille *rt) {
  struct rille_slow *s = calloc(1, sizeof *s);
  if (s != NULL) {
    s->rt = rt;
    if (start(s, SIGRTMAX - 1) == 0) {
      current = s;
      return s;
    }
    free(s);
  }
  (void)fputs("rille: slow steps are not told of: there is no timer for them\n", stderr);
  return NULL;
}

void rille_slow_close(struct rille_slow *s) {
  if (s == NULL)
    return;
  current = NULL;
  (void)timer_delete(s->timer);
  free(s);
}
