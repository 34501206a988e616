/* file.c -- what Lua's io library lacks for files that must not be lost; the binding rille.host.file.
 * Model:  fsync(2) runs in a thread of libuv's, on a descriptor of its own: the file may be closed meanwhile.
 * Owner:  libuv owns a request until its callback, which closes the descriptor; the op owns nothing.
 * Errors: sync returns an errno; an aborted one ends alone. fault makes the error object of an errno. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "box.h"
#include "fault.h"
#include "fiber.h"
#include "lib.h"
#include "runtime.h"

struct request {
  uv_fs_t fs;
  struct sync *waiter; /* NULL once nobody waits */
  int fd;
};

struct sync {
  struct rille_op op;
  struct request *request;
  int status;
};

static void on_synced(uv_fs_t *fs) {
  struct request *request = (struct request *)fs;
  struct sync *s = request->waiter;
  if (s != NULL) {
    s->status = (int)fs->result;
    rille_op_done(&s->op);
  }
  uv_fs_req_cleanup(fs);
  (void)close(request->fd); /* what fsync has not told it cannot tell */
  free(request);
}

static void sync_abort(struct rille_op *op) {
  struct sync *s = (struct sync *)op;
  s->request->waiter = NULL;
  (void)uv_cancel((uv_req_t *)&s->request->fs); /* refused when it runs: then it ends alone */
}

static int push_status(lua_State *L, int status) {
  if (status == 0)
    lua_pushnil(L);
  else
    lua_pushinteger(L, -status);
  return 1;
}

static int sync_finish(lua_State *L, struct rille_op *op) {
  return push_status(L, ((struct sync *)op)->status);
}

static const struct rille_op_class sync_class = {
    .name = "the disk", .abort = sync_abort, .finish = sync_finish, .external = true};

/* sync(file) -> nil, or an errno: what was written and flushed is on the disk then. Waits. */
static int l_sync(lua_State *L) {
  luaL_Stream *file = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  luaL_argcheck(L, file->closef != NULL, 1, "the file is closed");
  rille_check_wait(L, sync_class.name);
  struct sync *s = lua_newuserdatauv(L, sizeof *s, 0);
  rille_op_init(&s->op, &sync_class);
  s->request = malloc(sizeof *s->request);
  if (s->request == NULL)
    return luaL_error(L, "not enough memory");
  s->request->waiter = s;
  s->request->fd = fcntl(fileno(file->f), F_DUPFD_CLOEXEC, 0);
  int status = s->request->fd < 0 ? -errno : 0;
  if (status == 0)
    status = uv_fs_fsync(&rille_of(L)->loop, &s->request->fs, s->request->fd, on_synced);
  if (status == 0)
    return rille_op_park(L, &s->op);
  if (s->request->fd >= 0)
    (void)close(s->request->fd);
  free(s->request);
  return push_status(L, status);
}

/* is_directory(path) -> boolean */
static int l_is_directory(lua_State *L) {
  struct stat status;
  lua_pushboolean(L, stat(luaL_checkstring(L, 1), &status) == 0 && S_ISDIR(status.st_mode));
  return 1;
}

/* fault(errno, what, path) -> error object: "<what> '<path>': no such file or directory" */
static int l_fault(lua_State *L) {
  int number = (int)luaL_checkinteger(L, 1);
  const char *what = luaL_checkstring(L, 2), *path = luaL_checkstring(L, 3);
  rille_fault_push_uv(L, -number, lua_pushfstring(L, "%s '%s'", what, path));
  lua_pushvalue(L, 3);
  lua_setfield(L, -2, "path");
  return 1;
}

static const luaL_Reg lib[] = {
    {"sync", l_sync}, {"is_directory", l_is_directory}, {"fault", l_fault}, {NULL, NULL}};

int luaopen_rille_file(lua_State *L) {
  luaL_newlib(L, lib);
  return 1;
}
