/* server_request.c -- reads HTTP/1 requests: a gate for lines, and llhttp. The model is told in
 * server_request.h.
 * Owner:  the reader owns its message's memory until it is taken.
 * Errors: refuse() is the only way to fail; the first refusal counts. */
#include "server_request.h"

#include <stdlib.h>
#include <string.h>

enum {
  BLANK_LINES = 4,          /* accepted before a request line (RFC 9112, 2.2) */
  FRAMING_PER_BYTE = 8,     /* a chunk of one byte has five bytes of framing */
  REQUEST_HEADER_FIELDS = 431
};

static int refuse(struct rille_request *r, int status, const char *reason) {
  if (r->phase != RILLE_REQUEST_FAILED) {
    r->phase = RILLE_REQUEST_FAILED;
    r->status = status;
    r->reason = reason;
  }
  return -1;
}

/* --- characters --- */

static bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* A control character that may stand in no line; tabs may. */
static bool is_control(char c) { return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f; }

static bool is_token_char(char c) {
  return is_alpha(c) || is_digit(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

bool rille_request_is_token(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (!is_token_char(text[i]))
      return false;
  return length > 0;
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

bool rille_request_is_word(const char *text, size_t length, const char *word) {
  if (strlen(word) != length)
    return false;
  for (size_t i = 0; i < length; i++)
    if (lower(text[i]) != lower(word[i]))
      return false;
  return true;
}

/* Characters of host and port (RFC 3986, 3.2): all that may follow "http://" up to the path, but
 * for userinfo. */
static bool is_authority(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (!is_alpha(text[i]) && !is_digit(text[i]) &&
        (text[i] == '\0' || strchr("-._~%!$&'()*+,;=:[]", text[i]) == NULL))
      return false;
  return true;
}

/* --- growing --- */

/* Makes room for `more` bytes after the first `length`, up to `limit`. False: out of memory. */
static bool reserve(char **buffer, size_t *size, size_t length, size_t more, size_t limit) {
  if (length + more <= *size)
    return true;
  size_t wanted = *size == 0 ? 1024 : *size * 2;
  if (wanted > limit)
    wanted = limit;
  if (wanted < length + more)
    wanted = length + more;
  char *grown = realloc(*buffer, wanted);
  if (grown == NULL)
    return false;
  *buffer = grown;
  *size = wanted;
  return true;
}

static bool append_header(struct rille_message *m, struct rille_span name) {
  if (m->header_count == m->header_size) {
    uint32_t size = m->header_size == 0 ? 16 : m->header_size * 2;
    void *grown = realloc(m->headers, size * sizeof *m->headers);
    if (grown == NULL)
      return false;
    m->headers = grown;
    m->header_size = size;
  }
  m->headers[m->header_count].name = name;
  m->headers[m->header_count].value = (struct rille_span){name.at, 0};
  m->header_count++;
  return true;
}

/* --- the gate --- */

/* The request line: method SP target SP HTTP/d.d, with one blank each and nothing else. */
static int check_request_line(struct rille_request *r, const char *line, size_t length) {
  const char *end = line + length;
  const char *target = memchr(line, ' ', length);
  if (target == NULL || !rille_request_is_token(line, (size_t)(target - line)))
    return refuse(r, 400, "malformed request line");
  target++;
  const char *version = memchr(target, ' ', (size_t)(end - target));
  if (version == NULL || version == target)
    return refuse(r, 400, "malformed request line");
  for (const char *c = target; c < version; c++)
    if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f || *c == '#')
      return refuse(r, 400, "bad character in the request target");
  version++;
  if (end - version != 8 || memcmp(version, "HTTP/", 5) != 0 || !is_digit(version[5]) ||
      version[6] != '.' || !is_digit(version[7]))
    return refuse(r, 400, "malformed request line");
  if (version[5] != '1' || version[7] > '1')
    return refuse(r, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  r->message.target.at = (uint32_t)(target - r->message.head);
  r->message.target.length = (uint32_t)(version - 1 - target);
  r->message.minor = (uint8_t)(version[7] - '0');
  return 0;
}

static int check_header_line(struct rille_request *r, const char *line, size_t length) {
  if (is_blank(line[0]))
    return refuse(r, 400, "folded header line");
  const char *colon = memchr(line, ':', length);
  if (colon == NULL || !rille_request_is_token(line, (size_t)(colon - line)))
    return refuse(r, 400, "malformed header line");
  if (r->message.header_count >= r->limits->headers)
    return refuse(r, REQUEST_HEADER_FIELDS, "too many header lines");
  return 0;
}

/* A complete line, CR LF included. */
static int check_line(struct rille_request *r, const char *line, size_t length) {
  if (length < 2 || line[length - 2] != '\r')
    return refuse(r, 400, "line without CR LF");
  length -= 2;
  for (size_t i = 0; i < length; i++)
    if (is_control(line[i]))
      return refuse(r, 400, "control character in the head");
  if (r->line == 0)
    return check_request_line(r, line, length);
  return length == 0 ? 0 : check_header_line(r, line, length);
}

/* Bytes of a body that are not content: chunk sizes, extensions, trailers. r->last is the byte
 * before them, or NUL after content, which a line's end must follow. */
static int check_framing(struct rille_request *r, const char *end) {
  for (const char *c = r->mark; c < end; c++) {
    if ((r->last == '\r') != (*c == '\n') || (r->last == '\0' && *c != '\r'))
      return refuse(r, 400, "line without CR LF in the body");
    if (r->last == '\n' && is_blank(*c))
      return refuse(r, 400, "folded line in the body");
    if (is_control(*c) && *c != '\r' && *c != '\n')
      return refuse(r, 400, "control character in the framing of the body");
    r->last = *c;
    r->framing++;
  }
  r->mark = end;
  if (r->framing > r->limits->head + FRAMING_PER_BYTE * r->message.body_length)
    return refuse(r, 413, "too much framing around the body");
  return 0;
}

/* --- the head as a whole --- */

/* The parts of "http://authority/path?query"; false if it is no such target. */
static bool split_absolute(struct rille_message *m) {
  const char *target = m->head + m->target.at;
  size_t scheme = 7, length = m->target.length;
  if (length < scheme || !rille_request_is_word(target, scheme, "http://")) {
    scheme = 8;
    if (length < scheme || !rille_request_is_word(target, scheme, "https://"))
      return false;
  }
  size_t end = scheme;
  while (end < length && target[end] != '/' && target[end] != '?')
    end++;
  if (end == scheme || !is_authority(target + scheme, end - scheme))
    return false;
  m->path.at = m->target.at + (uint32_t)end;
  m->path.length = m->target.length - (uint32_t)end;
  return true;
}

static int check_target(struct rille_request *r) {
  struct rille_message *m = &r->message;
  const char *target = m->head + m->target.at;
  if (strcmp(m->method, "CONNECT") == 0)
    return refuse(r, 501, "this is not a proxy");
  m->path = m->target;
  bool asterisk = m->target.length == 1 && target[0] == '*' && strcmp(m->method, "OPTIONS") == 0;
  if (target[0] != '/' && !asterisk && !split_absolute(m))
    return refuse(r, 400, "malformed request target");
  const char *path = m->head + m->path.at;
  const char *question = memchr(path, '?', m->path.length);
  m->query = (struct rille_span){m->path.at + m->path.length, 0};
  if (question != NULL) {
    uint32_t length = (uint32_t)(question - path);
    m->query.at = m->path.at + length + 1;
    m->query.length = m->path.length - length - 1;
    m->path.length = length;
  }
  return 0;
}

/* Headers that say how the request is framed, or to whom it goes. */
struct framing {
  const struct rille_header *host, *length, *encoding, *expect;
  bool repeated;
};

static void note(struct framing *f, const struct rille_header **place,
                 const struct rille_header *h) {
  f->repeated = f->repeated || *place != NULL;
  *place = h;
}

static struct framing find_framing(const struct rille_message *m) {
  struct framing f = {NULL, NULL, NULL, NULL, false};
  for (uint32_t i = 0; i < m->header_count; i++) {
    const struct rille_header *h = &m->headers[i];
    const char *name = m->head + h->name.at;
    if (rille_request_is_word(name, h->name.length, "host"))
      note(&f, &f.host, h);
    else if (rille_request_is_word(name, h->name.length, "content-length"))
      note(&f, &f.length, h);
    else if (rille_request_is_word(name, h->name.length, "transfer-encoding"))
      note(&f, &f.encoding, h);
    else if (rille_request_is_word(name, h->name.length, "expect"))
      f.expect = h;
  }
  return f;
}

static bool is_number(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (!is_digit(text[i]))
      return false;
  return length > 0;
}

static int check_framing_headers(struct rille_request *r, const struct framing *f) {
  const struct rille_message *m = &r->message;
  if (f->repeated)
    return refuse(r, 400, "repeated Host, Content-Length or Transfer-Encoding");
  if (f->host == NULL && m->minor == 1)
    return refuse(r, 400, "no Host header");
  if (f->host != NULL && !is_authority(m->head + f->host->value.at, f->host->value.length))
    return refuse(r, 400, "malformed Host header");
  if (f->length != NULL && !is_number(m->head + f->length->value.at, f->length->value.length))
    return refuse(r, 400, "malformed Content-Length");
  if (f->encoding == NULL)
    return 0;
  if (f->length != NULL || m->minor == 0)
    return refuse(r, 400, "Transfer-Encoding beside Content-Length, or in HTTP/1.0");
  if (!rille_request_is_word(m->head + f->encoding->value.at, f->encoding->value.length, "chunked"))
    return refuse(r, 501, "only the transfer coding \"chunked\" is known");
  return 0;
}

static int check_expectation(struct rille_request *r, const struct rille_header *expect) {
  if (expect == NULL || r->message.minor == 0)
    return 0;
  const char *value = r->message.head + expect->value.at;
  if (!rille_request_is_word(value, expect->value.length, "100-continue"))
    return refuse(r, 417, "only the expectation \"100-continue\" is known");
  r->expects = (r->parser.flags & F_CHUNKED) != 0 || r->parser.content_length > 0;
  return 0;
}

/* --- llhttp's callbacks --- */

static struct rille_span span_of(const struct rille_request *r, const char *at, size_t length) {
  return (struct rille_span){(uint32_t)(at - r->message.head), (uint32_t)length};
}

/* Trailers arrive as headers too, once the head is complete: they are read and dropped. */
static int on_header_field(llhttp_t *parser, const char *at, size_t length) {
  struct rille_request *r = parser->data;
  if (r->phase != RILLE_REQUEST_HEAD)
    return 0;
  if (!append_header(&r->message, span_of(r, at, length)))
    return refuse(r, 503, "out of memory");
  return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t length) {
  struct rille_request *r = parser->data;
  if (r->phase != RILLE_REQUEST_HEAD || r->message.header_count == 0)
    return 0;
  while (length > 0 && is_blank(at[length - 1]))
    length--;
  r->message.headers[r->message.header_count - 1].value = span_of(r, at, length);
  return 0;
}

static int on_headers_complete(llhttp_t *parser) {
  struct rille_request *r = parser->data;
  struct framing framing = find_framing(&r->message);
  r->message.method = llhttp_method_name((llhttp_method_t)parser->method);
  if (check_target(r) != 0 || check_framing_headers(r, &framing) != 0 ||
      check_expectation(r, framing.expect) != 0)
    return -1;
  if (parser->content_length > r->limits->body)
    return refuse(r, 413, "the body is too large");
  parser->upgrade = 0; /* an offer to change the protocol may be declined by going on as before */
  r->message.keep_alive = llhttp_should_keep_alive(parser) != 0;
  r->phase = RILLE_REQUEST_BODY;
  r->last = '\n';
  return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t length) {
  struct rille_request *r = parser->data;
  struct rille_message *m = &r->message;
  if (check_framing(r, at) != 0)
    return -1;
  if (length > r->limits->body - m->body_length)
    return refuse(r, 413, "the body is too large");
  if (!reserve(&m->body, &m->body_size, m->body_length, length, r->limits->body))
    return refuse(r, 503, "out of memory");
  memcpy(m->body + m->body_length, at, length);
  m->body_length += length;
  r->mark = at + length;
  r->last = '\0';
  return 0;
}

/* A chunk that says it will be too large need not be waited for. */
static int on_chunk_header(llhttp_t *parser) {
  struct rille_request *r = parser->data;
  if (parser->content_length > r->limits->body - r->message.body_length)
    return refuse(r, 413, "the body is too large");
  return 0;
}

static int on_message_complete(llhttp_t *parser) {
  struct rille_request *r = parser->data;
  if (r->phase != RILLE_REQUEST_FAILED)
    r->phase = RILLE_REQUEST_COMPLETE;
  return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_chunk_header = on_chunk_header,
    .on_message_complete = on_message_complete,
};

/* --- feeding --- */

static void refuse_by_parser(struct rille_request *r, llhttp_errno_t err) {
  /* the gate has seen that the line says HTTP: a constant that differs is the method's fault */
  if (err == HPE_INVALID_METHOD || err == HPE_INVALID_CONSTANT)
    (void)refuse(r, 501, "unknown method");
  else
    (void)refuse(r, 400, "malformed request");
}

/* A line of the head is complete: from r->line to the end of the head. */
static void read_line(struct rille_request *r) {
  struct rille_message *m = &r->message;
  const char *line = m->head + r->line;
  size_t length = m->head_length - r->line;
  if (r->line == 0 && length == 2 && line[0] == '\r' && r->blank_lines < BLANK_LINES) {
    r->blank_lines++;
    m->head_length = 0;
    return;
  }
  if (check_line(r, line, length) != 0)
    return;
  r->line = m->head_length;
  llhttp_errno_t err = llhttp_execute(&r->parser, line, length);
  if (err != HPE_OK && r->phase != RILLE_REQUEST_COMPLETE)
    refuse_by_parser(r, err);
}

static size_t feed_head(struct rille_request *r, const char *data, size_t length) {
  struct rille_message *m = &r->message;
  const char *newline = memchr(data, '\n', length);
  size_t used = newline == NULL ? length : (size_t)(newline - data) + 1;
  if (used > r->limits->head - m->head_length) {
    const char *reason = r->line == 0 ? "the request line is too long" : "the head is too large";
    (void)refuse(r, r->line == 0 ? 414 : REQUEST_HEADER_FIELDS, reason);
    return used;
  }
  /* The buffer never moves while a line is given to llhttp: it keeps no pointer between lines. */
  if (!reserve(&m->head, &m->head_size, m->head_length, used, r->limits->head)) {
    (void)refuse(r, 503, "out of memory");
    return used;
  }
  memcpy(m->head + m->head_length, data, used);
  m->head_length += used;
  if (newline != NULL)
    read_line(r);
  else if (r->line == 0 && m->head_length > 0 && m->head[0] != '\r' && !is_token_char(m->head[0]))
    (void)refuse(r, 400, "malformed request line"); /* a TLS hello, say, has no lines to wait for */
  return used;
}

static size_t feed_body(struct rille_request *r, const char *data, size_t length) {
  r->mark = data;
  llhttp_errno_t err = llhttp_execute(&r->parser, data, length);
  const char *end = data + length;
  if (r->phase == RILLE_REQUEST_COMPLETE)
    end = llhttp_get_error_pos(&r->parser);
  else if (err != HPE_OK)
    refuse_by_parser(r, err);
  if (r->phase != RILLE_REQUEST_FAILED && r->mark < end)
    (void)check_framing(r, end);
  return (size_t)(end - data);
}

size_t rille_request_feed(struct rille_request *r, const char *data, size_t length) {
  size_t used = 0;
  while (used < length && r->phase == RILLE_REQUEST_HEAD)
    used += feed_head(r, data + used, length - used);
  if (used < length && r->phase == RILLE_REQUEST_BODY)
    used += feed_body(r, data + used, length - used);
  return used;
}

bool rille_request_started(const struct rille_request *r) { return r->message.head_length > 0; }

void rille_request_init(struct rille_request *r, const struct rille_request_limits *limits) {
  memset(r, 0, sizeof *r);
  r->limits = limits;
  llhttp_init(&r->parser, HTTP_REQUEST, &settings);
  r->parser.data = r;
}

void rille_request_take(struct rille_request *r, struct rille_message *m) {
  *m = r->message;
  memset(&r->message, 0, sizeof r->message);
}

void rille_request_reset(struct rille_request *r) {
  rille_message_free(&r->message);
  rille_request_init(r, r->limits);
}

void rille_message_free(struct rille_message *m) {
  free(m->head);
  free(m->body);
  free(m->headers);
  memset(m, 0, sizeof *m);
}
