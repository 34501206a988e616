/* json_tape.cpp -- texts and JSON pointers on simdjson. The model is told in json_tape.h.
 * Model:  the tape is simdjson's own (its doc/tape.md). The DOM parser is used, not the on-demand one, since
 *         it checks all of the text.
 * Owner:  the struct owns simdjson's parser, and with it the tape.
 * Errors: simdjson's codes, as a status. Compiled without exceptions; every allocation is nothrow. */
#include "json_tape.h"

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
  const char *text = nullptr;
};

namespace {

char type_at(const rille_json *json, size_t at) {
  return static_cast<char>(json->parser.doc.tape[at] >> 56);
}

size_t end_of(uint64_t word) { return static_cast<uint32_t>(word); }

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

rille_json_status status_of(simdjson::error_code error) {
  switch (error) {
  case simdjson::SUCCESS:
    return RILLE_JSON_OK;
  case simdjson::MEMALLOC:
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
  json->error = simdjson::SUCCESS;
  json->text = text;
  if (length > simdjson::SIMDJSON_MAXSIZE_BYTES - GRAIN)
    json->error = simdjson::CAPACITY;
  else if (length > json->parser.capacity() || json->parser.capacity() == 0)
    json->error = allocate(json, (length / GRAIN + 1) * GRAIN);
  if (json->error == simdjson::SUCCESS)
    json->error = json->parser.parse(text, length, !padded).error();
  return status_of(json->error);
}

/* simdjson's own texts are data of its library, which is loaded late (late.c). */
const char *rille_json_reason(const struct rille_json *json) {
  switch (json->error) {
  case simdjson::UTF8_ERROR:
    return "it is not valid UTF-8";
  case simdjson::UNESCAPED_CHARS:
    return "a control character in a string is unescaped";
  case simdjson::UNCLOSED_STRING:
    return "a string has no end";
  case simdjson::EMPTY:
    return "there is no value";
  default:
    return "a token is not as JSON has it, or not where it can be";
  }
}

bool rille_json_is_pointer(const char *pointer, size_t length) {
  if (length > 0 && pointer[0] != '/')
    return false;
  for (size_t i = 0; i < length; i++)
    if (pointer[i] == '~' && (i + 1 == length || (pointer[i + 1] != '0' && pointer[i + 1] != '1')))
      return false;
  return true;
}

struct rille_json_tape rille_json_tape_of(const struct rille_json *json) {
  const simdjson::dom::document &doc = json->parser.doc;
  return {doc.tape.get(), reinterpret_cast<const char *>(doc.string_buf.get())};
}

/* Each token but the last is followed by a comma, a colon, or the end that it is the last before: that end
 * is counted as one less. */
size_t rille_json_token(const struct rille_json *json, size_t at) {
  size_t token = 0;
  for (size_t word = 1; word < at;) {
    uint64_t w = json->parser.doc.tape[word++];
    char type = static_cast<char>(w >> 56);
    bool is_begin = type == '[' || type == '{', is_end = type == ']' || type == '}';
    token += is_end || (is_begin && end_of(w) != word + 1) ? 1 : 2;
    word += type == 'l' || type == 'u' || type == 'd' ? 1 : 0;
  }
  return token;
}

bool rille_json_is_negative(const struct rille_json *json, size_t token) {
  return json->text[json->parser.implementation->structural_indexes[token]] == '-';
}

size_t rille_json_find(const struct rille_json *json, const char *pointer, size_t length) {
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
  return at;
}
