/* transfer_receive.h -- what a transfer makes of the response that libcurl hands over. A part of
 * transfer.c.
 * Model:  libcurl calls on_head for each line of a head, interim, redirecting and final ones, and
 *         for trailers; then on_body for each piece. A new head drops what came before it. Bodies
 *         are decoded here (decode.h).
 * Owner:  the transfer owns what is received.
 * Errors: a callback that finds a fault stores it in t->end and makes libcurl fail. It fails
 *         without a fault only when out of memory. */
#ifndef RILLE_TRANSFER_RECEIVE_H
#define RILLE_TRANSFER_RECEIVE_H

#include "transfer.h"

/* CURLOPT_HEADERFUNCTION and CURLOPT_WRITEFUNCTION, with the transfer as their data. */
size_t rille_receive_on_head(char *line, size_t one, size_t length, void *transfer);
size_t rille_receive_on_body(char *data, size_t one, size_t length, void *transfer);

/* A streamed transfer that is behind: decodes as much more as there is room for. False if the rest is
 * corrupt or memory is short; a transfer that has ended has its result in t->end. */
bool rille_receive_catch_up(struct rille_transfer *t);

/* What became of a transfer that libcurl has ended with t->code. */
enum rille_transfer_end rille_receive_judge(const struct rille_transfer *t);

/* True if the word is this one, whatever its case. */
bool rille_receive_is_word(const char *value, size_t length, const char *word);

#endif
