/* SPDX-License-Identifier: MIT */
#include "craft.h"

#include <assert.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "base.h"

#define IP4_HEADER 20
#define IP6_HEADER 40
#define TCP_HEADER 20
#define UDP_HEADER 8
#define ICMP_HEADER 8
#define TTL 64 /* what a host sends with (IANA's recommended default) */

/* The longest ICMP errors: RFC 1812 4.3.2.3, RFC 4443 2.4 (c). */
#define ERROR_MAX_4 576
#define ERROR_MAX_6 1280

static size_t ip_header_len(const struct addr *a)
{
	return a->v == 4 ? IP4_HEADER : IP6_HEADER;
}

/* Writes an IP header for @len bytes of @proto. An IPv4 packet says "don't fragment", so that it
 * needs no identification (RFC 6864 4.1). Returns the header's length. */
static size_t put_ip(uint8_t *h, const struct addr *src, const struct addr *dst, uint8_t proto,
	size_t len, uint8_t ttl)
{
	uint16_t sum;

	assert(src->v == dst->v);
	if (src->v == 6) {
		assert(len <= 65535);
		packet_put32(h, 6u << 28);
		packet_put16(h + 4, (uint16_t)len);
		h[6] = proto;
		h[7] = ttl;
		memcpy(h + 8, src->ip, 16);
		memcpy(h + 24, dst->ip, 16);
		return IP6_HEADER;
	}
	assert(src->v == 4 && len <= 65535 - IP4_HEADER);
	memset(h, 0, IP4_HEADER);
	h[0] = 0x45;
	packet_put16(h + 2, (uint16_t)(IP4_HEADER + len));
	h[6] = 0x40;
	h[8] = ttl;
	h[9] = proto;
	memcpy(h + 12, src->ip, 4);
	memcpy(h + 16, dst->ip, 4);
	sum = packet_sum_fold(packet_sum(h, IP4_HEADER, 0));
	memcpy(h + 10, &sum, 2);
	return IP4_HEADER;
}

size_t craft_rst(uint8_t *out, const struct packet *p)
{
	const uint8_t *in = p->data + p->l4;
	size_t header = ip_header_len(&p->src);
	uint8_t *tcp = out + header;
	uint16_t sum;

	if (p->proto != IPPROTO_TCP || p->fragment || (p->tcp_flags & PACKET_TCP_RST))
		return 0;
	memset(tcp, 0, TCP_HEADER);
	packet_put16(tcp, p->dst.port);
	packet_put16(tcp + 2, p->src.port);
	tcp[12] = TCP_HEADER / 4 << 4;
	tcp[13] = PACKET_TCP_RST;
	if (p->tcp_flags & PACKET_TCP_ACK) {
		memcpy(tcp + 4, in + 8, 4);
	} else {
		uint32_t end = packet_get32(in + 4) + p->len - p->payload;

		/* SYN and FIN take a sequence number each. */
		end += !!(p->tcp_flags & PACKET_TCP_SYN) + !!(p->tcp_flags & PACKET_TCP_FIN);
		packet_put32(tcp + 8, end);
		tcp[13] |= PACKET_TCP_ACK;
	}
	sum = packet_sum_fold(packet_sum(tcp, TCP_HEADER,
		packet_sum_pseudo(&p->dst, &p->src, IPPROTO_TCP, TCP_HEADER)));
	memcpy(tcp + 16, &sum, 2);
	return put_ip(out, &p->dst, &p->src, IPPROTO_TCP, TCP_HEADER, TTL) + TCP_HEADER;
}

/* True if @a stands for one machine, so that an error may come from or go to it. */
static bool is_one_host(const struct addr *a)
{
	static const uint8_t zero[16];

	if (a->v == 6)
		return a->ip[0] != 0xff && memcmp(a->ip, zero, 16) != 0;
	return a->ip[0] != 0 && a->ip[0] < 224;
}

/* True if the ICMP message @p is not known to ask for something: no error may answer an error. */
static bool is_icmp_error(const struct packet *p)
{
	if (p->proto == IPPROTO_ICMPV6)
		return p->fragment || p->icmp_type < 128;
	if (p->proto != IPPROTO_ICMP)
		return false;
	return p->fragment || p->icmp_type == ICMP_DEST_UNREACH ||
		p->icmp_type == ICMP_SOURCE_QUENCH || p->icmp_type == ICMP_REDIRECT ||
		p->icmp_type == ICMP_TIME_EXCEEDED || p->icmp_type == ICMP_PARAMETERPROB;
}

