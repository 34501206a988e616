/* cookie_jar.c -- the cookies of a client, in memory or in a file. The model is told in cookie_jar.h.
 * Owner:  as told there. One easy handle of its own reads and writes the cookies; it makes no transfers.
 * Errors: libuv statuses, which are negative errnos. */
#include "cookie_jar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <uv.h>

#include "buffer.h"

enum { FIELDS = 7, FILE_LIMIT = 16 * 1024 * 1024 };

static const char HEADER[] = "# Netscape HTTP Cookie File\n";

struct rille_jar {
  CURLSH *share;
  CURL *easy;
  char *path;                /* NULL: in memory */
  uint32_t keepers;          /* besides who opened it */
  struct rille_buffer saved; /* what the file has, as rille_jar_save would write it */
};

/* --- reading --- */

/* All of a file; one that is not there is empty. */
static int read_file(const char *path, struct rille_buffer *text) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), status = 0; /* a FIFO would block */
  if (fd < 0)
    return errno == ENOENT ? 0 : -errno;
  struct stat info;
  if (fstat(fd, &info) != 0)
    status = -errno;
  else if (!S_ISREG(info.st_mode))
    status = S_ISDIR(info.st_mode) ? UV_EISDIR : UV_EINVAL;
  else if (info.st_size > FILE_LIMIT)
    status = UV_EFBIG;
  ssize_t count = 1;
  while (status == 0 && count > 0) {
    if (!rille_buffer_reserve(text, 4096))
      status = UV_ENOMEM;
    else if ((count = read(fd, text->data + text->length, text->size - text->length)) < 0)
      status = errno == EINTR ? 0 : -errno;
    else
      text->length += (size_t)count;
    count = count < 0 && status == 0 ? 1 : count;
  }
  (void)close(fd); /* nothing was written */
  return status;
}

/* domain, subdomains, path, secure, expiry, name, value; with tabs between. libcurl takes other lines for a
 * command or drops them. */
static bool is_cookie(const char *line) {
  const char *fields[FIELDS];
  size_t count = 0;
  for (const char *p = line; p != NULL && count < FIELDS; p = strchr(p, '\t'), p = p != NULL ? p + 1 : NULL)
    fields[count++] = p;
  if (count < FIELDS - 1 || line[0] == '\t') /* an empty value may lack its tab */
    return false;
  bool flags = (strncmp(fields[1], "TRUE\t", 5) == 0 || strncmp(fields[1], "FALSE\t", 6) == 0) &&
               (strncmp(fields[3], "TRUE\t", 5) == 0 || strncmp(fields[3], "FALSE\t", 6) == 0);
  size_t digits = strspn(fields[4], "0123456789");
  return flags && digits > 0 && fields[4][digits] == '\t';
}

static bool is_comment(const char *line) {
  return line[0] == '\0' || (line[0] == '#' && strncmp(line, "#HttpOnly_", 10) != 0);
}

/* Gives the lines of a file, which are changed to strings, to libcurl. */
static int load(struct rille_jar *jar, struct rille_buffer *text, long *line) {
  if (!rille_buffer_append(text, "", 1))
    return UV_ENOMEM;
  if (strlen(text->data) + 1 != text->length)
    return UV_EINVAL; /* a NUL */
  *line = 1;
  for (char *p = text->data, *next; p != NULL; p = next, ++*line) {
    next = strchr(p, '\n');
    if (next != NULL)
      *next++ = '\0';
    p[strcspn(p, "\r")] = '\0';
    if (is_comment(p))
      continue;
    if (!is_cookie(p))
      return UV_EINVAL;
    if (curl_easy_setopt(jar->easy, CURLOPT_COOKIELIST, p) != CURLE_OK)
      return UV_ENOMEM;
  }
  return 0;
}

/* --- writing --- */

/* The cookies as a file has them. */
static bool write_text(struct rille_jar *jar, struct rille_buffer *text) {
  struct curl_slist *cookies = NULL;
  if (curl_easy_getinfo(jar->easy, CURLINFO_COOKIELIST, &cookies) != CURLE_OK)
    return false;
  bool ok = rille_buffer_append(text, HEADER, sizeof HEADER - 1);
  for (struct curl_slist *c = cookies; c != NULL && ok; c = c->next)
    ok = rille_buffer_append(text, c->data, strlen(c->data)) && rille_buffer_append(text, "\n", 1);
  curl_slist_free_all(cookies);
  return ok;
}

