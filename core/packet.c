/* SPDX-License-Identifier: MIT */
#include "packet.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base.h"

/* Extension headers that a packet may have. Real ones have one or two; each is at most 2048
 * bytes, so that all offsets fit into 16 bits. */
#define EXTENSIONS_MAX 8

#define IP4_HEADER 20
#define IP6_HEADER 40
#define UDP_HEADER 8
#define ICMP_HEADER 8 /* every ICMPv6 message in use has 8 bytes too */
#define FRAGMENT_HEADER 8

/* IPv6 headers behind which nobody here can look: IANA's list of extension headers. */
#define PROTO_MOBILITY 135
#define PROTO_HIP 139
#define PROTO_SHIM6 140

static void set_addr(struct addr *a, const uint8_t *ip, uint8_t v)
{
	memcpy(a->ip, ip, v == 4 ? 4 : 16);
	a->v = v;
}

static int parse_tcp(struct packet *p, const uint8_t *h, uint32_t len)
{
	uint32_t header;

	if (len < 20)
		return -EINVAL;
	header = (uint32_t)(h[12] >> 4) * 4;
	if (header < 20 || header > len)
		return -EINVAL;
	p->src.port = packet_get16(h);
	p->dst.port = packet_get16(h + 2);
	p->tcp_flags = h[13];
	p->payload = (uint16_t)(p->l4 + header);
	return 0;
}

static int parse_udp(struct packet *p, const uint8_t *h, uint32_t len)
{
	uint32_t stated;

	if (len < UDP_HEADER)
		return -EINVAL;
	stated = packet_get16(h + 4);
	if (stated < UDP_HEADER || stated > len)
		return -EINVAL;
	p->len = p->l4 + stated;
	p->src.port = packet_get16(h);
	p->dst.port = packet_get16(h + 2);
	p->payload = (uint16_t)(p->l4 + UDP_HEADER);
	return 0;
}

static int parse_icmp(struct packet *p, const uint8_t *h, uint32_t len)
{
	bool echo;

	if (len < ICMP_HEADER)
		return -EINVAL;
	p->icmp_type = h[0];
	p->icmp_code = h[1];
	echo = p->v == 4 ? h[0] == 0 || h[0] == 8 : h[0] == 128 || h[0] == 129;
	if (echo)
		p->src.port = p->dst.port = packet_get16(h + 4);
	p->payload = (uint16_t)(p->l4 + ICMP_HEADER);
	return 0;
}

/* The transport header at p->l4. A fragment's bytes there may be any part of one. */
static int parse_transport(struct packet *p)
{
	const uint8_t *h = p->data + p->l4;
	uint32_t len = p->len - p->l4;

	p->payload = p->l4;
	switch (p->proto) {
	case IPPROTO_TCP:
		return p->fragment ? 0 : parse_tcp(p, h, len);
	case IPPROTO_UDP:
		return p->fragment ? 0 : parse_udp(p, h, len);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (p->v != (p->proto == IPPROTO_ICMP ? 4 : 6))
			return -EPROTONOSUPPORT;
		return p->fragment ? 0 : parse_icmp(p, h, len);
	case IPPROTO_ESP:
	case IPPROTO_AH:
	case PROTO_MOBILITY:
	case PROTO_HIP:
	case PROTO_SHIM6:
		return p->fragment ? 0 : -EPROTONOSUPPORT;
	default:
		return 0;
	}
}

static int parse_ip4(struct packet *p, const uint8_t *h, size_t len)
{
	uint32_t header, total;
	uint16_t frag;

	if (len < IP4_HEADER)
		return -EINVAL;
	header = (uint32_t)(h[0] & 15) * 4;
	total = packet_get16(h + 2);
	if (header < IP4_HEADER || total < header || total > len)
		return -EINVAL;
	frag = packet_get16(h + 6);
	p->len = total;
	p->l4 = (uint16_t)header;
	p->ttl = h[8];
	p->proto = h[9];
	set_addr(&p->src, h + 12, 4);
	set_addr(&p->dst, h + 16, 4);
	if (unlikely(frag & 0x3fff)) {
		p->fragment = true;
		p->more_fragments = frag & 0x2000;
		p->frag_offset = (uint16_t)((frag & 0x1fff) * 8);
		p->frag_id = packet_get16(h + 4);
	}
	return parse_transport(p);
}

