/* SPDX-License-Identifier: MIT */
#include "lane.h"

#include <string.h>

#include "base.h"

/* A limited lane sends in pieces of at least this, or what its burst allows: fewer wake-ups, and
 * smooth enough. */
#define PIECE 1460

/* Bytes that come within this time share a due time, and a buffer if there is room. */
#define SAME_S 0.001

#define OFFSET 0
#define LENGTH 1

static double due_of(const struct buf *b)
{
	double due;

	memcpy(&due, &b->mark, sizeof(due));
	return due;
}

bool lane_full(const struct lane *l)
{
	return l->held >= LANE_MAX;
}

bool lane_empty(const struct lane *l)
{
	return !l->head;
}

static double next_due(struct lane *l, double now, double delay_s)
{
	l->due = MAX(l->due, now + delay_s);
	return l->due;
}

void lane_push(struct lane *l, struct buf *b, size_t len, double now, double delay_s)
{
	const double due = next_due(l, now, delay_s);
	struct buf *t = l->tail;

	if (t && due - due_of(t) <= SAME_S &&
		t->opaque[OFFSET] + t->opaque[LENGTH] + len <= sizeof(t->data)) {
		memcpy(t->data + t->opaque[OFFSET] + t->opaque[LENGTH], b->data, len);
		t->opaque[LENGTH] += len;
		buf_put(b);
		return;
	}
	memcpy(&b->mark, &due, sizeof(due));
	b->opaque[OFFSET] = 0;
	b->opaque[LENGTH] = len;
	b->next = NULL;
	if (t)
		t->next = b;
	else
		l->head = b;
	l->tail = b;
	l->held += sizeof(*b);
}

void lane_push_end(struct lane *l, double now, double delay_s)
{
	next_due(l, now, delay_s);
	l->ending = true;
}

size_t lane_ready(struct lane *l, double now, const uint8_t **data)
{
	struct buf *b = l->head;
	size_t n;

	if (!b || due_of(b) > now)
		return 0;
	*data = b->data + b->opaque[OFFSET];
	n = b->opaque[LENGTH];
	if (!l->bucket)
		return n;
	if (bucket_wait(l->bucket, MIN(n, (size_t)PIECE), now) > 0)
		return 0;
	return bucket_allows(l->bucket, n, now);
}

void lane_pop(struct lane *l, size_t n)
{
	struct buf *b = l->head;

	if (l->bucket)
		bucket_take(l->bucket, n);
	b->opaque[OFFSET] += n;
	b->opaque[LENGTH] -= n;
	if (b->opaque[LENGTH])
		return;
	l->head = b->next;
	if (!l->head)
		l->tail = NULL;
	l->held -= sizeof(*b);
	buf_put(b);
}

bool lane_ended(const struct lane *l, double now)
{
	return l->ending && !l->head && l->due <= now;
}

double lane_wait(struct lane *l, double now)
{
	const struct buf *b = l->head;

	if (!b)
		return l->ending && l->due > now ? l->due - now : -1;
	if (due_of(b) > now)
		return due_of(b) - now;
	if (!l->bucket)
		return -1;
	return bucket_wait(l->bucket, MIN((size_t)b->opaque[LENGTH], (size_t)PIECE), now);
}

void lane_clear(struct lane *l)
{
	while (l->head) {
		struct buf *b = l->head;

		l->head = b->next;
		buf_put(b);
	}
	*l = (struct lane){0};
}
