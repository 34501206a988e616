/* transfer_socket.h -- the sockets of a pool, watched by libuv for libcurl. A part of transfer.c; no Lua.
 * Model:  one poll handle for each socket. That of a connection stays armed for reading between two
 *         transfers, without keeping the loop alive: a kept connection costs no epoll_ctl. It is closed
 *         before its socket is, which libcurl announces through the close callback; sockets that
 *         libcurl makes without asking (a resolver's pair) are given up as soon as libcurl says that it is
 *         done with them.
 * Owner:  the pool has one of these and frees it once `handles` is 0.
 * Errors: a socket that cannot be watched makes libcurl fail. */
#ifndef RILLE_TRANSFER_SOCKET_H
#define RILLE_TRANSFER_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include <curl/curl.h>
#include <uv.h>

struct rille_pool;
struct rille_socket_slot;

struct rille_sockets {
  uv_loop_t *loop;
  struct rille_pool *pool;
  /* libcurl is to act on a socket. The callee calls curl_multi_socket_action. */
  void (*on_ready)(struct rille_sockets *s, curl_socket_t fd, int flags);
  /* libuv has let go of one more handle. */
  void (*on_closed)(struct rille_sockets *s);
  /* Private; begin as 0. */
  struct rille_socket_slot *slots; /* by socket number */
  int slot_count;
  uint32_t handles; /* libuv's */
  uint32_t paused;  /* transfers that are */
  uint32_t open;    /* connections */
};

/* A transfer pauses or goes on. One that pauses as it begins has a kept connection of which libcurl has
 * not said that it is in use. */
void rille_sockets_pause(struct rille_sockets *s, bool *paused, bool value);

/* Sets the callbacks of libcurl that concern sockets. False when out of memory. */
bool rille_sockets_serve_easy(struct rille_sockets *s, CURL *easy);
bool rille_sockets_serve_multi(struct rille_sockets *s, CURLM *multi);

/* Opens a socket for libcurl: CURLOPT_OPENSOCKETFUNCTION, with the sockets as its data. */
curl_socket_t rille_sockets_open(void *sockets, curlsocktype purpose, struct curl_sockaddr *address);

/* Closes all poll handles: the multi handle is gone. */
void rille_sockets_close(struct rille_sockets *s);

/* No handle is left. */
void rille_sockets_free(struct rille_sockets *s);

#endif
