/* SPDX-License-Identifier: MIT */
#include "udp.h"

#include <errno.h>
#include <netinet/in.h>

#include "base.h"
#include "craft.h"

#define PAYLOAD_MAX4 (65535 - 20 - 8)
#define PAYLOAD_MAX6 (65535 - 8)

static size_t udp_outgoing(struct assoc *a, struct packet *p, uint8_t **data)
{
	UNUSED(a);
	*data = p->data + p->payload;
	return p->len - p->payload;
}

static size_t udp_incoming(struct assoc *a, uint8_t *data, size_t n, uint8_t ttl, uint16_t *start)
{
	const struct flow_key *key = &a->flow.key;
	size_t h;

	UNUSED(ttl);
	/* A redirection from IPv6 to IPv4 or a dialer may bring more than fits. */
	if (n > (size_t)(key->dst.v == 4 ? PAYLOAD_MAX4 : PAYLOAD_MAX6))
		return 0;
	h = craft_udp(data, n, &key->dst, &key->src);
	*start = (uint16_t)(h - 8);
	return h;
}

static size_t udp_quote(struct assoc *a, uint8_t *data, size_t *n)
{
	return craft_udp(data, *n, &a->flow.key.src, &a->flow.key.dst);
}

static const struct assoc_ops udp_ops = {
	.flow.network = "udp",
	.flow.input = assoc_input,
	.flow.decided = assoc_decided,
	.flow.dialed = assoc_dialed,
	.flow.abort = assoc_abort,
	.hard_errors = true,
	.refuse_error = ECONNREFUSED,
	.outgoing = udp_outgoing,
	.incoming = udp_incoming,
	.quote = udp_quote,
};

void udp_init(struct udp *u, struct ev_loop *loop, struct tun *tun, struct flow_table *flows,
	struct policy *policy)
{
	assoc_set_init(&u->set, &udp_ops, loop, tun, flows, policy);
}

void udp_fini(struct udp *u)
{
	assoc_set_fini(&u->set);
}

void udp_open(struct udp *u, const struct flow_key *key, struct buf *b, struct packet *p)
{
	assoc_open(&u->set, key, b, p);
}
