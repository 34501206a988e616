/* list.h -- an intrusive, circular, doubly linked list.
 * Model:  a struct list is a head or a link; a link that is in no list points at itself.
 * Owner:  the list owns nothing; whoever embeds a link removes it before its memory goes.
 * Errors: none. Removing a link that is in no list does nothing. */
#ifndef RILLE_LIST_H
#define RILLE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
  struct list *next;
  struct list *prev;
};

/* The struct that embeds `link` as its member `member`. */
#define LIST_ENTRY(link, type, member) ((type *)(void *)((char *)(link) - offsetof(type, member)))

static inline void list_init(struct list *l) { l->next = l->prev = l; }

static inline bool list_empty(const struct list *l) { return l->next == l; }

static inline void list_append(struct list *head, struct list *link) {
  link->next = head;
  link->prev = head->prev;
  head->prev->next = link;
  head->prev = link;
}

static inline void list_remove(struct list *link) {
  link->prev->next = link->next;
  link->next->prev = link->prev;
  list_init(link);
}

/* Moves everything from `from` to the end of `to`. */
static inline void list_take(struct list *to, struct list *from) {
  if (list_empty(from))
    return;
  from->next->prev = to->prev;
  to->prev->next = from->next;
  from->prev->next = to;
  to->prev = from->prev;
  list_init(from);
}

#endif
