/* SPDX-License-Identifier: MIT */
#include "backlog.h"

#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "buf.h"

void backlog_init(struct backlog *q, size_t *budget)
{
	list_init(&q->packets);
	q->count = 0;
	q->budget = budget;
}

bool backlog_push(struct backlog *q, const struct packet *p)
{
	size_t size = sizeof(struct backlog_packet) + p->len;
	struct backlog_packet *w;

	if (q->count >= BACKLOG_MAX || *q->budget + size > BACKLOG_BYTES)
		return false;
	w = malloc(size);
	if (!w)
		return false;
	w->size = size;
	w->p = *p;
	w->p.data = w->bytes;
	memcpy(w->bytes, p->data, p->len);
	list_add_tail(&q->packets, &w->link);
	q->count++;
	*q->budget += size;
	buf_charge(size);
	return true;
}

struct backlog_packet *backlog_pop(struct backlog *q)
{
	struct backlog_packet *w = container_of(q->packets.next, struct backlog_packet, link);

	if (list_empty(&q->packets))
		return NULL;
	list_del(&w->link);
	q->count--;
	*q->budget -= w->size;
	buf_release(w->size);
	return w;
}

void backlog_clear(struct backlog *q)
{
	struct backlog_packet *w;

	while ((w = backlog_pop(q)))
		free(w);
}
