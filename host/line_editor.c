/* line_editor.c -- libedit in a thread of its own. The model is told in line_editor.h.
 * Owner:  struct rille_editor owns the thread, libedit's structures and the texts.
 * Errors: none after it is open. */
#include "line_editor.h"

#include <dlfcn.h>
#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

enum { HISTORY_SIZE = 1000 };

/* What is used of libedit. */
#define EACH_FUNCTION(X) \
  X(el_init) X(el_end) X(el_set) X(el_wset) X(el_gets) X(el_line) X(el_insertstr) X(el_source) \
  X(el_resize) X(history) X(history_init) X(history_end)
#define MEMBER(name) __typeof__(name) *name;

struct libedit {
  EACH_FUNCTION(MEMBER)
};

enum order { BEGIN, INPUT, ANSWER, INTERRUPT, HIDE, SHOW, RESIZE, RESUME, GIVE_UP, REMEMBER, CLOSE };

struct rille_editor {
  struct libedit lib;
  pthread_t thread;
  sem_t go;   /* the editor's thread may run */
  sem_t back; /* the caller's may */
  enum order order;
  enum rille_editor_event event;
  bool ending;      /* the line is given up */
  bool interrupted; /* by INTERRUPT */
  locale_t locale;
  mbstate_t partial; /* of a character that has come in part */
  EditLine *el;
  History *history;
  FILE *out;            /* the terminal */
  char *file;           /* of the history, or NULL */
  const char *prompt;   /* these are the caller's, for the time of an order */
  const char *argument; /* an entry, or what is to be inserted */
  const char *show;
  char *text; /* of the event */
  char *kept_prompt;
};

static _Thread_local struct rille_editor *mine; /* of this thread */

/* --- the baton --- */

static enum rille_editor_event order(struct rille_editor *e, enum order what) {
  e->order = what;
  (void)sem_post(&e->go);
  while (sem_wait(&e->back) != 0)
    ; /* a signal */
  return e->event;
}

/* In the editor's thread: gives the event, and waits for an order. */
static enum order hand_over(struct rille_editor *e, enum rille_editor_event event) {
  e->event = event;
  (void)sem_post(&e->back);
  while (sem_wait(&e->go) != 0)
    ;
  return e->order;
}

/* --- the terminal --- */

