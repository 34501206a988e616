/* json_pointer.cpp -- JSON pointers on simdjson. The model is told in json_pointer.h.
 * Model:  simdjson's tape (its doc/tape.md): words with a type in the upper 8 bits and a payload in the
 *         others. A string's payload is its place in the string buffer; the payload of [ and { has the place
 *         behind the end in 32 bits and the count in 24; of l, u and d a second word is the number.
 *         The DOM parser is used, not the on-demand one, since it checks all of the text.
 * Owner:  the struct owns simdjson's parser, and with it the tape.
 * Errors: simdjson's codes, as a status. Compiled without exceptions; every allocation is nothrow. */
#include "json_pointer.h"

#include <cstdint>
#include <cstring>
#include <new>

#include <simdjson.h>

static_assert(RILLE_JSON_PADDING >= simdjson::SIMDJSON_PADDING, "simdjson reads further behind a text");

namespace {

constexpr size_t GRAIN = 64 * 1024;     /* capacities are multiples of it */
constexpr size_t LARGE = 1024 * 1024;   /* a parser takes up to 14 bytes for each of its text */
constexpr size_t INDEX_DIGITS = 10;     /* no array is longer */
constexpr uint64_t PAYLOAD = (uint64_t{1} << 56) - 1;

} // namespace

struct rille_json {
  simdjson::dom::parser parser;
  simdjson::error_code error = simdjson::SUCCESS;
  /* The walk over the value that was found. */
  size_t at = 0; /* the next word of the tape */
  size_t depth = 0;
  bool is_walking = false;
  bool is_key = false;                       /* the next string is a key */
  uint32_t places[RILLE_JSON_LEVELS + 2] = {}; /* in each array the index of the next element; 0: object */
};

namespace {

char type_at(const rille_json *json, size_t at) {
  return static_cast<char>(json->parser.doc.tape[at] >> 56);
}

size_t end_of(uint64_t word) { return static_cast<uint32_t>(word); }

size_t count_of(uint64_t word) { return (word & PAYLOAD) >> 32; }

/* The place behind the value at a place. */
size_t behind(const rille_json *json, size_t at) {
  switch (type_at(json, at)) {
  case '[':
  case '{':
    return end_of(json->parser.doc.tape[at]);
  case 'l':
  case 'u':
  case 'd':
    return at + 2;
  default:
    return at + 1;
  }
}

const char *string_at(const rille_json *json, size_t at, size_t *length) {
  const uint8_t *p = &json->parser.doc.string_buf[json->parser.doc.tape[at] & PAYLOAD];
  uint32_t n;
  std::memcpy(&n, p, sizeof n);
  *length = n;
  return reinterpret_cast<const char *>(p + sizeof n);
}

double number_at(const rille_json *json, size_t at) {
  uint64_t bits = json->parser.doc.tape[at + 1];
  switch (type_at(json, at)) {
  case 'l':
    return static_cast<double>(static_cast<int64_t>(bits));
  case 'u':
    return static_cast<double>(bits);
  default: {
    double number;
    std::memcpy(&number, &bits, sizeof number);
    return number;
  }
  }
}

/* True if a token, with its escapes, says the key. */
bool says(const char *token, size_t n, const char *key, size_t length) {
  size_t k = 0;
  for (size_t i = 0; i < n; i++, k++) {
    char c = token[i];
    if (c == '~')
      c = token[++i] == '0' ? '~' : '/';
    if (k >= length || key[k] != c)
      return false;
  }
  return k == length;
}

/* The place of the last member with that key; 0: there is none. */
size_t find_member(const rille_json *json, size_t object, const char *token, size_t n) {
  size_t found = 0;
  for (size_t at = object + 1; type_at(json, at) != '}'; at = behind(json, at + 1)) {
    size_t length;
    const char *key = string_at(json, at, &length);
    if (says(token, n, key, length))
      found = at + 1;
  }
  return found;
}

/* The place of an element; 0: there is none, or the token is not an index. */
size_t find_element(const rille_json *json, size_t array, const char *token, size_t n) {
  if (n == 0 || n > INDEX_DIGITS || (n > 1 && token[0] == '0'))
    return 0;
  uint64_t index = 0;
  for (size_t i = 0; i < n; i++) {
    if (token[i] < '0' || token[i] > '9')
      return 0;
    index = index * 10 + static_cast<uint64_t>(token[i] - '0');
  }
  size_t at = array + 1;
  for (; type_at(json, at) != ']'; at = behind(json, at))
    if (index-- == 0)
      return at;
  return 0;
}

/* Room for a text; simdjson's own choice of the levels would be another one. */
simdjson::error_code allocate(rille_json *json, size_t size) {
  simdjson::error_code error = json->parser.allocate(size, RILLE_JSON_LEVELS);
  return error == simdjson::SUCCESS ? json->parser.doc.allocate(size) : error;
}

/* An array or object begins, of which `place` is told in the struct. */
void enter(rille_json *json, uint32_t place) {
  json->places[++json->depth] = place;
  json->is_key = place == 0;
}

/* A value is complete: tells where it is. */
void complete(rille_json *json, rille_json_event *event) {
  uint32_t *place = &json->places[json->depth];
  event->depth = json->depth;
  event->index = *place;
  if (*place > 0)
    ++*place;
  json->is_key = json->depth > 0 && *place == 0;
  json->is_walking = json->depth > 0;
}

rille_json_kind kind_of(char type) {
  switch (type) {
  case 'n':
    return RILLE_JSON_NULL;
  case 'f':
    return RILLE_JSON_FALSE;
  case 't':
    return RILLE_JSON_TRUE;
  case '"':
    return RILLE_JSON_STRING;
  case '[':
    return RILLE_JSON_ARRAY;
  case '{':
    return RILLE_JSON_OBJECT;
  case ']':
  case '}':
    return RILLE_JSON_END;
  default:
    return RILLE_JSON_NUMBER;
  }
}

rille_json_status status_of(simdjson::error_code error) {
  switch (error) {
  case simdjson::SUCCESS:
    return RILLE_JSON_OK;
  case simdjson::MEMALLOC:
    return RILLE_JSON_MEMORY;
  case simdjson::CAPACITY:
  case simdjson::DEPTH_ERROR:
  case simdjson::NUMBER_ERROR:
    return RILLE_JSON_BEYOND;
  default:
    return RILLE_JSON_BAD;
  }
}

} // namespace

