/* SPDX-License-Identifier: MIT */
#include "buf.h"

#include <stdlib.h>

#include "base.h"

/* The pool keeps what eight busy streams in one direction use at a time (measured: up to 140),
 * so that steady traffic never enters malloc; the rest goes back to the system. */
#define POOL_KEEP_MAX 256

/* Nobody is asked to let go of less than this, unless twice the limit is in use: a thousand
 * connections that do not read would hold two of it each. */
#define SHARE_MIN (128 * 1024)

static struct buf *pool;
static size_t pool_len;
static size_t used; /* bytes */
static size_t limit = (size_t)256 << 20;

struct buf *buf_get(void)
{
	struct buf *b = pool;

	if (likely(b)) {
		pool = b->next;
		pool_len--;
	} else {
		b = malloc(sizeof(*b));
		if (!b)
			return NULL;
	}
	used += sizeof(*b);
	return b;
}

void buf_put(struct buf *b)
{
	if (!b)
		return;
	used -= sizeof(*b);
	if (unlikely(pool_len >= POOL_KEEP_MAX)) {
		free(b);
		return;
	}
	b->next = pool;
	pool = b;
	pool_len++;
}

void buf_charge(size_t bytes)
{
	used += bytes;
}

void buf_release(size_t bytes)
{
	used -= bytes;
}

size_t buf_used(void)
{
	return used;
}

size_t buf_limit(void)
{
	return limit;
}

void buf_set_limit(size_t bytes)
{
	limit = bytes;
}

bool buf_pressure(size_t held, size_t holders)
{
	size_t share;

	if (likely(used <= limit))
		return false;
	share = limit / MAX(holders, (size_t)1);
	return held > (used / 2 > limit ? share : MAX((size_t)SHARE_MIN, share));
}

void buf_pool_fini(void)
{
	while (pool) {
		struct buf *b = pool;

		pool = b->next;
		free(b);
	}
	pool_len = 0;
}
