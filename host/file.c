/* file.c -- what Lua's io library lacks for files that must not be lost; the binding rille.host.file.
 * Model:  fsync(2) runs in a thread of libuv's, on a descriptor of its own: the file may be closed meanwhile.
 *         A file that is opened here is locked (flock(2)) until it is closed: nobody else has it from here.
 * Owner:  libuv owns a request until its callback, which closes the descriptor; the op owns nothing. Files
 *         belong to their handles, which are those of io.
 * Errors: functions return an errno; an aborted sync ends alone. fault makes the error object of an errno. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <fcntl.h>
#include <sys/file.h>
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

/* kind(path) -> "file", "directory", "other", or nil if there is none */
static int l_kind(lua_State *L) {
  struct stat status;
  if (stat(luaL_checkstring(L, 1), &status) != 0)
    lua_pushnil(L);
  else
    lua_pushstring(L, S_ISREG(status.st_mode) ? "file" : S_ISDIR(status.st_mode) ? "directory" : "other");
  return 1;
}

/* --- files of one writer --- */

enum { OPEN_TRIES = 8 }; /* each is in vain if another writer renames the file meanwhile */

/* Is the open file what has the path? */
static bool is_at(int fd, const char *path) {
  struct stat open, there;
  return fstat(fd, &open) == 0 && lstat(path, &there) == 0 && open.st_dev == there.st_dev &&
         open.st_ino == there.st_ino;
}

/* Locks a file that was opened: 0, or an errno. A file system without locks has none. */
static int take(int fd) {
  struct stat status;
  if (fstat(fd, &status) != 0)
    return errno;
  if (!S_ISREG(status.st_mode))
    return EINVAL;
  return flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK ? EBUSY : 0;
}

/* Opens a file, which is made if it is not there, to append to it: its descriptor, or a negative errno. A
 * link is not followed, and a FIFO not waited for. */
static int open_alone(const char *path) {
  for (int i = 0; i < OPEN_TRIES; i++) {
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    if (fd < 0)
      return -errno;
    int status = take(fd);
    if (status == 0 && is_at(fd, path))
      return fd;
    (void)close(fd); /* nothing was written */
    if (status != 0)
      return -status;
  }
  return -EBUSY;
}

/* The lock goes at once, though sync may still have the file. */
static int close_alone(lua_State *L) {
  luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  int status = fflush(stream->f);
  (void)flock(fileno(stream->f), LOCK_UN); /* closing it does the same */
  if (fclose(stream->f) != 0)
    status = EOF;
  return luaL_fileresult(L, status == 0, NULL);
}

/* open(path) -> file, at its end; or nil, errno. EBUSY: another has it. */
static int l_open(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  luaL_Stream *stream = lua_newuserdatauv(L, sizeof *stream, 0);
  *stream = (luaL_Stream){.closef = NULL};
  luaL_setmetatable(L, LUA_FILEHANDLE);
  int fd = open_alone(path), status = fd < 0 ? -fd : 0;
  if (fd >= 0 && (stream->f = fdopen(fd, "ab")) == NULL) {
    status = errno;
    (void)close(fd); /* nothing was written */
  }
  if (status != 0) {
    lua_pushnil(L);
    lua_pushinteger(L, status);
    return 2;
  }
  stream->closef = close_alone;
  return 1;
}

static int descriptor_of(lua_State *L) {
  luaL_Stream *file = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  luaL_argcheck(L, file->closef != NULL, 1, "the file is closed");
  return fileno(file->f);
}

/* empty(file) -> nil, or an errno: nothing is in it. What was written before must be flushed. */
static int l_empty(lua_State *L) { return push_status(L, ftruncate(descriptor_of(L), 0) == 0 ? 0 : -errno); }

/* move(file, from, to) -> nil, or an errno: ENOENT if `from` is another file by now */
static int l_move(lua_State *L) {
  int fd = descriptor_of(L);
  const char *from = luaL_checkstring(L, 2), *to = luaL_checkstring(L, 3);
  if (!is_at(fd, from))
    return push_status(L, -ENOENT);
  return push_status(L, rename(from, to) == 0 ? 0 : -errno);
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
    {"sync", l_sync}, {"kind", l_kind}, {"open", l_open},   {"empty", l_empty},
    {"move", l_move}, {"fault", l_fault}, {NULL, NULL}};

int luaopen_rille_file(lua_State *L) {
  luaL_newlib(L, lib);
  return 1;
}
