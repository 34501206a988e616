/* json_tape.h -- a JSON text on simdjson's tape, and JSON pointers (RFC 6901) into it. No Lua.
 * Model:  a parser reads a text whole into a tape, which is flat: a word or two for each value, without a
 *         table or a string. One document at a time.
 * Owner:  who makes a parser frees it. The tape stays until the next parse. The text is borrowed for as long
 *         as the tape is read.
 * Errors: a status, and its reason in words. Nothing is thrown. */
#ifndef RILLE_JSON_TAPE_H
#define RILLE_JSON_TAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  RILLE_JSON_PADDING = 64, /* readable bytes behind a text that need not be copied; they do not matter */
  RILLE_JSON_LEVELS = 1000 /* of arrays and objects within each other */
};

enum rille_json_status {
  RILLE_JSON_OK,
  RILLE_JSON_BEYOND, /* simdjson cannot hold a number, the levels or the size: it may be JSON or not */
  RILLE_JSON_BAD
};

/* The tape of a text: words with the type in the upper 8 bits, a character, and a payload in the others.
 *   r            first and last
 *   n f t        null, false, true
 *   "            a string, or a key in front of its value; the payload is the place of its text: four bytes
 *                with the length, in the machine's order, and the bytes
 *   l u d        the next word is the number: int64_t, uint64_t, double
 *   [ ] { }      begin and end; of a begin, bits 32 to 55 are the count (2^24 - 1 may be more) and the lower
 *                32 the place behind its end */
struct rille_json_tape {
  const uint64_t *words;
  const char *texts;
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

/* The tape of the last text that was read. The value is at place 1. */
struct rille_json_tape rille_json_tape_of(const struct rille_json *json);

/* The number of the token of the text that the word at a place is: brackets, braces, colons, commas, strings
 * and other values, from 0. */
size_t rille_json_token(const struct rille_json *json, size_t at);

/* True if a token begins with a minus: of -0 the tape does not tell. */
bool rille_json_is_negative(const struct rille_json *json, size_t token);

/* The place on the tape of the value that the pointer leads to; 0: it leads to nothing. Of equal keys the
 * last one counts. */
size_t rille_json_find(const struct rille_json *json, const char *pointer, size_t length);

#ifdef __cplusplus
}
#endif

#endif
