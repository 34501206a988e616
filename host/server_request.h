/* server_request.h -- one HTTP/1 request, read from bytes as they arrive: llhttp behind a strict gate.
 *
 * Model.  Lines of the head are collected in one buffer; each is checked when it is complete and
 * then given to llhttp, so that a bad line is refused before the next one is read. The gate is
 * stricter than the parser where leniency lets two programs on the way disagree about where a
 * request ends: lines end in CR LF and in nothing else, no line is folded, a name has no blank
 * before its colon, there is one Content-Length or one Transfer-Encoding that says "chunked", and
 * one Host. The body is decoded by llhttp, and what frames its chunks is held to the same rules
 * about lines and bounded in size.
 *   A reader is fed until it is COMPLETE or FAILED; what it did not use belongs to the next
 * request.
 *
 * Owner.  A reader owns its message until rille_request_take moves it to the caller, who frees it
 * with rille_message_free. A reader must not move in memory: llhttp's callbacks find it by its
 * address.
 *
 * Errors. A refused request leaves the status to answer with, and the reason, in the reader; the
 * bytes that follow it have no meaning. Out of memory is refused with 503. */
#ifndef RILLE_SERVER_REQUEST_H
#define RILLE_SERVER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <llhttp.h>

enum rille_request_phase {
  RILLE_REQUEST_HEAD,     /* in the request line or in the header lines */
  RILLE_REQUEST_BODY,     /* the head is complete */
  RILLE_REQUEST_COMPLETE, /* the message may be taken */
  RILLE_REQUEST_FAILED    /* status and reason tell */
};

/* A piece of a message's head. */
struct rille_span {
  uint32_t at;
  uint32_t length;
};

struct rille_header {
  struct rille_span name;
  struct rille_span value; /* without blanks around it */
};

struct rille_message {
  const char *method; /* static: "GET" */
  char *head;         /* the lines as received; spans point into it */
  char *body;         /* decoded; NULL when empty */
  struct rille_header *headers;
  size_t head_length;
  size_t head_size;
  size_t body_length;
  size_t body_size;
  uint32_t header_count;
  uint32_t header_size;
  struct rille_span target; /* as received: "/path?query", "http://host/path?query" or "*" */
  struct rille_span path;   /* of the target; empty in "http://host" */
  struct rille_span query;  /* without its question mark */
  uint8_t minor;            /* of the version: HTTP/1.<minor> */
  bool keep_alive;          /* the client wants to go on using the connection */
};

struct rille_request_limits {
  size_t head;      /* bytes of the request line and the header lines */
  size_t body;      /* bytes of the decoded body */
  uint32_t headers; /* header lines */
};

struct rille_request {
  llhttp_t parser;
  const struct rille_request_limits *limits; /* outlive the reader */
  struct rille_message message;
  size_t line;         /* where in the head the line begins that is being collected */
  size_t framing;      /* bytes of the body that are not content */
  const char *mark;    /* up to where the input was seen to be framing or content */
  const char *reason;  /* of the refusal, static */
  int status;          /* of the refusal */
  uint8_t phase;
  uint8_t blank_lines; /* skipped before the request line */
  char last;           /* the byte of framing before the mark, NUL after content */
  bool expects;        /* the client waits for "100 Continue" before it sends the body */
};

void rille_request_init(struct rille_request *r, const struct rille_request_limits *limits);

/* Reads up to `length` bytes, returns how many were used: all of them unless the request is
 * complete or has failed. Once it is, nothing more is used. */
size_t rille_request_feed(struct rille_request *r, const char *data, size_t length);

/* True once a byte of the request has been read (empty lines before it do not count). */
bool rille_request_started(const struct rille_request *r);

/* Moves the message of a complete request to *m. The reader may be freed or reset. */
void rille_request_take(struct rille_request *r, struct rille_message *m);

/* Makes the reader ready for the next request; what it still owns is freed. */
void rille_request_reset(struct rille_request *r);

/* Frees what a message owns, and empties it. */
void rille_message_free(struct rille_message *m);

/* True for the characters of a token (RFC 9110, 5.6.2): methods and header names are tokens. */
bool rille_request_is_token(const char *text, size_t length);

/* True if the `length` bytes are `word`, letters' case aside. */
bool rille_request_is_word(const char *text, size_t length, const char *word);

#endif
