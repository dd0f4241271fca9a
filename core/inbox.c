/* SPDX-License-Identifier: MIT */
#include "inbox.h"

#include <string.h>

#include <lwip/pbuf.h>

#include "base.h"
#include "buf.h"

/* Segments shorter than this do not keep a 64 KB buffer while they wait. */
#define COPY_BELOW 16384

/* The memory that a queued pbuf stands for: a whole buffer, or a copy. */
static size_t weight(const struct pbuf *q)
{
	return q->flags & PBUF_FLAG_IS_CUSTOM ? sizeof(struct buf) : sizeof(*q) + q->len;
}

void inbox_push(struct inbox *in, struct pbuf *chain)
{
	if (in->tail)
		in->tail->next = chain;
	else
		in->head = chain;
	in->len += chain->tot_len;
	for (; chain; chain = chain->next) {
		in->tail = chain;
		in->held += weight(chain);
		if (!(chain->flags & PBUF_FLAG_IS_CUSTOM))
			buf_charge(weight(chain));
	}
}

int inbox_peek(const struct inbox *in, struct iovec *iov, int max, size_t *len)
{
	uint32_t skip = in->offset;
	size_t sum = 0;
	int n = 0;

	for (struct pbuf *q = in->head; q && n < max; q = q->next) {
		iov[n].iov_base = (uint8_t *)q->payload + skip;
		iov[n].iov_len = q->len - skip;
		sum += iov[n++].iov_len;
		skip = 0;
	}
	*len = sum;
	return n;
}

size_t inbox_copy(const struct inbox *in, void *to, size_t max)
{
	uint32_t skip = in->offset;
	size_t sum = 0;

	for (struct pbuf *q = in->head; q && sum < max; q = q->next) {
		const size_t n = MIN((size_t)(q->len - skip), max - sum);

		memcpy((uint8_t *)to + sum, (uint8_t *)q->payload + skip, n);
		sum += n;
		skip = 0;
	}
	return sum;
}

static void pop(struct inbox *in)
{
	struct pbuf *q = in->head;

	in->head = q->next;
	if (!q->next)
		in->tail = NULL;
	if (in->settled == q)
		in->settled = NULL;
	in->held -= weight(q);
	if (!(q->flags & PBUF_FLAG_IS_CUSTOM))
		buf_release(weight(q));
	q->next = NULL;
	q->tot_len = q->len;
	pbuf_free(q);
}

void inbox_consume(struct inbox *in, size_t n)
{
	size_t left = n + in->offset;

	in->len -= n;
	while (in->head && left >= in->head->len) {
		left -= in->head->len;
		pop(in);
	}
	in->offset = (uint32_t)left;
}

void inbox_settle(struct inbox *in)
{
	struct pbuf *before = in->settled;
	struct pbuf *q = before ? before->next : in->head;

	for (; q; before = q, q = q->next) {
		struct pbuf *copy;

		if (q->len >= COPY_BELOW || !(q->flags & PBUF_FLAG_IS_CUSTOM))
			continue;
		copy = pbuf_alloc(PBUF_RAW, q->len, PBUF_RAM);
		if (!copy) /* the buffer stays pinned: costs memory, loses nothing */
			continue;
		memcpy(copy->payload, q->payload, q->len);
		copy->next = q->next;
		if (before)
			before->next = copy;
		else
			in->head = copy;
		in->held -= weight(q);
		in->held += weight(copy);
		buf_charge(weight(copy));
		q->next = NULL;
		q->tot_len = q->len;
		pbuf_free(q);
		q = copy;
	}
	in->tail = in->settled = before;
}

void inbox_clear(struct inbox *in)
{
	while (in->head)
		pop(in);
	memset(in, 0, sizeof(*in));
}
