/* memory.c -- the allocator of the Lua state. The model is told in memory.h. */
#include "memory.h"

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

#elif defined(RILLE_MIMALLOC)

#include <string.h>

#include <mimalloc.h>

enum { SMALL = MI_SMALL_SIZE_MAX }; /* bytes */

static void *take(size_t size) { return size > SMALL ? malloc(size) : mi_malloc_small(size); }

static void release(void *block, size_t size) {
  if (size > SMALL)
    free(block);
  else
    mi_free(block);
}

/* To another kind of block. */
static void *move(void *block, size_t old, size_t size) {
  void *moved = take(size);
  if (moved == NULL)
    return NULL;
  memcpy(moved, block, old < size ? old : size);
  release(block, old);
  return moved;
}

/* Lua knows how large its blocks are. */
static void *allocate(void *data, void *block, size_t old, size_t size) {
  (void)data;
  if (block == NULL)
    return size == 0 ? NULL : take(size);
  if (size == 0) {
    release(block, old);
    return NULL;
  }
  if ((old > SMALL) != (size > SMALL))
    return move(block, old, size);
  return size > SMALL ? realloc(block, size) : mi_realloc(block, size);
}

lua_State *__wrap_lua_newstate(lua_Alloc own, void *data);
lua_State *__real_lua_newstate(lua_Alloc own, void *data);

/* The linker has luaL_newstate, which knows but malloc, call this in the place of lua_newstate. */
lua_State *__wrap_lua_newstate(lua_Alloc own, void *data) {
  (void)own;
  return __real_lua_newstate(allocate, data);
}

#endif

#ifndef RILLE_FAIL_ALLOC

#include <malloc.h>

enum { KEPT = 16 << 20, MAPPED = 4 << 20 }; /* bytes */

lua_State *rille_memory_newstate(void) {
  mallopt(M_TRIM_THRESHOLD, KEPT);
  mallopt(M_MMAP_THRESHOLD, MAPPED);
  return luaL_newstate();
}

#endif