static int write_all(int fd, const char *data, size_t length) {
  while (length > 0) {
    ssize_t count = write(fd, data, length);
    if (count < 0 && errno != EINTR)
      return -errno;
    data += count > 0 ? count : 0;
    length -= count > 0 ? (size_t)count : 0;
  }
  return 0;
}

/* Writes a file that only its owner may read, beside the one whose place it takes. */
static int replace_file(const char *path, const struct rille_buffer *text) {
  static const char suffix[] = ".XXXXXX";
  size_t length = strlen(path);
  char *part = malloc(length + sizeof suffix);
  if (part == NULL)
    return UV_ENOMEM;
  memcpy(part, path, length);
  memcpy(part + length, suffix, sizeof suffix);
  int fd = mkostemp(part, O_CLOEXEC); /* mode 0600 */
  int status = fd < 0 ? -errno : write_all(fd, text->data, text->length);
  if (fd >= 0) {
    if (close(fd) != 0 && status == 0)
      status = -errno;
    if (status == 0 && rename(part, path) != 0)
      status = -errno;
    if (status != 0)
      (void)unlink(part); /* the first failure is the one to tell */
  }
  free(part);
  return status;
}

int rille_jar_save(struct rille_jar *jar) {
  if (jar->path == NULL)
    return 0;
  struct rille_buffer text = {NULL, 0, 0};
  int status = write_text(jar, &text) ? 0 : UV_ENOMEM;
  bool same = status == 0 && text.length == jar->saved.length &&
              memcmp(text.data, jar->saved.data, text.length) == 0;
  if (status == 0 && !same) {
    char *real = realpath(jar->path, NULL); /* a link stays one */
    status = replace_file(real != NULL ? real : jar->path, &text);
    free(real);
  }
  if (status != 0 || same) {
    rille_buffer_free(&text);
    return status;
  }
  rille_buffer_free(&jar->saved);
  jar->saved = text;
  return 0;
}

/* --- jars --- */

static bool set_up(struct rille_jar *jar) {
  return (jar->share = curl_share_init()) != NULL && (jar->easy = curl_easy_init()) != NULL &&
         curl_share_setopt(jar->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE) == CURLSHE_OK &&
         rille_jar_serve(jar, jar->easy) == CURLE_OK;
}

static int load_file(struct rille_jar *jar, const char *path, long *line) {
  struct rille_buffer text = {NULL, 0, 0};
  int status = (jar->path = strdup(path)) != NULL ? read_file(path, &text) : UV_ENOMEM;
  if (status == 0)
    status = load(jar, &text, line);
  if (status == 0 && !write_text(jar, &jar->saved))
    status = UV_ENOMEM;
  rille_buffer_free(&text);
  return status;
}

struct rille_jar *rille_jar_open(const char *path, int *status, long *line) {
  struct rille_jar *jar = calloc(1, sizeof *jar);
  *line = 0;
  *status = jar != NULL && set_up(jar) ? 0 : UV_ENOMEM;
  if (*status == 0 && path != NULL)
    *status = load_file(jar, path, line);
  if (*status == 0)
    return jar;
  if (jar != NULL)
    rille_jar_free(jar);
  return NULL;
}

/* A list of files turns the engine of a handle on; the name of none is enough. */
CURLcode rille_jar_serve(struct rille_jar *jar, CURL *easy) {
  CURLcode code = curl_easy_setopt(easy, CURLOPT_SHARE, jar->share);
  return code != CURLE_OK ? code : curl_easy_setopt(easy, CURLOPT_COOKIEFILE, "");
}

const char *rille_jar_path(const struct rille_jar *jar) { return jar->path; }

struct rille_jar *rille_jar_keep(struct rille_jar *jar) {
  jar->keepers++;
  return jar;
}

void rille_jar_free(struct rille_jar *jar) {
  if (jar->keepers > 0) {
    jar->keepers--;
    return;
  }
  if (jar->easy != NULL)
    curl_easy_cleanup(jar->easy);
  if (jar->share != NULL)
    (void)curl_share_cleanup(jar->share); /* it fails while a handle uses it: none does */
  rille_buffer_free(&jar->saved);
  free(jar->path);
  free(jar);
}
