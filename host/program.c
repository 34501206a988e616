/* program.c -- what `rille build` has put into the program that runs; the binding rille.host.program.
 * Model:  functions over the archive. A C library is written to a memory file, which dlopen opens by the
 *         path of its descriptor; that stays open, since libraries are told apart by their paths.
 *         Its field `script` is set by the command: the path of the script that a plain rille runs.
 * Owner:  main owns the archive. Memory files live as long as the program.
 * Errors: a text that is damaged, and a library that cannot be written, raise a string. */
#include "program.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>

static const char KEY; /* its address: the archive in the registry */

void rille_program_set(lua_State *L, const struct rille_archive *a) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)a);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &KEY);
}

/* Finds the text of the name at 1. */
static bool find(lua_State *L, struct rille_archive_entry *entry) {
  size_t size;
  const char *name = luaL_checklstring(L, 1, &size);
  const struct rille_archive *a = lua_touserdata(L, lua_upvalueindex(1));
  if (a->file == NULL)
    return false;
  enum rille_archive_result result = rille_archive_find(a, name, size, entry);
  if (result == RILLE_ARCHIVE_DAMAGED) {
    lua_pushfstring(L, "this program is damaged: build it again (%s)", name);
    lua_error(L); /* without a position: it is no line's */
  }
  return result == RILLE_ARCHIVE_FOUND;
}

/* get(name) -> text; nil if there is none of that name */
static int l_get(lua_State *L) {
  struct rille_archive_entry entry;
  if (!find(L, &entry))
    return 0;
  lua_pushlstring(L, entry.text, entry.size);
  return 1;
}

/* load(name) -> chunk, its path, which is what its text has as a note; nil if there is none */
static int l_load(lua_State *L) {
  struct rille_archive_entry entry;
  if (!find(L, &entry))
    return 0;
  lua_pushlstring(L, entry.note, entry.note_size);
  const char *name = lua_pushfstring(L, "@%s", lua_tostring(L, -1));
  if (luaL_loadbufferx(L, entry.text, entry.size, name, NULL) != LUA_OK)
    return lua_error(L);
  lua_pushvalue(L, -3);
  return 2;
}

/* note(name) -> what the builder has noted; nil if there is no such text */
static int l_note(lua_State *L) {
  struct rille_archive_entry entry;
  if (!find(L, &entry))
    return 0;
  lua_pushlstring(L, entry.note, entry.note_size);
  return 1;
}

static int write_all(int fd, const char *text, size_t size) {
  while (size > 0) {
    ssize_t n = write(fd, text, size);
    if (n < 0 && errno != EINTR)
      return errno;
    if (n > 0) {
      text += n;
      size -= (size_t)n;
    }
  }
  return 0;
}

/* library(name) -> the path of a memory file with the text; nil if there is none. At each call another. */
static int l_library(lua_State *L) {
  struct rille_archive_entry entry;
  if (!find(L, &entry))
    return 0;
  int fd = memfd_create("rille", MFD_CLOEXEC);
  int status = fd < 0 ? errno : write_all(fd, entry.text, entry.size);
  if (status != 0) {
    if (fd >= 0)
      (void)close(fd); /* nobody has it */
    return luaL_error(L, "cannot make a memory file of a library: %s", strerror(status));
  }
  lua_pushfstring(L, "/proc/self/fd/%d", fd);
  return 1;
}

/* path() -> that by which the program was started: also found in PATH, links not followed */
static int l_path(lua_State *L) {
  const char *path = (const char *)getauxval(AT_EXECFN);
  lua_pushstring(L, path != NULL ? path : "rille");
  return 1;
}

static const luaL_Reg lib[] = {{"get", l_get},         {"load", l_load}, {"note", l_note},
                               {"library", l_library}, {"path", l_path}, {NULL, NULL}};

int luaopen_rille_program(lua_State *L) {
  luaL_newlibtable(L, lib);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY);
  const struct rille_archive *a = lua_touserdata(L, -1);
  luaL_setfuncs(L, lib, 1);
  lua_pushboolean(L, a->file != NULL);
  lua_setfield(L, -2, "built");
  return 1;
}
