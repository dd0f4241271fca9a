/* SPDX-License-Identifier: MIT */
#ifndef NSNET_PING_H
#define NSNET_PING_H

#include "assoc.h"

/* ping - the child's ICMP and ICMPv6 echo requests, truly sent by unprivileged ping sockets
 * (icmp(7); SOCK_DGRAM, IPPROTO_ICMP). Never answered by ourselves. A flow is one source, one
 * destination and one identifier; the kernel chooses the identifier on the wire, and it is
 * translated back.
 *
 * Where the host does not let this user open ping sockets, each request is answered
 * "administratively prohibited", and one warning names the sysctl and the remedy.
 *
 * Embedded in the engine. Limits: ping.set.max and ping.set.idle_s, after ping_init().
 */
#define PING_MAX 512 /* default of ping.set.max: a whole /24 can be asked at once */

struct ping {
	struct assoc_set set;
};

void ping_init(struct ping *g, struct ev_loop *loop, struct tun *tun, struct flow_table *flows,
	struct policy *policy);
void ping_fini(struct ping *g);

/* True if @p is what ping_open() and its flows take: an echo request (type 8, ICMPv6 128; code
 * 0). All other ICMP of the child is not for here. */
bool ping_is_request(const struct packet *p);

/* The first request @p of the unknown flow @key: proto IPPROTO_ICMP for both families, both ports
 * the identifier. Takes @b. */
void ping_open(struct ping *g, const struct flow_key *key, struct buf *b, struct packet *p);

#endif
