/* json_value.c -- the Lua value of a place on the tape of a JSON text. The model is told in json_value.h.
 * Owner:  nothing is held while Lua may raise or collect: what is made lies on the stack. Tables that are
 *         not complete do, each under the key that waits for its value.
 * Errors: told in json_value.h. */
#include "json_value.h"

#include <stdbool.h>
#include <string.h>

#include <lauxlib.h>

enum { SHORT = 40 }; /* longer strings are seldom there twice, and Lua does not look for them */

static const uint64_t PAYLOAD = (UINT64_C(1) << 56) - 1;
static const uint64_t SPREAD = UINT64_C(0x9E3779B97F4A7C15); /* 2^64 by the golden ratio */

struct walk {
  struct rille_json *json;
  struct rille_json_tape tape;
  const uint64_t *next;
  size_t start; /* the place where the walk began; 0: the tokens before are counted */
  size_t token; /* of the word (rille_json_token); until then from the start */
  struct rille_json_strings *strings;
  int keeper;
};

static char type_of(uint64_t word) { return (char)(word >> 56); }

/* --- strings --- */

static uint64_t eight_bytes(const char *p) {
  uint64_t bytes;
  memcpy(&bytes, p, sizeof bytes);
  return bytes;
}

/* A number for a string of the tape, of its length, which is in the four bytes before, and of both ends. */
static uint64_t mark_of(const char *text, size_t length) {
  uint64_t bits = length;
  if (length >= 4)
    bits = eight_bytes(text - 4) ^ eight_bytes(text + length - 8) * SPREAD;
  else
    for (size_t i = 0; i < length; i++)
      bits = bits << 8 | (unsigned char)text[i];
  return bits * SPREAD;
}

static void push_string(lua_State *L, const struct walk *w, uint64_t word) {
  const char *text = w->tape.texts + (word & PAYLOAD);
  uint32_t length;
  memcpy(&length, text, sizeof length);
  text += sizeof length;
  if (length > SHORT) {
    lua_pushlstring(L, text, length);
    return;
  }
  uint64_t mark = mark_of(text, length);
  size_t place = (size_t)(mark >> (64 - RILLE_JSON_STRINGS_BITS));
  struct rille_json_string *known = &w->strings->known[place];
  if (known->text != NULL && known->length == length && memcmp(known->text, text, length) == 0) {
    lua_rawgeti(L, w->keeper, (lua_Integer)place + 1);
    return;
  }
  const char *made = lua_pushlstring(L, text, length); /* last to raise: the keeper has its size */
  if (known->missed == (uint32_t)mark) {
    lua_pushvalue(L, -1);
    lua_rawseti(L, w->keeper, (lua_Integer)place + 1);
    known->text = made;
    known->length = length;
  }
  known->missed = (uint32_t)mark;
}

void rille_json_push_keeper(lua_State *L) { lua_createtable(L, RILLE_JSON_STRINGS, 0); }

/* --- values --- */

/* Of a zero. The tokens before the walk are counted once, and only then. */
static bool is_negative(struct walk *w) {
  if (w->start > 0)
    w->token += rille_json_token(w->json, w->start);
  w->start = 0;
  return rille_json_is_negative(w->json, w->token);
}

/* As lua-cjson has it, every number is a float. */
static void push_number(lua_State *L, struct walk *w, size_t at) {
  char type = type_of(w->tape.words[at]);
  uint64_t bits = w->tape.words[at + 1];
  double number;
  if (type == 'd')
    memcpy(&number, &bits, sizeof number);
  else if (type == 'u')
    number = (double)bits;
  else if (bits == 0 && is_negative(w))
    number = -0.0;
  else
    number = (double)(int64_t)bits;
  lua_pushnumber(L, number);
}

static int count_of(uint64_t begin) { return (int)((begin & PAYLOAD) >> 32); }

static void push_table(lua_State *L, uint64_t begin) {
  int count = count_of(begin);
  bool is_array = type_of(begin) == '[';
  luaL_checkstack(L, LUA_MINSTACK, "JSON value");
  lua_createtable(L, is_array ? count : 0, is_array ? 0 : count);
}

/* Pushes the value that begins or is with a word. */
static void push_begin(lua_State *L, struct walk *w, uint64_t word) {
  char type = type_of(word);
  switch (type) {
  case '[':
  case '{':
    push_table(L, word);
    break;
  case '"':
    push_string(L, w, word);
    break;
  case 'l':
  case 'u':
  case 'd':
    push_number(L, w, (size_t)(w->next++ - w->tape.words) - 1);
    break;
  case 't':
  case 'f':
    lua_pushboolean(L, type == 't');
    break;
  default:
    lua_pushlightuserdata(L, NULL); /* null, as lua-cjson has it */
  }
}

void rille_json_push(lua_State *L, struct rille_json *json, size_t at, struct rille_json_strings *strings,
                     int keeper) {
  struct rille_json_tape tape = rille_json_tape_of(json);
  struct walk w = {json, tape, tape.words + at, at, 0, strings, keeper};
  lua_Integer index[RILLE_JSON_LEVELS + 1]; /* on each level of the next element; 0: an object's */
  size_t level = 0;
  luaL_checkstack(L, LUA_MINSTACK, "JSON value");
  do {
    uint64_t word = *w.next++;
    if (level > 0 && index[level] == 0 && type_of(word) == '"') {
      push_string(L, &w, word);
      word = *w.next++;
      w.token += 2;
    }
    char type = type_of(word);
    if (type == ']' || type == '}') {
      level--;
      w.token++;
    } else {
      push_begin(L, &w, word);
      if (type == '[' || type == '{') {
        index[++level] = type == '[';
        w.token += count_of(word) == 0 ? 2 : 1;
        continue;
      }
      w.token += 2;
    }
    if (level > 0 && index[level] > 0)
      lua_rawseti(L, -2, index[level]++);
    else if (level > 0)
      lua_rawset(L, -3);
  } while (level > 0);
}
