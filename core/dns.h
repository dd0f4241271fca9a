/* SPDX-License-Identifier: MIT */
#ifndef NSNET_DNS_H
#define NSNET_DNS_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "buf.h"
#include "dnsquery.h"
#include "dnstcp.h"
#include "flow.h"
#include "hosts.h"
#include "packet.h"
#include "policy.h"
#include "resolvconf.h"
#include "resolver.h"
#include "stack.h"
#include "synth.h"
#include "tun.h"

/* dns - the name server that the child sees: answers port 53, UDP and TCP, at two addresses
 * of our own and at every address that the host's resolv.conf names or has named, by relaying raw
 * messages to the host's own name servers.
 *
 *   child --udp--> dns ----+
 *   child --tcp--> dnstcp -+--> dnsquery --> resolver --> askudp, asktcp --> name server
 *                               (policy)     (resolvconf)
 *
 * The resolver is no flow to policy: it is asked by question (hooks.dns), not by address.
 */
#define DNS_PORT 53
#define DNS_SELF4 "10.0.0.53"
#define DNS_SELF6 "fd6e:736e:6574::53"

struct dns_config {
	struct ev_loop *loop; /* all borrowed */
	struct tun *tun;
	struct stack *stack;
	struct flow_table *flows;
	struct policy *policy;    /* NULL = every question is allowed */
	const char *resolv_conf;  /* NULL = "/etc/resolv.conf" */
	const char *hosts;        /* NULL = "/etc/hosts" */
	struct addr self4, self6; /* our own addresses (port ignored); v 0 = DNS_SELF4, _SELF6 */
	struct synth *synth;      /* NULL = the child is told true addresses */
	dnsquery_seen_fn *seen;   /* sees each answer that goes to the child, or NULL */
	void *seen_arg;
};

struct dns {
	struct tun *tun;
	struct addr self4, self6;
	struct resolvconf conf;
	struct hosts hosts;
	struct resolver resolver;
	struct dnsquery_pool pool;
	struct dnstcp tcp;
	uint64_t udp_in, udp_out, udp_bad;
};

/* 0 or negative errno. The file's absence is no error. */
int dns_init(struct dns *d, const struct dns_config *c);
void dns_fini(struct dns *d);

/* True if @dst (with port) is ours to answer, by UDP and TCP. Looks at the host's file if it is
 * port 53 of a foreign address. */
bool dns_owns(struct dns *d, const struct addr *dst);

/* A whole datagram to an address that we own. Takes @b. */
void dns_input_udp(struct dns *d, struct buf *b, struct packet *p);

/* A SYN to an address that we own, of no known flow: answered at once (with RST if there is
 * no room), and from then on @key is a flow in the table. Takes @b. */
void dns_open_tcp(struct dns *d, const struct flow_key *key, struct buf *b, struct packet *p);

#endif
