/* strict.c -- RILLE_DEBUG. The model is told in strict.h.
 * Owner:  nothing is kept.
 * Errors: none is raised. */
#include "strict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char PREFIX[] = "rille: "; /* that the host's own warnings have */

void rille_strict_fail(struct rille *rt) {
  if (!rt->strict)
    return;
  if (rt->stopping || rt->closing) {
    if (rt->status == EXIT_SUCCESS)
      rt->status = EXIT_FAILURE;
  } else {
    rille_stop(rt, EXIT_FAILURE, "a strict warning");
  }
}

/* A warning comes in pieces; one that begins with '@' is for Lua's own printer. */
static void on_warning(void *data, const char *text, int more) {
  struct rille *rt = data;
  if (!rt->warning) {
    if (text[0] == '@' && !more)
      return;
    if (strncmp(text, PREFIX, sizeof PREFIX - 1) == 0)
      text += sizeof PREFIX - 1;
    rille_flush(rt);
    (void)fputs("rille: error: ", stderr);
  }
  (void)fputs(text, stderr);
  rt->warning = more;
  if (more)
    return;
  (void)fputc('\n', stderr);
  rille_strict_fail(rt);
}

void rille_strict_open(struct rille *rt) {
  const char *debug = getenv("RILLE_DEBUG");
  if (debug == NULL || debug[0] == '\0')
    return;
  rt->strict = strcmp(debug, "strict") == 0;
  rt->debugging = rt->strict || strcmp(debug, "1") == 0;
  if (!rt->debugging)
    (void)fprintf(stderr, "rille: RILLE_DEBUG can be '1' or 'strict'; '%s' is ignored\n", debug);
  if (rt->strict)
    lua_setwarnf(rt->L, on_warning, rt);
}
