/* SPDX-License-Identifier: MIT */
#ifndef NSNET_NOTICE_H
#define NSNET_NOTICE_H

#include <stddef.h>
#include <stdint.h>

#include "flow.h"
#include "guard.h"
#include "icmperr.h"
#include "packet.h"
#include "tun.h"

/* notice - tells the child by ICMP what became of its datagrams (icmperr.h says in which words).
 *
 * Our own answers are limited, each flow for itself: NOTICE_BURST at once, then one each
 * NOTICE_EVERY_S. A Linux router gives 6 and 1 per second; programs that try again should not wait
 * that long.
 */
#define NOTICE_BURST 6
#define NOTICE_EVERY_S 0.1

/* Zeroed = nothing said yet. */
struct notice_limit {
	double empty_at; /* a leaky bucket: when it will be empty, by the caller's clock */
};

/* Answers @p: it failed with @error (errno; EMSGSIZE needs @mtu > 0). @hard: see icmperr.h. Returns
 * false if nothing was sent: over the limit at @now, or nobody to answer. A packet hook may run. */
bool notice_answer(struct notice_limit *l, struct tun *tun, const struct packet *p, int error,
	bool hard, uint32_t mtu, double now);

/* Sends @e, which @from reported about @f, in the name of @from if the child's kernel would believe
 * it (nobody of the namespace's own networks, which @guard knows), else of the destination. The @n
 * bytes at @quote (the child's packet) have ICMPERR_ROOM before them. A packet hook may run. */
void notice_pass(struct tun *tun, const struct guard *guard, const struct flow *f,
	const struct icmperr *e, const struct addr *from, uint8_t *quote, size_t n);

#endif
