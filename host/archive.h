/* archive.h -- what `rille build` has put behind a copy of this program: texts with names.
 * Model:  the file is the program, the texts one after another, the index. A mark in the program, which is
 *         all zeros there but for its magic, says in the copy where the index is: so a program that has lost
 *         its archive knows it, and one that never had any pays nothing. The file is mapped; a text is
 *         looked up by name and stays where it is. Each text has a sum, and so has the index.
 *         Numbers are those of the machine, which is that of the program.
 * Owner:  who opens the archive; it stays mapped until the program ends.
 * Errors: rille_archive_open returns what is wrong, as one line; rille_archive_find tells a damaged text. */
#ifndef RILLE_ARCHIVE_H
#define RILLE_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rille_archive {
  const char *file; /* mapped, or NULL: there is no archive */
  uint64_t index;   /* where it begins: the texts are before it */
  uint64_t size;    /* of the index */
  uint64_t count;   /* of its entries */
};

struct rille_archive_entry {
  const char *text;
  size_t size;
  const char *note; /* what the builder has noted of it: not ended by a 0 */
  size_t note_size;
};

enum rille_archive_result { RILLE_ARCHIVE_ABSENT, RILLE_ARCHIVE_FOUND, RILLE_ARCHIVE_DAMAGED };

/* Opens the archive of this program, if it has one. NULL, or what is wrong with it. */
const char *rille_archive_open(struct rille_archive *a);

enum rille_archive_result rille_archive_find(const struct rille_archive *a, const char *name, size_t size,
                                             struct rille_archive_entry *entry);

/* The sum of a text, of which `before` is that of what goes before it; at first 0. */
uint32_t rille_archive_sum(uint32_t before, const void *text, size_t size);

/* The mark as it is in this program, for the builder: magic, then index, size, count and sum of 8 bytes. */
enum { RILLE_ARCHIVE_MAGIC = 16, RILLE_ARCHIVE_MARK = RILLE_ARCHIVE_MAGIC + 4 * 8 };
void rille_archive_copy_mark(char mark[RILLE_ARCHIVE_MARK]);

#endif
