/* SPDX-License-Identifier: MIT */
#ifndef NSNET_GATE_H
#define NSNET_GATE_H

#include <stdint.h>

#include "conn.h"
#include "dns.h"
#include "flow.h"
#include "frag.h"
#include "ping.h"
#include "policy.h"
#include "stack.h"
#include "tun.h"
#include "udp.h"

/* gate - where every packet of the child arrives: parses it, shows it to the packet hook, and hands
 * it to its flow, or opens one. Everything that nobody here carries is dropped and counted.
 *
 * Embedded in the host; borrows all that it connects. gate_start() sets the tun's callbacks.
 */
struct gate {
	struct tun *tun;
	struct stack *stack;
	struct flow_table *flows;
	struct policy *policy;
	struct frag *frag;
	struct conns *conns;
	struct udp *udp;
	struct ping *ping;
	struct dns *dns;

	uint64_t malformed;   /* no whole IP packet */
	uint64_t unsupported; /* protocols and ICMP types that nobody here carries */
	uint64_t multicast;   /* no single destination */
	uint64_t filtered;    /* by the packet hook, both directions */
};

/* Fill in the pointers first. */
void gate_start(struct gate *g);

#endif
