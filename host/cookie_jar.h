/* cookie_jar.h -- the cookies of a client, in memory or in a file. No Lua.
 * Model:  libcurl's cookie engine (RFC 6265, public suffixes by libpsl), in a share handle that the easy
 *         handles of the pools of one client use. The file has Netscape's format, as curl and wget have it;
 *         it is read when the jar is opened, and written when it is saved, to a temporary file that takes
 *         its place. A file that is not there is empty; session cookies are kept in it as well.
 * Owner:  who opens a jar frees it, and so does who keeps it, after their easy handles that use it are gone;
 *         the last of them ends it.
 * Errors: libuv statuses. A file that has anything but cookies is refused: it would be overwritten. */
#ifndef RILLE_COOKIE_JAR_H
#define RILLE_COOKIE_JAR_H

#include <curl/curl.h>

struct rille_jar;

/* Opens a jar; without a path it is in memory. After curl_global_init. NULL: *status tells why; for UV_EINVAL
 * *line is the number of the line that is not a cookie, or 0 if it is no regular file. */
struct rille_jar *rille_jar_open(const char *path, int *status, long *line);

/* The transfer of this new handle uses the jar. */
CURLcode rille_jar_serve(struct rille_jar *jar, CURL *easy);

/* Writes what has changed since it was read or saved. 0, or why not; the file is then as it was. */
int rille_jar_save(struct rille_jar *jar);

/* NULL: it is in memory. */
const char *rille_jar_path(const struct rille_jar *jar);

/* One more is to free it. Returns the jar. */
struct rille_jar *rille_jar_keep(struct rille_jar *jar);

void rille_jar_free(struct rille_jar *jar);

#endif
