/* address.c -- which IP addresses are of the public internet. The model is told in address.h.
 * Owner:  nothing.
 * Errors: as told there. */
#include "address.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

struct range {
  uint8_t prefix[16];
  uint8_t bits;     /* of the prefix that count */
  int8_t embedded;  /* where an IPv4 address lies that decides; -1: all of it is private */
};

#define V4(a, b, c, d, bits) {{a, b, c, d}, bits, -1}

static const struct range ranges4[] = {
    V4(0, 0, 0, 0, 8),        /* this network; the unspecified address */
    V4(10, 0, 0, 0, 8),       /* private, RFC 1918 */
    V4(100, 64, 0, 0, 10),    /* shared by a carrier's customers, RFC 6598 */
    V4(127, 0, 0, 0, 8),      /* loopback */
    V4(169, 254, 0, 0, 16),   /* link-local; metadata of clouds */
    V4(172, 16, 0, 0, 12),    /* private, RFC 1918 */
    V4(192, 0, 0, 0, 24),     /* protocol assignments */
    V4(192, 0, 2, 0, 24),     /* documentation */
    V4(192, 88, 99, 0, 24),   /* relays of 6to4, deprecated */
    V4(192, 168, 0, 0, 16),   /* private, RFC 1918 */
    V4(198, 18, 0, 0, 15),    /* benchmarks */
    V4(198, 51, 100, 0, 24),  /* documentation */
    V4(203, 0, 113, 0, 24),   /* documentation */
    V4(224, 0, 0, 0, 4),      /* multicast */
    V4(240, 0, 0, 0, 4),      /* reserved; broadcast */
};

/* The first that matches decides. Global unicast is 2000::/3 and what translates to IPv4. */
static const struct range ranges6[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 12},      /* ::ffff:0:0/96, mapped */
    {{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 12},            /* ::ffff:0:0:0/96, translated */
    {{0x00, 0x64, 0xff, 0x9b}, 96, 12},                        /* 64:ff9b::/96, NAT64 */
    {{0x20, 0x02}, 16, 2},                                     /* 2002::/16, 6to4 */
    {{0x20, 0x01}, 23, -1},                                    /* 2001::/23, Teredo and protocols */
    {{0x20, 0x01, 0x0d, 0xb8}, 32, -1},                        /* 2001:db8::/32, documentation */
    {{0x3f, 0xff}, 20, -1},                                    /* 3fff::/20, documentation */
    {{0x00}, 3, -1},                                           /* ::/3: unspecified, loopback, the rest */
    {{0x40}, 2, -1},                                           /* 4000::/2, not assigned */
    {{0x80}, 1, -1},                                           /* 8000::/1: local, link-local, multicast */
};

static bool is_in(const struct range *r, const uint8_t *bytes) {
  size_t whole = r->bits / 8u, rest = r->bits % 8u;
  if (memcmp(bytes, r->prefix, whole) != 0)
    return false;
  return rest == 0 || ((bytes[whole] ^ r->prefix[whole]) >> (8 - rest)) == 0;
}

static const struct range *find(const struct range *table, size_t count, const uint8_t *bytes) {
  for (size_t i = 0; i < count; i++)
    if (is_in(&table[i], bytes))
      return &table[i];
  return NULL;
}

static bool is_private4(const uint8_t *bytes) {
  return find(ranges4, sizeof ranges4 / sizeof ranges4[0], bytes) != NULL;
}

static bool is_private6(const uint8_t *bytes) {
  const struct range *r = find(ranges6, sizeof ranges6 / sizeof ranges6[0], bytes);
  return r != NULL && (r->embedded < 0 || is_private4(bytes + r->embedded));
}

bool rille_address_is_private(const struct sockaddr *address) {
  if (address->sa_family == AF_INET) {
    struct sockaddr_in in;
    memcpy(&in, address, sizeof in);
    return is_private4((const uint8_t *)&in.sin_addr);
  }
  if (address->sa_family == AF_INET6) {
    struct sockaddr_in6 in6;
    memcpy(&in6, address, sizeof in6);
    return is_private6(in6.sin6_addr.s6_addr);
  }
  return true;
}

bool rille_address_text_is_private(const char *text) {
  uint8_t bytes[16];
  char plain[INET6_ADDRSTRLEN];
  size_t length = strcspn(text, "%");
  if (length >= sizeof plain)
    return true;
  memcpy(plain, text, length);
  plain[length] = '\0';
  if (inet_pton(AF_INET, plain, bytes) == 1)
    return is_private4(bytes);
  return inet_pton(AF_INET6, plain, bytes) != 1 || is_private6(bytes);
}
