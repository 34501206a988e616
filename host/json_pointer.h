/* json_pointer.h -- the value that a JSON pointer (RFC 6901) leads to in a JSON text, on simdjson. No Lua.
 * Model:  a parser reads a text whole into simdjson's tape, which is flat: a word or two for each value,
 *         without a table or a string. A pointer is followed there, and the value that it leads to is then
 *         told event by event, in the order of the text. One document at a time.
 * Owner:  who makes a parser frees it. What an event points to stays until the next parse. The text is
 *         borrowed for the parse.
 * Errors: a status, and its reason in words. Nothing is thrown. */
#ifndef RILLE_JSON_POINTER_H
#define RILLE_JSON_POINTER_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  RILLE_JSON_PADDING = 64, /* readable bytes behind a text that need not be copied; they do not matter */
  RILLE_JSON_LEVELS = 1000 /* of arrays and objects within each other */
};

enum rille_json_status {
  RILLE_JSON_OK,
  RILLE_JSON_MEMORY,
  RILLE_JSON_BEYOND, /* simdjson cannot hold a number, the levels or the size: it may be JSON or not */
  RILLE_JSON_BAD
};

enum rille_json_kind {
  RILLE_JSON_NULL,
  RILLE_JSON_FALSE,
  RILLE_JSON_TRUE,
  RILLE_JSON_NUMBER,
  RILLE_JSON_STRING,
  RILLE_JSON_KEY, /* of an object; the events of its value follow */
  RILLE_JSON_ARRAY,
  RILLE_JSON_OBJECT,
  RILLE_JSON_END /* of the array or object */
};

struct rille_json_event {
  enum rille_json_kind kind;
  const char *text; /* of a string or key */
  size_t length;
  double number;
  size_t count; /* elements or members, for a hint: 2^24 - 1 may be more */
  /* Where a value that is complete with this event is: */
  size_t depth; /* so many arrays and objects around it */
  size_t index; /* in an array, from 1; 0: it is the value of the last key, or the whole */
};

struct rille_json;

/* A parser, or NULL when out of memory. */
struct rille_json *rille_json_new(void);

void rille_json_free(struct rille_json *json);

/* True if it has grown so large that it is better freed than kept. */
bool rille_json_is_large(const struct rille_json *json);

/* Reads a text. `padded`: RILLE_JSON_PADDING bytes behind it can be read; else it is copied. */
enum rille_json_status rille_json_parse(struct rille_json *json, const char *text, size_t length,
                                        bool padded);

/* Why the last text was not read. */
const char *rille_json_reason(const struct rille_json *json);

/* True if the text is a pointer: "", or "/" before each token, and "~" only as "~0" and "~1". */
bool rille_json_is_pointer(const char *pointer, size_t length);

/* Goes to the value that the pointer leads to. False if it leads to nothing. Of equal keys the last one
 * counts. After a parse that was RILLE_JSON_OK. */
bool rille_json_find(struct rille_json *json, const char *pointer, size_t length);

/* Tells the next event of the value that was found. False when it was told whole. */
bool rille_json_next(struct rille_json *json, struct rille_json_event *event);

#ifdef __cplusplus
}
#endif

#endif
