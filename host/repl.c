/* repl.c -- the terminal of the REPL: lines that are edited while the loop runs, output that does not spoil
 * them, and Ctrl-C; the binding rille.host.repl.
 * Model:  wait() parks until there is a key, an interrupt or a line, and gives what came of it: lualib's
 *         rille.repl makes lines of that. While a line is edited, what is printed is held back, and written
 *         between two turns of the loop with the line taken away. Without libedit, or where standard input
 *         and output are no terminal, lines are read as they are, and unbuffered: io.read gets the next one.
 *           SIGINT at the prompt gives the line up. While the task that is watched runs, the first one
 *         cancels it: at its wait, or where it computes. A later one passes through every pcall there; where
 *         it waits, it is killed. The handler may do little: it sets a hook in the coroutine that runs, as
 *         Lua's own does, and wakes the loop.
 * Owner:  the Console userdata holds the console, which its handles outlive. The buffer of stdout is
 *         stdout's from then on.
 * Errors: misuse raises. A cancelled wait raises the signal. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "box.h"
#include "describe.h"
#include "lib.h"
#include "line_editor.h"
#include "runtime.h"
#include "task.h"

#define CONSOLE "rille.Console"

enum { OUT_SIZE = 1 << 18, ERR_SIZE = 1 << 14, TEXT_SIZE = 1 << 10 };

struct console {
  struct rille_console base;
  struct rille *rt;
  struct rille_editor *editor;       /* NULL: lines are read as they are */
  enum rille_editor_event event;     /* of the editor, the last */
  struct rille_op *op;               /* who waits for a key, or NULL */
  struct rille_task *watched;        /* the line that runs, or NULL */
  uv_async_t wakeup;                 /* keeps the loop alive: Ctrl-C may always come */
  uv_poll_t input;
  uv_signal_t resized;
  uv_signal_t continued;
  int handles;                       /* that are not closed yet */
  bool polls;                        /* standard input can be polled; a file cannot */
  bool editing;                      /* the prompt is there */
  bool hidden;                       /* but taken away */
  volatile sig_atomic_t interrupts;  /* so far */
  int handled;                       /* of these */
  int sent;                          /* of these, to the line that runs */
  char *out, *err;                   /* buffers of stdout and stderr */
};

static struct console *volatile current; /* whose SIGINT is; there is one standard input */

/* --- output --- */

/* fflush as liblua has it (--wrap, in the Makefile): print calls it, which is too early while a line is
 * edited. */
int __real_fflush(FILE *file);
int __wrap_fflush(FILE *file);

int __wrap_fflush(FILE *file) {
  struct console *c = current;
  bool held = c != NULL && c->editing && !c->hidden && (file == stdout || file == stderr);
  return held ? 0 : __real_fflush(file);
}

/* Has a stream hold back all that is written. The first write to it is not held by glibc, so there is one
 * that says nothing new: colours end with the line that began them. */
static void hold(FILE *file, char *buffer, size_t size) {
  (void)setvbuf(file, buffer, _IOFBF, size);
  (void)fputs("\033[m", file);
  (void)__real_fflush(file);
}

/* While a line is edited all is held back; while one runs, standard output goes out line by line. */
static void set_buffers(struct console *c) {
  if (c->editing)
    hold(stdout, c->out, OUT_SIZE);
  else
    (void)setvbuf(stdout, c->out, _IOLBF, OUT_SIZE);
  if (!isatty(STDERR_FILENO))
    return;
  if (c->editing)
    hold(stderr, c->err, ERR_SIZE);
  else
    (void)setvbuf(stderr, NULL, _IONBF, 0);
}

static void on_hide(struct rille_console *base) {
  struct console *c = (struct console *)base;
  if (!c->editing || c->hidden)
    return;
  rille_editor_hide(c->editor);
  c->hidden = true;
}

/* Puts the line back, if it was taken away. */
static void show(struct console *c) {
  if (c->hidden)
    rille_editor_show(c->editor);
  c->hidden = false;
}

/* The line that runs was interrupted again, and waits: it does not get to its end. */
static void kill_watched(struct console *c) {
  if (c->sent < 2 || c->watched == NULL || c->watched->fiber.state == RILLE_DEAD)
    return;
  c->sent = 1;
  rille_task_kill(c->watched, "was interrupted in its cleanup and was killed");
}

