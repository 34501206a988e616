/* memory.h -- the allocator of the Lua state.
 * Model:  small blocks are mimalloc's, which is fast at many that come and go; others are malloc's. Blocks of
 *         less than 4 MiB are not mapped one by one, and up to 16 MiB that are free stay: bodies and buffers
 *         come and go, and the kernel would clear their pages each time. All are malloc's where sanitizers or
 *         valgrind look, and where late.c does not load mimalloc (Makefile). A build with RILLE_FAIL_ALLOC
 *         (make asan) can refuse on demand: with the environment variable RILLE_FAIL_ALLOC=n, the n-th
 *         request that asks for more memory fails, and so does the next, which is Lua's second try after an
 *         emergency collection.
 * Owner:  the Lua state owns what it allocated.
 * Errors: NULL, which Lua turns into "not enough memory". */
#ifndef RILLE_MEMORY_H
#define RILLE_MEMORY_H

#include <lua.h>

/* A new Lua state, or NULL. */
lua_State *rille_memory_newstate(void);

#endif
