/* SPDX-License-Identifier: MIT */
#ifndef NSNET_OUTBOX_H
#define NSNET_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/* outbox - the bytes for the child that it has not acknowledged: lwIP points into their buffers,
 * which must stay until then.
 *
 * Embedded in a stack_conn, zeroed = empty. Owns its buffers, oldest first.
 */
struct outbox {
	struct buf *head, *tail; /* buf.opaque[0], buf.mark: where its bytes begin and end in
				    the stream */
	size_t held;             /* bytes of memory: buffers, and what was copied */
	size_t copied;           /* of these, charged with buf_charge() */
	uint64_t sent, acked;    /* stream offsets */
};

/* @len more bytes were sent. They lie in @b (taken), or were copied elsewhere (NULL). */
void outbox_push(struct outbox *o, size_t len, struct buf *b);

/* @len more bytes were acknowledged. */
void outbox_ack(struct outbox *o, size_t len);

static inline bool outbox_empty(const struct outbox *o)
{
	return o->sent == o->acked;
}

/* Gives up all. Nothing may point into the buffers any more. */
void outbox_clear(struct outbox *o);

#endif
