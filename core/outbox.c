/* SPDX-License-Identifier: MIT */
#include "outbox.h"

#include <string.h>

#include "base.h"

void outbox_push(struct outbox *o, size_t len, struct buf *b)
{
	const uint64_t start = o->sent;

	o->sent += len;
	if (!b) {
		o->copied += len;
		o->held += len;
		buf_charge(len);
		return;
	}
	b->opaque[0] = start;
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

static void release(struct outbox *o, size_t copied)
{
	o->copied -= copied;
	o->held -= copied;
	buf_release(copied);
}

void outbox_ack(struct outbox *o, size_t len)
{
	const uint64_t from = o->acked, to = from + len;
	size_t copied = len;

	o->acked = to;
	while (o->head && o->head->opaque[0] < to) {
		const struct buf *b = o->head;

		copied -= MIN(b->mark, to) - MAX(b->opaque[0], from);
		if (b->mark > to)
			break;
		pop(o);
	}
	release(o, copied);
}

void outbox_clear(struct outbox *o)
{
	while (o->head)
		pop(o);
	release(o, o->copied);
	memset(o, 0, sizeof(*o));
}
