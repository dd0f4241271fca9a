/* SPDX-License-Identifier: MIT */
#ifndef NSNET_DNSTCP_H
#define NSNET_DNSTCP_H

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

#include "dnsquery.h"
#include "flow.h"
#include "list.h"
#include "stack.h"

/* dnstcp - the child's DNS connections by TCP (RFC 7766): two bytes of length before each
 * message, several questions at a time, answers in the order in which they come.
 *
 * Bounds: DNSTCP_CONNS_MAX connections (the longest idle one makes room), DNSTCP_QUERIES_MAX
 * questions under way on each and DNSTCP_UNSENT_MAX bytes of answers that the child does not take
 * (at either the window closes), DNSTCP_IDLE_S without progress.
 */
#define DNSTCP_CONNS_MAX 64
#define DNSTCP_QUERIES_MAX 16
#define DNSTCP_UNSENT_MAX 65536
#define DNSTCP_IDLE_S 15. /* RFC 7766 6.2.3: some seconds */

struct dnstcp {
	struct ev_loop *loop;
	struct stack *stack;        /* borrowed */
	struct flow_table *flows;   /* borrowed */
	struct dnsquery_pool *pool; /* borrowed */
	struct list conns;          /* owned struct dnstcp_conn, longest without progress first */
	size_t count;
	uint64_t accepted, refused, evicted;
};

void dnstcp_init(struct dnstcp *t, struct ev_loop *loop, struct stack *stack,
	struct flow_table *flows, struct dnsquery_pool *pool);
void dnstcp_fini(struct dnstcp *t); /* resets all */

/* The SYN @p (borrowed) opens @key. Returns 0, or a negative errno: not accepted, nothing was
 * sent. */
int dnstcp_open(struct dnstcp *t, const struct flow_key *key, const struct packet *p);

#endif
