/* address.c -- asks host/address.c: reads addresses, a line each, and answers "private" or "public". */
#include "address.h"

#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

/* What rille_address_is_private says of the address; the text if it is none. */
static bool asked(const char *text) {
  struct sockaddr_in in = {.sin_family = AF_INET};
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
  if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
    return rille_address_is_private((const struct sockaddr *)&in);
  if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
    return rille_address_is_private((const struct sockaddr *)&in6);
  return rille_address_text_is_private(text);
}

int main(void) {
  char line[256];
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    bool private = rille_address_text_is_private(line);
    (void)puts(private != asked(line) ? "at odds" : private ? "private" : "public");
  }
  struct sockaddr other = {.sa_family = AF_UNIX};
  (void)puts(rille_address_is_private(&other) ? "private" : "public");
  return 0;
}