struct rille_json *rille_json_new(void) { return new (std::nothrow) rille_json; }

void rille_json_free(struct rille_json *json) { delete json; }

bool rille_json_is_large(const struct rille_json *json) { return json->parser.capacity() > LARGE; }

enum rille_json_status rille_json_parse(struct rille_json *json, const char *text, size_t length,
                                        bool padded) {
  json->is_walking = false;
  json->error = simdjson::SUCCESS;
  if (length > simdjson::SIMDJSON_MAXSIZE_BYTES - GRAIN)
    json->error = simdjson::CAPACITY;
  else if (length > json->parser.capacity() || json->parser.capacity() == 0)
    json->error = allocate(json, (length / GRAIN + 1) * GRAIN);
  if (json->error == simdjson::SUCCESS)
    json->error = json->parser.parse(text, length, !padded).error();
  return status_of(json->error);
}

const char *rille_json_reason(const struct rille_json *json) {
  return simdjson::error_message(json->error);
}

bool rille_json_is_pointer(const char *pointer, size_t length) {
  if (length > 0 && pointer[0] != '/')
    return false;
  for (size_t i = 0; i < length; i++)
    if (pointer[i] == '~' && (i + 1 == length || (pointer[i + 1] != '0' && pointer[i + 1] != '1')))
      return false;
  return true;
}

bool rille_json_find(struct rille_json *json, const char *pointer, size_t length) {
  size_t at = 1; /* behind the root */
  const char *end = pointer + length;
  while (pointer < end && at != 0) {
    const char *token = ++pointer;
    while (pointer < end && *pointer != '/')
      pointer++;
    char type = type_at(json, at);
    size_t n = static_cast<size_t>(pointer - token);
    at = type == '{' ? find_member(json, at, token, n) : type == '[' ? find_element(json, at, token, n) : 0;
  }
  json->at = at;
  json->depth = 0;
  json->is_walking = at != 0;
  json->is_key = false;
  return at != 0;
}

bool rille_json_next(struct rille_json *json, struct rille_json_event *event) {
  if (!json->is_walking)
    return false;
  uint64_t word = json->parser.doc.tape[json->at];
  char type = type_at(json, json->at);
  *event = {};
  event->kind = kind_of(type);
  if (event->kind == RILLE_JSON_STRING)
    event->text = string_at(json, json->at, &event->length);
  else if (event->kind == RILLE_JSON_NUMBER)
    event->number = number_at(json, json->at);
  if (event->kind == RILLE_JSON_ARRAY || event->kind == RILLE_JSON_OBJECT) {
    event->count = count_of(word);
    enter(json, type == '[' ? 1 : 0);
    json->at++;
    return true;
  }
  json->at = behind(json, json->at);
  if (event->kind == RILLE_JSON_STRING && json->is_key) {
    event->kind = RILLE_JSON_KEY;
    json->is_key = false;
    return true;
  }
  if (event->kind == RILLE_JSON_END)
    json->depth--;
  complete(json, event);
  return true;
}
