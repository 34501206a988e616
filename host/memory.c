/* memory.c -- the allocator of the Lua state. The model is told in memory.h. */
#include "memory.h"

#include <malloc.h>
#include <stdlib.h>

#include <lauxlib.h>

#ifdef RILLE_FAIL_ALLOC

struct counter {
  long left; /* requests until the one that fails; below 0: failed, or none is to fail */
};

static void *allocate(void *data, void *block, size_t old, size_t size) {
  struct counter *counter = data;
  if (size == 0) {
    free(block);
    return NULL;
  }
  if ((block == NULL || size > old) && counter->left >= 0 && --counter->left < 1)
    return NULL;
  return realloc(block, size);
}

lua_State *rille_memory_newstate(void) {
  static struct counter counter = {-1};
  const char *text = getenv("RILLE_FAIL_ALLOC");
  counter.left = text != NULL ? strtol(text, NULL, 10) : -1;
  lua_State *L = luaL_newstate(); /* made with malloc, too: only what comes later can fail */
  if (L != NULL)
    lua_setallocf(L, allocate, &counter);
  return L;
}

#else

enum { KEPT = 16 << 20, MAPPED = 4 << 20 }; /* bytes */

lua_State *rille_memory_newstate(void) {
  mallopt(M_MXFAST, 0);
  mallopt(M_TRIM_THRESHOLD, KEPT);
  mallopt(M_MMAP_THRESHOLD, MAPPED);
  return luaL_newstate();
}

#endif