/* One extension header of kind @next at @at, which the byte at @named names. Returns its
 * length, or 0 if what it asks for means that the packet is to be dropped. */
static uint32_t parse_extension(struct packet *p, uint8_t next, uint32_t at, uint32_t named)
{
	const uint8_t *h = p->data + at;
	uint16_t frag;

	if (p->len - at < 8)
		return 0;
	if (next == IPPROTO_FRAGMENT) {
		if (p->frag_header)
			return 0;
		frag = packet_get16(h + 2);
		p->frag_header = (uint16_t)at;
		p->frag_next = (uint16_t)named;
		p->frag_offset = frag & 0xfff8;
		p->more_fragments = frag & 1;
		p->fragment = p->frag_offset || p->more_fragments;
		p->frag_id = packet_get32(h + 4);
		return FRAGMENT_HEADER;
	}
	/* A hop-by-hop header comes first or not at all (RFC 8200 4.1). A routing header with a
	 * stop left means that @dst is not where the packet wants to go (RFC 5095). */
	if (next == IPPROTO_HOPOPTS && named != 6)
		return 0;
	if (next == IPPROTO_ROUTING && h[3] != 0)
		return 0;
	return ((uint32_t)h[1] + 1) * 8;
}

static int parse_ip6(struct packet *p, const uint8_t *h, size_t len)
{
	uint32_t at = IP6_HEADER, named = 6;

	if (len < IP6_HEADER)
		return -EINVAL;
	/* A length of 0 that means a jumbogram (RFC 2675) is refused below: its hop-by-hop header
	 * lies outside of the packet. */
	p->len = IP6_HEADER + packet_get16(h + 4);
	if (p->len > len)
		return -EINVAL;
	p->ttl = h[7];
	set_addr(&p->src, h + 8, 6);
	set_addr(&p->dst, h + 24, 6);
	for (int i = 0;; i++) {
		uint8_t next = h[named];
		uint32_t size;

		p->proto = next;
		p->l4 = (uint16_t)at;
		if (likely(next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING &&
			    next != IPPROTO_FRAGMENT && next != IPPROTO_DSTOPTS))
			return parse_transport(p);
		if (p->fragment) {
			/* The chain goes on in the data, which is whole elsewhere. */
			p->payload = p->l4;
			return 0;
		}
		if (i == EXTENSIONS_MAX)
			return -EINVAL;
		size = parse_extension(p, next, at, named);
		if (!size || size > p->len - at)
			return -EINVAL;
		named = at;
		at += size;
	}
}

int packet_parse(struct packet *p, uint8_t *data, size_t len)
{
	memset(p, 0, sizeof(*p));
	p->data = data;
	if (unlikely(len == 0))
		return -EINVAL;
	p->v = data[0] >> 4;
	if (likely(p->v == 4))
		return parse_ip4(p, data, len);
	if (p->v == 6)
		return parse_ip6(p, data, len);
	return -EINVAL;
}

uint32_t packet_sum(const void *p, size_t len, uint32_t sum)
{
	const uint8_t *b = p;
	uint64_t s = sum;
	uint32_t w = 0;

	/* Sums of 16-bit words may be taken in any byte order and in wider words (RFC 1071 2). */
	for (; len >= 4; len -= 4, b += 4) {
		memcpy(&w, b, 4);
		s += w;
	}
	w = 0;
	memcpy(&w, b, len);
	s += w;
	s = (s & 0xffffffff) + (s >> 32);
	return (uint32_t)(s + (s >> 32));
}

uint16_t packet_sum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum += sum >> 16;
	return (uint16_t)~sum;
}

uint32_t packet_sum_pseudo(const struct addr *src, const struct addr *dst, uint8_t proto,
	uint32_t len)
{
	size_t size = src->v == 4 ? 4 : 16;
	uint8_t tail[8] = {0};

	packet_put32(tail, len);
	tail[7] = proto;
	return packet_sum(tail, sizeof(tail),
		packet_sum(src->ip, size, packet_sum(dst->ip, size, 0)));
}
