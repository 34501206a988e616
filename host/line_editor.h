/* line_editor.h -- a line that is edited on the terminal, by libedit, while the loop runs.
 *
 * Model.  libedit reads keys and returns when a line is complete; it cannot be left in between. So it has a
 * thread of its own, of which only one thing is wanted: its stack. Either that thread runs or the caller's,
 * never both: an order passes the baton, and an event gives it back. While libedit waits for a key its
 * thread stands still and the caller's goes on. All of libedit happens in that thread, in the locale of the
 * environment, which Lua's thread is not put in.
 *   libedit is loaded when an editor is opened. It writes through a stream of its own, not stdout.
 *
 * Owner.  rille_editor_open makes an editor, rille_editor_close ends the thread and restores the terminal.
 * Texts that events bring belong to the editor, until the next order.
 *
 * Errors.  rille_editor_open returns NULL and why. A history that cannot be read or written is none. */
#ifndef RILLE_LINE_EDITOR_H
#define RILLE_LINE_EDITOR_H

#include <stdbool.h>

enum rille_editor_event {
  RILLE_EDITOR_KEY,         /* it wants a key: standard input is to be waited for */
  RILLE_EDITOR_LINE,        /* a line is complete: `text` */
  RILLE_EDITOR_COMPLETE,    /* the line up to the cursor, `text`, is to be completed: rille_editor_answer */
  RILLE_EDITOR_INTERRUPTED, /* the line was given up */
  RILLE_EDITOR_END          /* end of input; or nothing is being edited */
};

struct rille_editor;

/* Opens an editor on standard input and output, with the history of that file, or NULL for none. */
struct rille_editor *rille_editor_open(const char *history, const char **why);

/* Begins a line. */
enum rille_editor_event rille_editor_begin(struct rille_editor *e, const char *prompt);

/* There is standard input to be read: takes all keys there are. */
enum rille_editor_event rille_editor_input(struct rille_editor *e);

/* Inserts a text at the cursor, and shows a text of whole lines above the line; "" for none. */
enum rille_editor_event rille_editor_answer(struct rille_editor *e, const char *insert, const char *show);

/* Gives the line up. */
enum rille_editor_event rille_editor_interrupt(struct rille_editor *e);

/* The text of the last event. */
const char *rille_editor_text(const struct rille_editor *e);

/* Takes the line that is being edited off the terminal, and puts it back below what was written since. */
void rille_editor_hide(struct rille_editor *e);
void rille_editor_show(struct rille_editor *e);

/* The terminal has another size; or it is ours again after a stop. */
void rille_editor_resize(struct rille_editor *e);
void rille_editor_resume(struct rille_editor *e);

/* Columns of the terminal. */
int rille_editor_columns(void);

/* Adds an entry, of one line or more, to the history and its file. Nothing is being edited. */
void rille_editor_remember(struct rille_editor *e, const char *entry);

void rille_editor_close(struct rille_editor *e);

#endif
