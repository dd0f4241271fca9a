/* SPDX-License-Identifier: MIT */
#include "gate.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base.h"

static bool is_multicast(const struct addr *a)
{
	static const uint8_t broadcast[4] = {255, 255, 255, 255};

	if (a->v == 6)
		return a->ip[0] == 0xff;
	return a->ip[0] >> 4 == 14 || memcmp(a->ip, broadcast, 4) == 0;
}

static void gate_tcp(struct gate *g, const struct flow_key *key, struct buf *b, struct packet *p)
{
	const uint8_t flags = p->tcp_flags & (PACKET_TCP_SYN | PACKET_TCP_ACK | PACKET_TCP_RST);

	if (flags & PACKET_TCP_RST || !p->dst.port || !p->src.port)
		buf_put(b);
	else if (flags != PACKET_TCP_SYN)
		stack_stray(g->stack, b, p);
	else if (dns_owns(g->dns, &p->dst))
		dns_open_tcp(g->dns, key, b, p);
	else
		conn_open(g->conns, key, b, p);
}

static void gate_udp(struct gate *g, const struct flow_key *key, struct buf *b, struct packet *p)
{
	if (!p->dst.port)
		buf_put(b);
	else if (dns_owns(g->dns, &p->dst))
		dns_input_udp(g->dns, b, p);
	else
		udp_open(g->udp, key, b, p);
}

/* A whole packet with a single destination. Takes @b. */
static void gate_route(struct gate *g, struct buf *b, struct packet *p)
{
	struct flow_key key = {.src = p->src, .dst = p->dst, .proto = p->proto};
	const bool icmp = p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6;
	struct flow *f;

	if (icmp) {
		if (!ping_is_request(p)) {
			g->unsupported++;
			buf_put(b);
			return;
		}
		key.proto = IPPROTO_ICMP;
	} else if (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP) {
		g->unsupported++;
		observe_refused(g->policy->observers, &key, "protocol is not carried");
		buf_put(b);
		return;
	}
	f = flow_find(g->flows, &key);
	if (likely(f))
		f->ops->input(f, b, p);
	else if (p->proto == IPPROTO_TCP)
		gate_tcp(g, &key, b, p);
	else if (p->proto == IPPROTO_UDP)
		gate_udp(g, &key, b, p);
	else
		ping_open(g->ping, &key, b, p);
}

static void gate_input(void *arg, struct buf *b, uint8_t *ip, size_t len)
{
	struct gate *g = arg;
	const struct hooks *hooks = g->policy->hooks;
	struct packet p;
	int rc = packet_parse(&p, ip, len);

	if (unlikely(rc < 0)) {
		*(rc == -EPROTONOSUPPORT ? &g->unsupported : &g->malformed) += 1;
		buf_put(b);
		return;
	}
	/* Before the hook: a fragment shows no ports, so that rules on them would let it pass. */
	if (unlikely(p.fragment)) {
		b = frag_input(g->frag, b, &p);
		if (!b)
			return;
	}
	if (unlikely(hooks && hooks->packet) && !hooks->packet(hooks->arg, HOOK_DIR_OUT, &p)) {
		g->filtered++;
		buf_put(b);
		return;
	}
	if (unlikely(is_multicast(&p.dst))) {
		g->multicast++;
		buf_put(b);
		return;
	}
	gate_route(g, b, &p);
}

static void gate_on_batch(void *arg)
{
	struct gate *g = arg;

	stack_flush(g->stack);
	udp_flush(g->udp);
}

/* The packet hook for what goes to the child. */
static int gate_filter(void *arg, const struct iovec *iov, int n)
{
	static uint8_t flat[BUF_DATA_MAX];
	struct gate *g = arg;
	const struct hooks *hooks = g->policy->hooks;
	struct packet p;
	size_t len = 0;

	if (!hooks || !hooks->packet)
		return true;
	for (int i = 0; i < n; len += iov[i++].iov_len) {
		if (iov[i].iov_len > sizeof(flat) - len)
			goto drop;
		memcpy(flat + len, iov[i].iov_base, iov[i].iov_len);
	}
	if (packet_parse(&p, flat, len) == 0 && hooks->packet(hooks->arg, HOOK_DIR_IN, &p))
		return true;
drop: /* what a script cannot be shown is not let past it */
	g->filtered++;
	return false;
}

void gate_start(struct gate *g)
{
	struct tun *t = g->tun;

	t->on_input = gate_input;
	t->on_batch = gate_on_batch;
	/* Scripts may come and go by a reload; without a hook this costs a call and a test. */
	t->filter = gate_filter;
	t->arg = g;
	tun_start(t);
}
