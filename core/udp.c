/* SPDX-License-Identifier: MIT */
#include "udp.h"

#include <errno.h>
#include <netinet/in.h>

#include "base.h"
#include "craft.h"

#define PAYLOAD_MAX4 (65535 - 20 - 8)
#define PAYLOAD_MAX6 (65535 - 8)

/* VIRTIO_NET_HDR_GSO_UDP_L4 (virtio spec 5.1.6), known to Linux' headers since 6.2. */
#define GSO_UDP_L4 5

static size_t udp_outgoing(struct assoc *a, struct packet *p, uint8_t **data)
{
	UNUSED(a);
	*data = p->data + p->payload;
	return p->len - p->payload;
}

/* What the most that one packet to the child may carry. */
static size_t udp_max(const struct assoc *a)
{
	return a->flow.key.dst.v == 4 ? PAYLOAD_MAX4 : PAYLOAD_MAX6;
}

/* Writes the @b->total bytes of @b as one packet, which the child's kernel takes apart if it is
 * more than one payload. Returns what tun_writev() does. */
static int udp_write(struct assoc *a, struct bundle *b)
{
	const struct flow_key *key = &a->flow.key;
	uint8_t *data = b->iov[1].iov_base;
	size_t h = craft_udp(data, b->total, &key->dst, &key->src);
	struct virtio_net_hdr vh = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = (uint16_t)(h - 8),
		.csum_offset = 6,
	};

	if (b->packets > 1) {
		vh.gso_type = GSO_UDP_L4;
		vh.gso_size = (uint16_t)b->segment;
		vh.hdr_len = (uint16_t)h;
	}
	b->iov[1].iov_base = data - h;
	b->iov[1].iov_len += h;
	return assoc_write(a, &vh, b->iov, 1 + (int)b->count, b->packets, b->total);
}

/* Each payload by itself. The headers of one overwrite the end of the one before, which has gone.
 */
static void udp_write_each(struct assoc *a, const struct dgram_in *in)
{
	size_t at = 0;

	do {
		size_t n = MIN(in->segment, in->len - at);
		struct bundle b;

		/* A redirection from IPv6 to IPv4 or a dialer may bring more than fits. */
		if (unlikely(n > udp_max(a))) {
			a->set->unfit++;
			return;
		}
		bundle_clear(&b);
		bundle_add(&b, in->data + at, n, n);
		udp_write(a, &b);
		at += n;
	} while (at < in->len && !a->dead);
}

static void udp_received(struct assoc *a, const struct dgram_in *in, unsigned n)
{
	struct udp *u = container_of(a->set, struct udp, set);
	const struct hooks *hooks = a->set->policy->hooks;
	/* A packet hook sees each datagram. */
	bool bundles = u->tun_bundles && !(hooks && hooks->packet);
	unsigned i = 0;

	while (i < n && !a->dead) {
		unsigned first = i;
		struct bundle b;

		bundle_clear(&b);
		do {
			if (!bundle_add(&b, in[i].data, in[i].len, in[i].segment))
				break;
		} while (++i < n && bundles);
		if (b.packets > 1 && b.packets <= BUNDLE_PACKETS && bundles &&
			b.total <= udp_max(a)) {
			if (udp_write(a, &b) != -EINVAL)
				continue;
			bundles = u->tun_bundles = false; /* an older kernel */
		}
		for (; first < i && !a->dead; first++)
			udp_write_each(a, &in[first]);
	}
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
	.received = udp_received,
	.quote = udp_quote,
};

void udp_init(struct udp *u, struct ev_loop *loop, struct tun *tun, struct flow_table *flows,
	struct policy *policy)
{
	u->tun_bundles = true;
	assoc_set_init(&u->set, &udp_ops, loop, tun, flows, policy);
}

void udp_fini(struct udp *u)
{
	assoc_set_fini(&u->set);
}

void udp_flush(struct udp *u)
{
	assoc_flush(&u->set);
}

void udp_open(struct udp *u, const struct flow_key *key, struct buf *b, struct packet *p)
{
	assoc_open(&u->set, key, b, p);
}
