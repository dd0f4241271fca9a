/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LANE_H
#define NSNET_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bucket.h"
#include "buf.h"

/* lane - one direction of a connection that does not go straight through: a queue of bytes, each of
 * which may leave when its time has come and a bucket allows it.
 *
 * Embedded, zeroed = empty. Owns its buffers, borrows the bucket. Time is given, in seconds.
 */
#define LANE_MAX (4 * 1024 * 1024) /* bytes of memory; a reader then waits */

struct lane {
	struct buf *head,
		*tail; /* buf.mark: due; opaque[0], [1]: offset and length of what is left */
	struct bucket *bucket; /* borrowed; NULL = no limit */
	size_t held;           /* bytes of memory */
	double due;            /* of the newest: order is kept whatever the jitter */
	bool ending;           /* the end of the stream is queued behind the bytes */
};

bool lane_full(const struct lane *l);
bool lane_empty(const struct lane *l);

/* Queues the @len bytes that begin at @b->data; takes @b. They may leave @delay_s after @now. */
void lane_push(struct lane *l, struct buf *b, size_t len, double now, double delay_s);
/* No more bytes will come. The end is due like a byte. */
void lane_push_end(struct lane *l, double now, double delay_s);

/* How many contiguous bytes may leave at @now, the first at *@data (lent until the next call). */
size_t lane_ready(struct lane *l, double now, const uint8_t **data);
/* @n of them left. */
void lane_pop(struct lane *l, size_t n);
/* True if the end may leave: all bytes have. */
bool lane_ended(const struct lane *l, double now);

/* Seconds from @now until lane_ready() or lane_ended() may change by
 * themselves; negative: never. */
double lane_wait(struct lane *l, double now);

void lane_clear(struct lane *l);

#endif
