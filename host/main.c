/* main.c -- the program: one runtime, one main task, an exit status.
 * Model:  lualib/rille/command.lua reads the command line and gives the body of the main task. In a program
 *         that `rille build` has made, lualib/rille/program.lua does, and the command line is the script's.
 * Owner:  main owns the runtime and the archive.
 * Errors: what goes wrong before there is a runtime is one line on stderr and status 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <uv.h>

#include "archive.h"
#include "lib.h"
#include "program.h"
#include "runtime.h"
#include "task.h"

/* versions() -> table. Who does not ask need not load libcurl (late.c). */
static int l_versions(lua_State *L) {
  lua_createtable(L, 0, 4);
  lua_pushliteral(L, RILLE_VERSION);
  lua_setfield(L, -2, "rille");
  lua_pushliteral(L, LUA_RELEASE);
  lua_setfield(L, -2, "lua");
  lua_pushstring(L, uv_version_string());
  lua_setfield(L, -2, "libuv");
  lua_pushstring(L, curl_version_info(CURLVERSION_NOW)->version);
  lua_setfield(L, -2, "libcurl");
  return 1;
}

/* -E is among the options, which end with the script. Lua's libraries look for the note of it when they
 * are opened. */
static bool ignores_environment(char **argv) {
  for (int i = 1; argv[i] != NULL && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
    const char *option = argv[i];
    if (strcmp(option, "-E") == 0)
      return true;
    bool takes_next = strcmp(option, "-e") == 0 || strcmp(option, "-l") == 0;
    if (strcmp(option, "--") == 0 || (takes_next && argv[++i] == NULL))
      return false;
  }
  return false;
}

/* Opens the libraries, reads the command line and spawns the main task: what rille.command returns, or
 * rille.program. */
static int start(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  const struct rille_archive *archive = lua_touserdata(L, 3);
  bool is_built = archive->file != NULL;
  lua_settop(L, 0);
  if (!is_built && ignores_environment(argv)) {
    lua_pushboolean(L, true);
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  }
  rille_program_set(L, archive);
  rille_lib_open(L);
  lua_getglobal(L, "require");
  lua_pushstring(L, is_built ? "rille.program" : "rille.command");
  lua_call(L, 1, 1);
  lua_newtable(L);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  lua_pushcfunction(L, l_versions);
  lua_call(L, 2, LUA_MULTRET);
  if (lua_gettop(L) == 0)
    return 0; /* --help, --version */
  rille_task_spawn(L, lua_gettop(L) - 1, false);
  lua_pushliteral(L, "main");
  rille_task_set_name(L, -2, -1);
  return 0;
}

/* A standard stream that was closed would be the next file that is opened, which libuv does not expect. */
static void open_standard_streams(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0)
      (void)open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY); /* takes the lowest: this one */
}

int main(int argc, char **argv) {
  open_standard_streams();
  struct rille_archive archive;
  const char *wrong = rille_archive_open(&archive);
  if (wrong != NULL) {
    (void)fprintf(stderr, "rille: %s\n", wrong);
    return EXIT_FAILURE;
  }
  struct rille *rt = rille_new();
  if (rt == NULL) {
    (void)fputs("rille: not enough memory to start\n", stderr);
    return EXIT_FAILURE;
  }
  lua_pushcfunction(rt->L, start);
  lua_pushinteger(rt->L, argc);
  lua_pushlightuserdata(rt->L, argv);
  lua_pushlightuserdata(rt->L, &archive);
  if (lua_pcall(rt->L, 3, 0, 0) == LUA_OK) {
    rille_run(rt);
  } else {
    (void)fprintf(stderr, "rille: %s\n", lua_tostring(rt->L, -1));
    rt->status = EXIT_FAILURE;
  }
  return rille_close(rt);
}
