/* SPDX-License-Identifier: MIT */
#ifndef NSNET_UDP_H
#define NSNET_UDP_H

#include "assoc.h"

/* udp - the child's UDP flows, each a connected host socket. No lwIP: a datagram is read from the
 * socket straight behind the room for its headers and written to the tun, and sent to the world
 * straight from the packet. The kernel keeps foreign senders out.
 *
 * Embedded in the engine. Limits: udp.set.max and udp.set.idle_s, after udp_init(). Counters there
 * too.
 */
struct udp {
	struct assoc_set set;
	bool tun_bundles; /* the tun takes UDP segmentation offload, as far as known */
};

void udp_init(struct udp *u, struct ev_loop *loop, struct tun *tun, struct flow_table *flows,
	struct policy *policy);
void udp_fini(struct udp *u); /* ends all flows: cause ABORTED */

/* The first datagram @p of the unknown flow @key (IPPROTO_UDP). Takes @b. All later ones arrive
 * through flow_ops.input. @p must be whole (not a fragment). */
void udp_open(struct udp *u, const struct flow_key *key, struct buf *b, struct packet *p);

/* The tun's batch is over. */
void udp_flush(struct udp *u);

#endif