static void on_flush(struct rille_console *base) {
  struct console *c = (struct console *)base;
  kill_watched(c);
  if (!c->editing)
    return;
  if (__fpending(stdout) > 0 || __fpending(stderr) > 0) {
    on_hide(base);
    (void)fflush(stdout);
    (void)fflush(stderr);
  }
  show(c);
}

static void set_editing(struct console *c, bool editing) {
  if (c->editing == editing)
    return;
  c->editing = editing;
  c->hidden = false;
  set_buffers(c);
}

/* --- interrupts --- */

/* In the coroutine that computed when SIGINT came. Raises there, if it is the line that is to end. */
static void on_hook(lua_State *L, lua_Debug *ar) {
  struct console *c = current;
  struct rille_task *t = rille_fiber_of(L)->task;
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  if (c == NULL || t == NULL || t != c->watched || c->handled == c->interrupts)
    return;
  bool first = c->sent++ == 0;
  c->handled = c->interrupts;
  t->exiting = !first; /* the second time no pcall keeps it */
  rille_task_cancel(t);
  rille_task_check(L, t, NULL);
  if (!first)
    luaL_error(L, "interrupted");
}

static void on_sigint(int signum) {
  struct console *c = current;
  (void)signum;
  if (c == NULL)
    return;
  c->interrupts++;
  if (c->rt->running != NULL)
    lua_sethook(c->rt->running, on_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
  (void)uv_async_send(&c->wakeup);
}

static void wake(struct console *c) {
  if (c->op != NULL)
    rille_op_done(c->op);
}

/* The loop's half: nothing of Lua runs now. */
static void on_wakeup(uv_async_t *wakeup) {
  struct console *c = wakeup->data;
  if (c->handled == c->interrupts)
    return;
  if (c->op != NULL) {
    wake(c);
    return;
  }
  c->handled = c->interrupts;
  if (c->watched == NULL)
    return;
  c->sent++;
  rille_task_cancel(c->watched);
}

static void take_sigint(struct console *c) {
  struct sigaction action = {.sa_handler = on_sigint};
  rille_signals_take_interrupt(c->rt, false);
  current = c;
  (void)sigfillset(&action.sa_mask); /* the timer of slow.c sets hooks too */
  (void)sigaction(SIGINT, &action, NULL); /* no SA_RESTART: a read that blocks is interrupted too */
}

static void give_sigint_back(struct console *c) {
  current = NULL;
  (void)signal(SIGINT, SIG_DFL);
  rille_signals_take_interrupt(c->rt, true);
}

/* --- waiting --- */

static void on_input(uv_poll_t *input, int status, int events) {
  (void)status;
  (void)events;
  wake(input->data);
}

static void on_terminal(uv_signal_t *handle, int signum) {
  struct console *c = handle->data;
  if (!c->editing)
    return;
  if (signum == SIGCONT)
    rille_editor_resume(c->editor);
  else if (!c->hidden)
    rille_editor_resize(c->editor);
}

struct wait {
  struct rille_op op;
  struct console *console;
};

static void leave(struct console *c) {
  c->op = NULL;
  if (c->polls)
    (void)uv_poll_stop(&c->input);
}

static void wait_abort(struct rille_op *op) { leave(((struct wait *)op)->console); }

static struct console *check_console(lua_State *L) {
  struct console **box = luaL_checkudata(L, 1, CONSOLE);
  if (*box == NULL)
    rille_error(L, "the console is closed");
  return *box;
}

/* Pushes the editor's event and its text. */
static int push_event(lua_State *L, struct console *c, enum rille_editor_event event) {
  static const char *const names[] = {"key", "line", "complete", "interrupted", "end"};
  c->event = event;
  set_editing(c, event == RILLE_EDITOR_KEY || event == RILLE_EDITOR_COMPLETE);
  lua_pushstring(L, names[event]);
  if (event != RILLE_EDITOR_LINE && event != RILLE_EDITOR_COMPLETE)
    return 1;
  lua_pushstring(L, rille_editor_text(c->editor));
  return 2;
}

/* A line as it is. */
static int push_plain_line(lua_State *L) {
  luaL_Buffer b;
  char part[TEXT_SIZE];
  bool some = false;
  luaL_buffinit(L, &b);
  errno = 0;
  while (fgets(part, sizeof part, stdin) != NULL) {
    some = true;
    luaL_addstring(&b, part);
    if (strchr(part, '\n') != NULL)
      break;
  }
  bool interrupted = ferror(stdin) && errno == EINTR;
  clearerr(stdin);
  luaL_pushresult(&b);
  if (some && !interrupted) {
    lua_pushliteral(L, "line");
    lua_insert(L, -2);
    return 2;
  }
  lua_pushstring(L, interrupted ? "interrupted" : "end");
  return 1;
}

static int wait_finish(lua_State *L, struct rille_op *op) {
  struct console *c = ((struct wait *)op)->console;
  if (c == NULL) { /* it was closed */
    lua_pushliteral(L, "end");
    return 1;
  }
  leave(c);
  bool interrupted = c->handled != c->interrupts;
  c->handled = c->interrupts;
  if (c->editor == NULL && interrupted) {
    lua_pushliteral(L, "interrupted");
    return 1;
  }
  if (c->editor == NULL)
    return push_plain_line(L);
  show(c); /* a report may have taken it away */
  return push_event(L, c, interrupted ? rille_editor_interrupt(c->editor) : rille_editor_input(c->editor));
}

static const struct rille_op_class wait_class = {
    .name = "a line of input", .abort = wait_abort, .finish = wait_finish, .external = true};

/* console:wait() -> event, text: "key", "line" with its text, "complete" with that of the line up to the
 * cursor, "interrupted", "end" */
static int l_wait(lua_State *L) {
  struct console *c = check_console(L);
  rille_check_wait(L, wait_class.name);
  if (c->op != NULL)
    return rille_error(L, "another task waits for a line");
  struct wait *w = lua_newuserdatauv(L, sizeof *w, 0);
  rille_op_init(&w->op, &wait_class);
  w->console = c;
  c->op = &w->op;
  if (!c->polls || uv_poll_start(&c->input, UV_READABLE | UV_DISCONNECT, on_input) != 0)
    rille_op_done(&w->op);
  return rille_op_park(L, &w->op);
}

/* console:begin(prompt) -> event, text: a line begins, with what was typed already */
static int l_begin(lua_State *L) {
  struct console *c = check_console(L);
  const char *prompt = luaL_checkstring(L, 2);
  (void)fflush(stdout);
  c->handled = c->interrupts;
  if (c->editor == NULL) {
    (void)fputs(prompt, stdout);
    lua_pushliteral(L, "key");
    return 1;
  }
  set_editing(c, true);
  return push_event(L, c, rille_editor_begin(c->editor, prompt));
}

/* console:answer(insert, show) -> event, text: what follows "complete" */
static int l_answer(lua_State *L) {
  struct console *c = check_console(L);
  const char *insert = luaL_checkstring(L, 2), *show = luaL_checkstring(L, 3);
  if (c->event != RILLE_EDITOR_COMPLETE)
    return rille_error(L, "nothing is to be completed");
  return push_event(L, c, rille_editor_answer(c->editor, insert, show));
}

/* console:remember(entry) */
static int l_remember(lua_State *L) {
  struct console *c = check_console(L);
  const char *entry = luaL_checkstring(L, 2);
  if (c->editor != NULL && !c->editing)
    rille_editor_remember(c->editor, entry);
  return 0;
}

/* console:watch([task]): whom Ctrl-C is for */
static int l_watch(lua_State *L) {
  struct console *c = check_console(L);
  struct rille_task *t = lua_isnoneornil(L, 2) ? NULL : rille_task_check_arg(L, 2);
  lua_settop(L, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, c); /* the last to raise */
  c->watched = t;
  c->handled = c->interrupts;
  c->sent = 0;
  return 0;
}

/* columns() -> of the terminal */
static int l_columns(lua_State *L) {
  lua_pushinteger(L, rille_editor_columns());
  return 1;
}

/* names(path) -> list of the names in a folder, none if it cannot be read; a folder's ends with "/" */
static int l_names(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  lua_newtable(L);
  uv_fs_t request;
  uv_dirent_t entry;
  if (uv_fs_scandir(NULL, &request, path, 0, NULL) >= 0)
    for (lua_Integer n = 1; uv_fs_scandir_next(&request, &entry) == 0; n++) {
      lua_pushfstring(L, entry.type == UV_DIRENT_DIR ? "%s/" : "%s", entry.name);
      lua_rawseti(L, -2, n);
    }
  uv_fs_req_cleanup(&request);
  return 1;
}

/* --- open and close --- */

static void on_closed(uv_handle_t *handle) {
  struct console *c = handle->data;
  if (--c->handles == 0)
    free(c);
}

static void close_handle(uv_handle_t *handle) { uv_close(handle, on_closed); }

static void add_handle(struct console *c, uv_handle_t *handle) {
  handle->data = c;
  c->handles++;
}

/* console:close(), __close and __gc: the terminal is as it was before; idempotent */
static int l_close(lua_State *L) {
  struct console **box = luaL_checkudata(L, 1, CONSOLE);
  struct console *c = *box;
  if (c == NULL)
    return 0;
  *box = NULL;
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, c);
  if (c->op != NULL) {
    ((struct wait *)c->op)->console = NULL;
    rille_op_done(c->op);
    leave(c);
  }
  give_sigint_back(c);
  if (c->editor != NULL) {
    rille_editor_close(c->editor);
    set_editing(c, false);
    free(c->err); /* stderr is unbuffered again; stdout goes on with its buffer */
  }
  (void)fflush(stdout);
  c->rt->console = NULL;
  close_handle((uv_handle_t *)&c->wakeup);
  close_handle((uv_handle_t *)&c->resized);
  close_handle((uv_handle_t *)&c->continued);
  if (c->polls)
    close_handle((uv_handle_t *)&c->input);
  return 0;
}

