/* SPDX-License-Identifier: MIT */
#ifndef NSNET_PACKET_H
#define NSNET_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

/* packet - what is written on an IP packet: a parsed view, no copy, no ownership.
 *
 * The view borrows the bytes it was made from. RFC 791, 8200, 9293, 768, 792, 4443.
 */
#define PACKET_TCP_FIN 0x01
#define PACKET_TCP_SYN 0x02
#define PACKET_TCP_RST 0x04
#define PACKET_TCP_PSH 0x08
#define PACKET_TCP_ACK 0x10
#define PACKET_TCP_URG 0x20
#define PACKET_TCP_ECE 0x40 /* RFC 3168: a SYN may carry both of these, so test bits, */
#define PACKET_TCP_CWR 0x80 /* never the whole byte */

struct packet {
	uint8_t *data;    /* the IP header */
	uint32_t len;     /* the whole packet in bytes, by its own IP header; of an unfragmented UDP
			     packet by its UDP length, so that len - payload is the payload's */
	uint16_t l4;      /* offset of the transport header (of the fragment's data, if one) */
	uint16_t payload; /* offset of the transport payload: behind the TCP options, the 8 bytes of
			     UDP and ICMP; l4 for other protocols and fragments */
	uint8_t v;        /* 4 or 6 */
	uint8_t proto;    /* IPPROTO_*; the last header's, extension headers walked */
	uint8_t ttl;      /* TTL or hop limit */
	uint8_t tcp_flags;            /* PACKET_TCP_*, 0 if not TCP */
	uint8_t icmp_type, icmp_code; /* ICMP in IPv4 and ICMPv6 in IPv6 only */

	bool fragment; /* one piece of a larger packet: ports and the like are unset. An IPv6 packet
			  whose fragment header says that it is whole (RFC 6946) is none. */
	bool more_fragments;
	uint16_t frag_offset; /* bytes */
	uint32_t frag_id;
	uint16_t frag_header; /* IPv6: offset of the fragment header; 0 for IPv4 */
	uint16_t frag_next;   /* IPv6: offset of the "next header" byte that names it */

	/* Ports set for TCP and UDP; for ICMP echo both hold the identifier. */
	struct addr src, dst;
};

/* Fills @p from the @len bytes at @data, which start with an IP header. Bytes after
 * the length that the IP header states are ignored. Checksums are not looked at: the kernel
 * hands out packets whose sums are not filled in yet. Returns 0, or:
 *   -EINVAL     the bytes are no whole, well-formed packet, or one that RFC 8200 and 5095 tell
 *               its receiver to discard: drop it
 *   -EPROTONOSUPPORT  well-formed, but of a protocol that nobody here can look into or answer
 *               in kind (ESP, AH, ICMP of the other version, ...): data, len, v, proto, ttl,
 *               l4, payload, src, dst are set. */
int packet_parse(struct packet *p, uint8_t *data, size_t len);

/* The Internet checksum (RFC 1071) over @len bytes at @p (any alignment), added to @sum: 0, or the
 * sum of what comes before, which must be of even length. packet_sum_fold() folds
 * and inverts it. The result is in network byte order: to be stored with memcpy(), as it is.
 * (A pseudo header's sum that the kernel is to complete is folded but not inverted:
 * ~packet_sum_fold().) */
uint32_t packet_sum(const void *p, size_t len, uint32_t sum);
uint16_t packet_sum_fold(uint32_t sum);

/* The sum of the pseudo header of a packet from @src to @dst (ports ignored, same family)
 * with @len bytes of transport header and payload (RFC 9293 3.1, RFC 8200 8.1). Unfolded. */
uint32_t packet_sum_pseudo(const struct addr *src, const struct addr *dst, uint8_t proto,
	uint32_t len);

/* Numbers in network byte order at any alignment. */
static inline uint16_t packet_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t packet_get32(const uint8_t *p)
{
	return (uint32_t)packet_get16(p) << 16 | packet_get16(p + 2);
}

static inline void packet_put16(uint8_t *p, uint16_t n)
{
	p[0] = (uint8_t)(n >> 8);
	p[1] = (uint8_t)n;
}

static inline void packet_put32(uint8_t *p, uint32_t n)
{
	packet_put16(p, (uint16_t)(n >> 16));
	packet_put16(p + 2, (uint16_t)n);
}

#endif
