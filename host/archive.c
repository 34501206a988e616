/* archive.c -- the archive behind the program. The model is told in archive.h.
 * Model:  the index is `count` records in the order of their names, then the names and notes.
 * Owner:  nothing is kept here.
 * Errors: places that lead out of the file are found before anything is read there. */
#include "archive.h"

#include <string.h>
#include <unistd.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zlib.h>

/* Volatile: what is compiled here is not what is in a copy. */
static const volatile struct {
  char magic[RILLE_ARCHIVE_MAGIC];
  uint64_t index, size, count, sum;
} mark = {.magic = "rille archive\r\n\xff"};

struct span {
  uint64_t at, size; /* names and notes: from the beginning of the index; texts: of the file */
};

struct record {
  struct span name, note, text;
  uint64_t sum;
};

static bool within(struct span s, uint64_t size) { return s.at <= size && s.size <= size - s.at; }

uint32_t rille_archive_sum(uint32_t before, const void *text, size_t size) {
  return (uint32_t)crc32_z(before, text, size);
}

void rille_archive_copy_mark(char to[RILLE_ARCHIVE_MARK]) {
  const uint64_t numbers[] = {mark.index, mark.size, mark.count, mark.sum};
  for (size_t i = 0; i < RILLE_ARCHIVE_MAGIC; i++)
    to[i] = mark.magic[i];
  memcpy(to + RILLE_ARCHIVE_MAGIC, numbers, sizeof numbers);
}

static const char *map(struct rille_archive *a, int fd) {
  struct stat status;
  struct span index = {mark.index, mark.size};
  if (fstat(fd, &status) != 0 || !within(index, (uint64_t)status.st_size))
    return "this program was cut, or stripped, after it had been built: build it again";
  void *file = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (file == MAP_FAILED)
    return "this program cannot map its own file: not enough memory";
  *a = (struct rille_archive){file, index.at, index.size, mark.count};
  if (a->count > a->size / sizeof(struct record) ||
      rille_archive_sum(0, a->file + a->index, a->size) != mark.sum)
    return "this program is damaged: build it again";
  return NULL;
}

const char *rille_archive_open(struct rille_archive *a) {
  *a = (struct rille_archive){.file = NULL};
  if (mark.index == 0)
    return NULL;
  int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return "this program must read its own file, and cannot open /proc/self/exe";
  const char *wrong = map(a, fd);
  (void)close(fd); /* it was only read */
  return wrong;
}

static struct record record_at(const struct rille_archive *a, uint64_t i) {
  struct record r;
  memcpy(&r, a->file + a->index + i * sizeof r, sizeof r); /* it is not aligned */
  return r;
}

/* How a name compares with that of a record. */
static int compare(const struct rille_archive *a, const struct record *r, const char *name, size_t size) {
  int order = memcmp(name, a->file + a->index + r->name.at, size < r->name.size ? size : r->name.size);
  return order != 0 ? order : (size > r->name.size) - (size < r->name.size);
}

static enum rille_archive_result take(const struct rille_archive *a, const struct record *r,
                                      struct rille_archive_entry *entry) {
  if (!within(r->note, a->size) || !within(r->text, a->index))
    return RILLE_ARCHIVE_DAMAGED;
  entry->text = a->file + r->text.at;
  entry->size = r->text.size;
  entry->note = a->file + a->index + r->note.at;
  entry->note_size = r->note.size;
  bool whole = rille_archive_sum(0, entry->text, entry->size) == r->sum;
  return whole ? RILLE_ARCHIVE_FOUND : RILLE_ARCHIVE_DAMAGED;
}

enum rille_archive_result rille_archive_find(const struct rille_archive *a, const char *name, size_t size,
                                             struct rille_archive_entry *entry) {
  uint64_t low = 0, high = a->count;
  while (low < high) {
    uint64_t middle = low + (high - low) / 2;
    struct record r = record_at(a, middle);
    if (!within(r.name, a->size))
      return RILLE_ARCHIVE_DAMAGED;
    int order = compare(a, &r, name, size);
    if (order == 0)
      return take(a, &r, entry);
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return RILLE_ARCHIVE_ABSENT;
}