/* The loop has the handles from here on. */
static void open_handles(struct console *c) {
  uv_loop_t *loop = &c->rt->loop;
  (void)uv_async_init(loop, &c->wakeup, on_wakeup);
  add_handle(c, (uv_handle_t *)&c->wakeup);
  (void)uv_signal_init(loop, &c->resized);
  add_handle(c, (uv_handle_t *)&c->resized);
  (void)uv_signal_init(loop, &c->continued);
  add_handle(c, (uv_handle_t *)&c->continued);
  uv_unref((uv_handle_t *)&c->resized);
  uv_unref((uv_handle_t *)&c->continued);
  c->polls = uv_poll_init(loop, &c->input, STDIN_FILENO) == 0;
  if (!c->polls)
    return;
  add_handle(c, (uv_handle_t *)&c->input);
  /* Scripts read it, and the terminal is standard output too: it is to block, as it did. */
  int flags = fcntl(STDIN_FILENO, F_GETFL);
  (void)fcntl(STDIN_FILENO, F_SETFL, flags & ~O_NONBLOCK);
}

static void start_editor(struct console *c, const char *history) {
  const char *why;
  const char *terminal = getenv("TERM");
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || terminal == NULL || strcmp(terminal, "dumb") == 0)
    return;
  c->out = malloc(OUT_SIZE);
  c->err = malloc(ERR_SIZE);
  if (c->out != NULL && c->err != NULL)
    c->editor = rille_editor_open(history, &why);
  if (c->editor != NULL) {
    (void)uv_signal_start(&c->resized, on_terminal, SIGWINCH);
    (void)uv_signal_start(&c->continued, on_terminal, SIGCONT);
    return;
  }
  free(c->out);
  free(c->err);
}

