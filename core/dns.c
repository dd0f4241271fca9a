/* SPDX-License-Identifier: MIT */
#include "dns.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base.h"
#include "craft.h"

#define UDP4_MAX 65507 /* payload; a little more fits IPv6, but no answer needs it */

int dns_init(struct dns *d, const struct dns_config *c)
{
	memset(d, 0, sizeof(*d));
	d->tun = c->tun;
	d->self4 = c->self4;
	d->self6 = c->self6;
	if (!d->self4.v)
		(void)addr_parse(&d->self4, DNS_SELF4);
	if (!d->self6.v)
		(void)addr_parse(&d->self6, DNS_SELF6);
	int err = resolvconf_init(&d->conf, c->resolv_conf ? c->resolv_conf : "/etc/resolv.conf");
	if (err < 0)
		return err;
	err = hosts_init(&d->hosts, c->hosts ? c->hosts : "/etc/hosts");
	if (err < 0)
		goto no_hosts;
	err = resolver_init(&d->resolver, c->loop, &d->conf);
	if (err < 0)
		goto no_resolver;
	dnsquery_pool_init(&d->pool, c->loop, &d->resolver, c->policy);
	d->pool.seen = c->seen;
	d->pool.seen_arg = c->seen_arg;
	d->pool.hosts = &d->hosts;
	d->pool.synth = c->synth;
	dnstcp_init(&d->tcp, c->loop, c->stack, c->flows, &d->pool);
	return 0;
no_resolver:
	hosts_fini(&d->hosts);
no_hosts:
	resolvconf_fini(&d->conf);
	return err;
}

void dns_fini(struct dns *d)
{
	dnstcp_fini(&d->tcp);
	dnsquery_pool_fini(&d->pool);
	resolver_fini(&d->resolver);
	hosts_fini(&d->hosts);
	resolvconf_fini(&d->conf);
}

bool dns_owns(struct dns *d, const struct addr *dst)
{
	if (likely(dst->port != DNS_PORT))
		return false;
	if (addr_equal_ip(dst, &d->self4) || addr_equal_ip(dst, &d->self6) ||
		resolvconf_named(&d->conf, dst))
		return true;
	/* Perhaps the child has read a file newer than the one we know. */
	return resolvconf_check(&d->conf) && resolvconf_named(&d->conf, dst);
}

/* Sends @len bytes at @msg from @src to @dst in the child. */
static void send_udp(struct dns *d, const struct addr *src, const struct addr *dst,
	const uint8_t *msg, size_t len)
{
	struct buf *b = buf_get();

	if (!b)
		return; /* as if lost: the child asks again */
	memcpy(b->data, msg, len);
	size_t header = craft_udp(b->data, len, src, dst);
	struct virtio_net_hdr vh = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = (uint16_t)(header - 8),
		.csum_offset = 6,
	};
	struct iovec iov[2] = {{0}, {b->whole + BUF_HEADROOM - header, header + len}};
	tun_writev(d->tun, &vh, iov, 2);
	buf_put(b);
	d->udp_out++;
}

static void dns_on_answer(struct dnsquery *q, uint8_t *msg, size_t len)
{
	struct dns *d = q->owner;

	if (!msg)
		return;
	/* RFC 6891 6.2.3: what the child said it takes, also if the name server sent more. */
	len = dnsmsg_truncate(msg, len, MIN((size_t)q->m.udp_size, (size_t)UDP4_MAX));
	send_udp(d, &q->dst, &q->src, msg, len);
}

void dns_input_udp(struct dns *d, struct buf *b, struct packet *p)
{
	struct dnsquery *q;

	d->udp_in++;
	if (!p->src.port ||
		dnsquery_new(&d->pool, &p->src, &p->dst, false, p->data + p->payload,
			p->len - p->payload, dns_on_answer, d, &q) < 0)
		d->udp_bad++; /* the pool counts why */
	buf_put(b);
}

void dns_open_tcp(struct dns *d, const struct flow_key *key, struct buf *b, struct packet *p)
{
	uint8_t rst[CRAFT_SMALL_MAX];

	if (dnstcp_open(&d->tcp, key, p) < 0) {
		struct iovec iov[2] = {{0}, {rst, craft_rst(rst, p)}};
		if (iov[1].iov_len)
			tun_writev(d->tun, NULL, iov, 2);
	}
	buf_put(b);
}
