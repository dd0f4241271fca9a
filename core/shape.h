/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SHAPE_H
#define NSNET_SHAPE_H

#include <stdint.h>

#include "bucket.h"

/* shape - how a flow is to behave worse than its network: rate, latency, jitter, a reset. Set by
 * the policy side on flow->shape, owned by the flow. */
struct shape {
	struct bucket *up, *down; /* a reference each; NULL = no limit */
	double latency_s;         /* added to every round trip, the handshake's too */
	double jitter_s;          /* up to so much more, evenly spread; order is kept */
	uint64_t reset_after; /* RST to both sides after so many bytes to the child; 0 = never */
	uint64_t random;      /* the state of the jitter's generator; its seed at first */
};

struct shape *shape_new(void);    /* changes nothing; NULL: no memory */
void shape_free(struct shape *s); /* NULL is allowed */

/* The next delay of the round trip, in seconds. */
double shape_delay(struct shape *s);

#endif