static uint8_t unreach_code(uint8_t v, enum craft_unreach why)
{
	static const uint8_t code[][2] = {
		[CRAFT_UNREACH_NET] = {ICMP_NET_UNREACH, ICMP6_DST_UNREACH_NOROUTE},
		[CRAFT_UNREACH_HOST] = {ICMP_HOST_UNREACH, ICMP6_DST_UNREACH_ADDR},
		[CRAFT_UNREACH_PORT] = {ICMP_PORT_UNREACH, ICMP6_DST_UNREACH_NOPORT},
		[CRAFT_UNREACH_PROHIBITED] = {ICMP_PKT_FILTERED, ICMP6_DST_UNREACH_ADMIN},
	};

	assert((size_t)why < ARRAY_LEN(code));
	return code[why][v == 6];
}

/* Puts the headers of an error from @src to @dst before the @quote bytes that are in place
 * behind the room for them. Returns the packet's length. */
static size_t finish_unreach(uint8_t *out, const struct addr *src, const struct addr *dst,
	size_t quote, enum craft_unreach why)
{
	uint8_t *icmp = out + ip_header_len(src);

	memset(icmp, 0, ICMP_HEADER);
	icmp[0] = src->v == 4 ? ICMP_DEST_UNREACH : ICMP6_DST_UNREACH;
	icmp[1] = unreach_code(src->v, why);
	return craft_icmp(icmp, ICMP_HEADER + quote, src, dst, TTL) + ICMP_HEADER + quote;
}

size_t craft_unreach(uint8_t *out, const struct packet *p, enum craft_unreach why)
{
	size_t header = ip_header_len(&p->src) + ICMP_HEADER;
	size_t max = (p->v == 4 ? ERROR_MAX_4 : ERROR_MAX_6) - header;
	size_t quote = MIN((size_t)p->len, max);

	if (!is_one_host(&p->src) || !is_one_host(&p->dst) || is_icmp_error(p) || p->frag_offset)
		return 0;
	memcpy(out + header, p->data, quote);
	return finish_unreach(out, &p->dst, &p->src, quote, why);
}

size_t craft_unreach_flow(uint8_t *out, const struct addr *src, const struct addr *dst,
	uint8_t proto, enum craft_unreach why)
{
	uint8_t *quote = out + ip_header_len(src) + ICMP_HEADER;
	uint8_t *l4 = quote + ip_header_len(src);

	assert(proto == IPPROTO_UDP || proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6);
	memset(l4, 0, UDP_HEADER);
	if (proto == IPPROTO_UDP) {
		packet_put16(l4, src->port);
		packet_put16(l4 + 2, dst->port);
		packet_put16(l4 + 4, UDP_HEADER);
	} else {
		proto = src->v == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
		l4[0] = src->v == 4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
		packet_put16(l4 + 4, src->port);
	}
	put_ip(quote, src, dst, proto, UDP_HEADER, TTL);
	return finish_unreach(out, dst, src, ip_header_len(src) + UDP_HEADER, why);
}

size_t craft_udp(uint8_t *payload, size_t len, const struct addr *src, const struct addr *dst)
{
	uint8_t *udp = payload - UDP_HEADER;
	uint32_t total = (uint32_t)(UDP_HEADER + len);
	uint16_t sum;

	packet_put16(udp, src->port);
	packet_put16(udp + 2, dst->port);
	packet_put16(udp + 4, (uint16_t)total);
	sum = (uint16_t)~packet_sum_fold(packet_sum_pseudo(src, dst, IPPROTO_UDP, total));
	memcpy(udp + 6, &sum, 2);
	return put_ip(udp - ip_header_len(src), src, dst, IPPROTO_UDP, total, TTL) + UDP_HEADER;
}

size_t craft_icmp(uint8_t *message, size_t len, const struct addr *src, const struct addr *dst,
	uint8_t ttl)
{
	uint8_t proto = src->v == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	uint32_t start = src->v == 4 ? 0 : packet_sum_pseudo(src, dst, proto, (uint32_t)len);
	uint16_t sum;

	assert(len >= ICMP_HEADER);
	memset(message + 2, 0, 2);
	sum = packet_sum_fold(packet_sum(message, len, start));
	memcpy(message + 2, &sum, 2);
	return put_ip(message - ip_header_len(src), src, dst, proto, len, ttl);
}
