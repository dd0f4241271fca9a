/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LIST_H
#define NSNET_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* list - an intrusive, circular, doubly linked list.
 *
 * The head and every element are a struct list. An element that is on no list
 * points at itself, so list_del() is always safe and list_linked() tells.
 * The list owns nothing.
 */
struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

/* True if @e, once initialized, is on some list. */
static inline bool list_linked(const struct list *e)
{
	return e->next != e;
}

static inline void list_add(struct list *head, struct list *e)
{
	e->next = head->next;
	e->prev = head;
	head->next->prev = e;
	head->next = e;
}

static inline void list_add_tail(struct list *head, struct list *e)
{
	list_add(head->prev, e);
}

static inline void list_del(struct list *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	list_init(e);
}

/* Walks from the oldest list_add_tail() on; @e may be deleted inside the loop,
 * any other element may not (take it from the head in a while loop instead). */
#define list_foreach(e, tmp, head)                                                                 \
	for ((e) = (head)->next, (tmp) = (e)->next; (e) != (head); (e) = (tmp), (tmp) = (e)->next)

#endif
