/* address.h -- which IP addresses are of the public internet. No Lua, no libuv.
 * Model:  the special-purpose registries of IANA (RFC 6890 and what came after) as a table of ranges. An IPv6
 *         address that stands for an IPv4 address is as private as that one is.
 * Owner:  nothing.
 * Errors: what cannot be read as an address is private. */
#ifndef RILLE_ADDRESS_H
#define RILLE_ADDRESS_H

#include <stdbool.h>

#include <sys/socket.h>

/* Loopback, link-local, private, shared, multicast, reserved, for documentation; anything but IP. */
bool rille_address_is_private(const struct sockaddr *address);

/* The same of a text, without brackets; a zone ("%eth0") is not looked at. */
bool rille_address_text_is_private(const char *text);

#endif
