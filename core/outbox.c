/* SPDX-License-Identifier: MIT */
#include "outbox.h"

#include <string.h>

void outbox_push(struct outbox *o, size_t len, struct buf *b)
{
	o->sent += len;
	if (!b)
		return;
	b->mark = o->sent;
	b->next = NULL;
	if (o->tail)
		o->tail->next = b;
	else
		o->head = b;
	o->tail = b;
	o->held += sizeof(*b);
}

static void pop(struct outbox *o)
{
	struct buf *b = o->head;

	o->head = b->next;
	if (!o->head)
		o->tail = NULL;
	o->held -= sizeof(*b);
	buf_put(b);
}

void outbox_ack(struct outbox *o, size_t len)
{
	o->acked += len;
	while (o->head && o->head->mark <= o->acked)
		pop(o);
}

void outbox_clear(struct outbox *o)
{
	while (o->head)
		pop(o);
	memset(o, 0, sizeof(*o));
}