/* open([history]) -> console: of standard input; history: the path of a file. Once in a program. */
static int l_open(lua_State *L) {
  const char *history = luaL_optstring(L, 1, NULL);
  struct rille *rt = rille_of(L);
  if (rt->console != NULL)
    return rille_error(L, "a console is open already");
  struct console **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, CONSOLE);
  struct console *c = calloc(1, sizeof *c);
  if (c == NULL)
    return luaL_error(L, "not enough memory");
  c->base = (struct rille_console){.hide = on_hide, .flush = on_flush};
  c->rt = rt;
  open_handles(c);
  start_editor(c, history);
  if (c->editor == NULL)
    (void)setvbuf(stdin, NULL, _IONBF, 0);
  take_sigint(c);
  rt->console = &c->base;
  *box = c;
  return 1;
}

static const luaL_Reg methods[] = {{"wait", l_wait},         {"begin", l_begin}, {"answer", l_answer},
                                   {"remember", l_remember}, {"watch", l_watch}, {"close", l_close},
                                   {NULL, NULL}};

static const luaL_Reg meta[] = {{"__close", l_close}, {"__gc", l_close}, {NULL, NULL}};

static const luaL_Reg lib[] = {{"open", l_open}, {"columns", l_columns}, {"names", l_names}, {NULL, NULL}};

int luaopen_rille_repl(lua_State *L) {
  rille_class(L, CONSOLE, meta, methods);
  luaL_newlib(L, lib);
  return 1;
}
