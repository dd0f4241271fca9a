/* SPDX-License-Identifier: MIT */
#ifndef NSNET_VISIT_H
#define NSNET_VISIT_H

#include <ev.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backlog.h"
#include "expiry.h"
#include "flow.h"
#include "policy.h"
#include "tun.h"

/* visit - UDP from outside: datagrams of one caller to one published port are a flow. All of a port
 * share its socket; answers leave from the address that the caller had sent to.
 *
 *   first datagram -> ASKED -> OPEN ----------------> freed (idle, evicted, aborted)
 *                       |  up to BACKLOG's datagrams wait
 *                       +---> ENDED: a denial, kept for a while so that a flood asks nobody
 *
 * Nobody can be refused by ICMP: a caller of a port where the child has no socket hears nothing.
 */
#define VISIT_BATCH 16 /* datagrams of one socket in a turn of the loop */

/* Where callers come from: a published port. Embedded in its owner, who reads its socket by
 * visit_receive(). */
struct visit_port {
	int fd;           /* borrowed, bound, non-blocking, with packet info on (visit_prepare()) */
	struct addr self; /* the child's side, with the port */
	struct addr alias; /* how a caller is seen whose address means something else inside */
	bool named;        /* flow.named of its flows */
};

struct visits {
	struct ev_loop *loop;
	struct tun *tun; /* borrowed, like the next two */
	struct flow_table *flows;
	struct policy *policy;
	size_t max;    /* set after init; the one that was idle for longest makes room */
	double idle_s; /* the same */

	struct expiry active, denied;
	size_t count;
	size_t waiting_bytes;
	uint64_t in, out; /* datagrams */
	uint64_t dropped; /* no room, no memory, or two callers that look alike inside */
	uint64_t refused; /* denied, and of those denied */
};

void visits_init(struct visits *vs, struct ev_loop *loop, struct tun *tun, struct flow_table *flows,
	struct policy *policy);
void visits_fini(struct visits *vs); /* ends all */

/* Makes a bound socket of version @v fit. 0 or negative errno. */
int visit_prepare(int fd, unsigned v);

/* Reads what has come at @port. */
void visit_receive(struct visits *vs, struct visit_port *port);

/* @port goes: ends its flows. */
void visit_close(struct visits *vs, struct visit_port *port);

/* True if the child can have the caller @peer under its own address, given the child's @self. */
bool visit_is_presentable(const struct addr *peer, const struct addr *self);

#endif