int rille_editor_columns(void) {
  struct winsize size;
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

/* Moves the position (row * columns + column) over a text, as libedit shows it. */
static int advance(int at, const char *text, const char *end, int columns) {
  mbstate_t state = {0};
  while (text < end) {
    wchar_t c;
    size_t n = mbrtowc(&c, text, (size_t)(end - text), &state);
    if (n == (size_t)-1 || n == (size_t)-2 || n == 0)
      break;
    text += n;
    int width = wcwidth(c);
    if (c == L'\n')
      at += columns - at % columns;
    else if (c == L'\t')
      at += 8 - at % columns % 8;
    else
      at += width < 0 ? 2 : width; /* ^A */
  }
  return at;
}

/* Erases the line that is being edited, from where its cursor is. */
static void erase(struct rille_editor *e) {
  const LineInfo *line = e->lib.el_line(e->el);
  int columns = rille_editor_columns();
  int at = advance(0, e->kept_prompt, e->kept_prompt + strlen(e->kept_prompt), columns);
  int rows = advance(at, line->buffer, line->cursor, columns) / columns;
  (void)fputc('\r', e->out);
  if (rows > 0)
    (void)fprintf(e->out, "\033[%dA", rows);
  (void)fputs("\033[J", e->out);
  (void)fflush(e->out);
}

/* Goes to the beginning of a line, a new one unless it is there: a row of blanks wraps only if it does not
 * begin in the first column. */
static void begin_row(struct rille_editor *e) {
  (void)fprintf(e->out, "%*s\r\033[J", rille_editor_columns(), "");
  (void)fflush(e->out);
}

static void draw(struct rille_editor *e) {
  begin_row(e);
  (void)e->lib.el_set(e->el, EL_REFRESH);
  (void)fflush(e->out);
}

/* --- keys --- */

static bool input_waits(void) {
  struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
  return poll(&p, 1, 0) > 0;
}

/* Takes a byte; returns 1 if it completes a character, 0 if more is needed, -1 at the end of input. */
static int take_byte(struct rille_editor *e, wchar_t *c) {
  char byte;
  ssize_t n = read(STDIN_FILENO, &byte, 1);
  if (n < 0 && (errno == EINTR || errno == EAGAIN))
    return 0;
  if (n <= 0)
    return -1;
  size_t length = mbrtowc(c, &byte, 1, &e->partial);
  if (length == (size_t)-1)
    memset(&e->partial, 0, sizeof e->partial); /* no character: it is dropped */
  return length == (size_t)-1 || length == (size_t)-2 ? 0 : 1;
}

/* What is to be done while libedit waits for a key. Returns false if the line is given up. */
static bool obey(struct rille_editor *e, enum order what) {
  switch (what) {
  case HIDE:
    erase(e);
    return true;
  case SHOW:
    draw(e);
    return true;
  case RESIZE: /* the terminal has wrapped the line anew */
    erase(e);
    e->lib.el_resize(e->el);
    draw(e);
    return true;
  case RESUME:
    (void)e->lib.el_set(e->el, EL_PREP_TERM, 0);
    (void)e->lib.el_set(e->el, EL_PREP_TERM, 1);
    draw(e);
    return true;
  case INTERRUPT:
    (void)fputs("^C\r\n\033[J", e->out);
    (void)fflush(e->out);
    e->interrupted = true;
    break;
  case GIVE_UP:
    erase(e);
    break;
  default:
    return true;
  }
  e->ending = true;
  return false;
}

/* Keys are taken by orders that give what comes of them; not by others, such as HIDE, after which the line
 * must not be drawn. */
static bool takes_keys(enum order what) { return what == BEGIN || what == INPUT || what == ANSWER; }

/* libedit wants a key: 1, or 0 at the end. */
static int on_getc(EditLine *el, wchar_t *c) {
  struct rille_editor *e = mine;
  (void)el;
  (void)fflush(e->out);
  for (;;) {
    int taken = 0;
    while (taken == 0 && takes_keys(e->order) && input_waits())
      taken = take_byte(e, c);
    if (taken != 0)
      return taken > 0;
    if (!obey(e, hand_over(e, RILLE_EDITOR_KEY)))
      return 0;
  }
}

static char *on_prompt(EditLine *el) {
  (void)el;
  return mine->kept_prompt;
}

/* Replaces a text that the editor keeps; an empty one when out of memory. */
static void keep(char **kept, const char *text, size_t length) {
  free(*kept);
  *kept = strndup(text, length);
}

/* The tabulator: asks whoever knows what may follow. */
static unsigned char on_complete(EditLine *el, int key) {
  struct rille_editor *e = mine;
  const LineInfo *line = e->lib.el_line(el);
  (void)key;
  keep(&e->text, line->buffer, (size_t)(line->cursor - line->buffer));
  if (hand_over(e, RILLE_EDITOR_COMPLETE) != ANSWER)
    return CC_ERROR;
  if (e->show[0] != '\0') {
    erase(e);
    (void)fputs(e->show, e->out);
  }
  if (e->argument[0] != '\0')
    (void)e->lib.el_insertstr(el, e->argument);
  if (e->show[0] == '\0')
    return e->argument[0] != '\0' ? CC_REFRESH : CC_ERROR;
  draw(e);
  return CC_NORM;
}

/* --- lines --- */

static enum rille_editor_event edit_line(struct rille_editor *e) {
  int length = 0;
  e->ending = e->interrupted = false;
  keep(&e->kept_prompt, e->prompt, strlen(e->prompt));
  memset(&e->partial, 0, sizeof e->partial);
  begin_row(e);
  const char *line = e->lib.el_gets(e->el, &length);
  (void)fflush(e->out);
  if (e->interrupted)
    return RILLE_EDITOR_INTERRUPTED;
  if (e->ending || line == NULL || length <= 0)
    return RILLE_EDITOR_END;
  size_t end = strlen(line);
  keep(&e->text, line, line[end - 1] == '\n' ? end - 1 : end);
  return RILLE_EDITOR_LINE;
}

static void remember(struct rille_editor *e) {
  HistEvent ev;
  if (e->lib.history(e->history, &ev, H_ENTER, e->argument) < 0 || e->file == NULL)
    return;
  FILE *file = fopen(e->file, "ae");
  if (file == NULL)
    return;
  (void)fseek(file, 0, SEEK_END);
  (void)e->lib.history(e->history, &ev, H_NSAVE_FP, (size_t)1, file);
  (void)fclose(file);
}

/* Makes the folders that a path is in. What fails shows when the file is opened. */
static void make_folders(const char *path) {
  char *copy = strdup(path);
  for (char *p = copy; p != NULL && (p = strchr(p + 1, '/')) != NULL; *p = '/') {
    *p = '\0';
    (void)mkdir(copy, 0700);
  }
  free(copy);
}

/* Reads the history, and drops from its file what is too much. */
static void open_history(struct rille_editor *e) {
  HistEvent ev;
  (void)e->lib.history(e->history, &ev, H_SETSIZE, HISTORY_SIZE);
  (void)e->lib.history(e->history, &ev, H_SETUNIQUE, 1);
  if (e->file == NULL)
    return;
  make_folders(e->file);
  if (e->lib.history(e->history, &ev, H_LOAD, e->file) >= HISTORY_SIZE)
    (void)e->lib.history(e->history, &ev, H_SAVE, e->file);
}

static void set_up(struct rille_editor *e) {
  (void)e->lib.el_set(e->el, EL_EDITOR, "emacs");
  (void)e->lib.el_set(e->el, EL_SIGNAL, 0);
  (void)e->lib.el_set(e->el, EL_HIST, e->lib.history, e->history);
  (void)e->lib.el_set(e->el, EL_PROMPT, on_prompt);
  (void)e->lib.el_set(e->el, EL_GETCFN, on_getc);
  /* Wide, since of narrow strings libedit makes copies that it loses. */
  (void)e->lib.el_wset(e->el, EL_ADDFN, L"rille-complete", L"completes names of Lua", on_complete);
  (void)e->lib.el_set(e->el, EL_BIND, "\t", "rille-complete", NULL);
  (void)e->lib.el_set(e->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
  (void)e->lib.el_source(e->el, NULL); /* ~/.editrc */
}

/* Many systems that have no locale set have a terminal that shows UTF-8. */
static void choose_locale(struct rille_editor *e) {
  e->locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
  if (e->locale == (locale_t)0 || strcmp(nl_langinfo_l(CODESET, e->locale), "ANSI_X3.4-1968") == 0) {
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (e->locale != (locale_t)0)
      freelocale(e->locale);
    e->locale = utf8;
  }
  if (e->locale != (locale_t)0)
    (void)uselocale(e->locale);
}

static void tear_down(struct rille_editor *e) {
  if (e->el != NULL)
    e->lib.el_end(e->el);
  if (e->history != NULL)
    e->lib.history_end(e->history);
  (void)uselocale(LC_GLOBAL_LOCALE);
  if (e->locale != (locale_t)0)
    freelocale(e->locale);
}

/* The body of the thread. */
static void *run(void *data) {
  struct rille_editor *e = mine = data;
  while (sem_wait(&e->go) != 0)
    ;
  choose_locale(e);
  e->history = e->lib.history_init();
  e->el = e->history != NULL ? e->lib.el_init("rille", stdin, e->out, e->out) : NULL;
  if (e->el != NULL) {
    open_history(e);
    set_up(e);
  }
  enum rille_editor_event event = e->el != NULL ? RILLE_EDITOR_LINE : RILLE_EDITOR_END;
  for (;;) {
    enum order what = hand_over(e, event);
    if (what == CLOSE)
      break;
    event = RILLE_EDITOR_END;
    if (what == BEGIN)
      event = edit_line(e);
    else if (what == REMEMBER)
      remember(e);
  }
  tear_down(e);
  return NULL;
}

/* --- the caller's side --- */

static bool load(struct rille_editor *e, const char **why) {
  void *library = dlopen("libedit.so.2", RTLD_NOW | RTLD_LOCAL); /* it stays: what it leans on keeps memory */
  bool loaded = library != NULL;
#define LOOK_UP(name) \
  loaded = loaded && (*(void **)&e->lib.name = dlsym(library, #name)) != NULL;
  EACH_FUNCTION(LOOK_UP)
#undef LOOK_UP
  if (!loaded)
    *why = dlerror();
  return loaded;
}

static void release(struct rille_editor *e) {
  if (e->out != NULL)
    (void)fclose(e->out);
  (void)sem_destroy(&e->go);
  (void)sem_destroy(&e->back);
  free(e->file);
  free(e->text);
  free(e->kept_prompt);
  free(e);
}

/* The thread takes no signals: they are the other one's. */
static bool start_thread(struct rille_editor *e) {
  sigset_t all, before;
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  int err = pthread_create(&e->thread, NULL, run, e);
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  return err == 0;
}

struct rille_editor *rille_editor_open(const char *history, const char **why) {
  struct rille_editor *e = calloc(1, sizeof *e);
  *why = "not enough memory";
  if (e == NULL)
    return NULL;
  (void)sem_init(&e->go, 0, 0);
  (void)sem_init(&e->back, 0, 0);
  e->file = history != NULL ? strdup(history) : NULL;
  int fd = -1;
  if (!load(e, why) || (fd = dup(STDOUT_FILENO)) < 0 || (e->out = fdopen(fd, "w")) == NULL ||
      !start_thread(e)) {
    release(e);
    return NULL;
  }
  if (order(e, BEGIN) == RILLE_EDITOR_LINE)
    return e;
  *why = "libedit cannot use this terminal";
  rille_editor_close(e);
  return NULL;
}

enum rille_editor_event rille_editor_begin(struct rille_editor *e, const char *prompt) {
  e->prompt = prompt;
  return order(e, BEGIN);
}

enum rille_editor_event rille_editor_input(struct rille_editor *e) { return order(e, INPUT); }

enum rille_editor_event rille_editor_answer(struct rille_editor *e, const char *insert, const char *show) {
  e->argument = insert;
  e->show = show;
  return order(e, ANSWER);
}

enum rille_editor_event rille_editor_interrupt(struct rille_editor *e) { return order(e, INTERRUPT); }

const char *rille_editor_text(const struct rille_editor *e) { return e->text != NULL ? e->text : ""; }

void rille_editor_hide(struct rille_editor *e) { (void)order(e, HIDE); }

void rille_editor_show(struct rille_editor *e) { (void)order(e, SHOW); }

void rille_editor_resize(struct rille_editor *e) { (void)order(e, RESIZE); }

void rille_editor_resume(struct rille_editor *e) { (void)order(e, RESUME); }

void rille_editor_remember(struct rille_editor *e, const char *entry) {
  e->argument = entry;
  (void)order(e, REMEMBER);
}

void rille_editor_close(struct rille_editor *e) {
  if (e->event == RILLE_EDITOR_KEY || e->event == RILLE_EDITOR_COMPLETE)
    (void)order(e, GIVE_UP);
  e->order = CLOSE;
  (void)sem_post(&e->go);
  (void)pthread_join(e->thread, NULL);
  release(e);
}
