/* build.c -- what `rille build` needs of the system and of the archive; the binding rille.host.build.
 * Model:  plain calls, which do not wait.
 * Owner:  a file belongs to its handle, which is that of io.
 * Errors: functions of the system return nil and its message. */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <fcntl.h>
#include <lauxlib.h>
#include <sys/stat.h>

#include "archive.h"
#include "lib.h"

static int push_failure(lua_State *L, int number) {
  lua_pushnil(L);
  lua_pushstring(L, strerror(number));
  return 2;
}

static int close_file(lua_State *L) {
  luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  return luaL_fileresult(L, fclose(stream->f) == 0, NULL);
}

/* create(path) -> file, which was not there and may be executed, as far as the umask allows */
static int l_create(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  luaL_Stream *stream = lua_newuserdatauv(L, sizeof *stream, 0);
  *stream = (luaL_Stream){.closef = NULL};
  luaL_setmetatable(L, LUA_FILEHANDLE);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0777);
  if (fd < 0)
    return push_failure(L, errno);
  stream->f = fdopen(fd, "wb");
  if (stream->f == NULL) {
    int number = errno;
    (void)close(fd); /* nothing was written */
    (void)unlink(path);
    return push_failure(L, number);
  }
  stream->closef = close_file;
  return 1;
}

/* Appends the names in a directory to the table at 2: 0, or an errno. */
static int add_names(lua_State *L, DIR *directory) {
  for (lua_Integer n = 0;;) {
    errno = 0;
    const struct dirent *entry = readdir(directory);
    if (entry == NULL)
      return errno;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
      continue;
    lua_pushstring(L, entry->d_name);
    lua_rawseti(L, 2, ++n);
  }
}

static int l_close_directory(lua_State *L) {
  DIR **box = lua_touserdata(L, 1);
  if (*box != NULL)
    (void)closedir(*box); /* it was only read */
  *box = NULL;
  return 0;
}

/* list(path) -> the names in a directory, in no order */
static int l_list(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  lua_settop(L, 1);
  lua_newtable(L);
  DIR **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, l_close_directory);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__gc");
  lua_setfield(L, -2, "__close");
  lua_setmetatable(L, 3);
  lua_toclose(L, 3);
  *box = opendir(path);
  if (*box == NULL)
    return push_failure(L, errno);
  int status = add_names(L, *box);
  if (status != 0)
    return push_failure(L, status);
  lua_pushvalue(L, 2);
  return 1;
}

/* is_same(path, other) -> whether both are there and one file */
static int l_is_same(lua_State *L) {
  struct stat a, b;
  bool are_there = stat(luaL_checkstring(L, 1), &a) == 0 && stat(luaL_checkstring(L, 2), &b) == 0;
  lua_pushboolean(L, are_there && a.st_dev == b.st_dev && a.st_ino == b.st_ino);
  return 1;
}

/* directory() -> the path of the current one */
static int l_directory(lua_State *L) {
  char path[4096];
  if (getcwd(path, sizeof path) == NULL)
    return push_failure(L, errno);
  lua_pushstring(L, path);
  return 1;
}

/* sum(before, text) -> the sum of what goes on with the text; before: at first 0 */
static int l_sum(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 2, &size);
  lua_pushinteger(L, rille_archive_sum((uint32_t)luaL_checkinteger(L, 1), text, size));
  return 1;
}

static const luaL_Reg lib[] = {{"create", l_create},       {"list", l_list}, {"is_same", l_is_same},
                               {"directory", l_directory}, {"sum", l_sum},   {NULL, NULL}};

/* mark: the string that the builder looks for in the program; MAGIC: how much of it stays */
int luaopen_rille_build(lua_State *L) {
  char mark[RILLE_ARCHIVE_MARK];
  rille_archive_copy_mark(mark);
  luaL_newlib(L, lib);
  lua_pushlstring(L, mark, sizeof mark);
  lua_setfield(L, -2, "mark");
  lua_pushinteger(L, RILLE_ARCHIVE_MAGIC);
  lua_setfield(L, -2, "MAGIC");
  return 1;
}
