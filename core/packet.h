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

struct packet {
	uint8_t *data;   /* the IP header */
	uint32_t len;    /* the whole packet in bytes, by its own IP header */
	uint16_t l4;     /* offset of the transport header (of the fragment's data, if one) */
	uint16_t payload; /* offset of the transport payload; l4 for other protocols */
	uint8_t v;       /* 4 or 6 */
	uint8_t proto;   /* IPPROTO_*; the last header's, extension headers walked */
	uint8_t ttl;     /* TTL or hop limit */
	uint8_t tcp_flags; /* PACKET_TCP_*, 0 if not TCP */
	uint8_t icmp_type, icmp_code; /* ICMP and ICMPv6 only */

	bool fragment;        /* one piece of a larger packet: ports and the like are unset */
	bool more_fragments;
	uint16_t frag_offset; /* bytes */
	uint32_t frag_id;
	uint16_t frag_header; /* IPv6: offset of the fragment header; the last "next header" byte that
				 names it is at frag_next. 0 for IPv4 */
	uint16_t frag_next;

	struct addr src, dst; /* ports set for TCP and UDP; for ICMP echo both hold the identifier */
};

/* Fills @p from the @len bytes at @data, which start with an IP header. Bytes after
 * the length that the IP header states are ignored. Returns 0, or:
 *   -EINVAL     the bytes are no whole, well-formed packet: drop it
 *   -EPROTONOSUPPORT  well-formed, but a header chain nobody here can end (e.g. ESP):
 *               @p->v, proto, src, dst are set. */
int packet_parse(struct packet *p, uint8_t *data, size_t len);

/* The Internet checksum (RFC 1071) over @len bytes, starting with @sum, not yet
 * folded or inverted; packet_sum_fold() does both. @p may be unaligned. */
uint32_t packet_sum(const void *p, size_t len, uint32_t sum);
uint16_t packet_sum_fold(uint32_t sum);

/* The sum of the pseudo header of a packet from @src to @dst (ports ignored, same family)
 * with @len bytes of transport header and payload (RFC 9293 3.1, RFC 8200 8.1). Unfolded. */
uint32_t packet_sum_pseudo(const struct addr *src, const struct addr *dst, uint8_t proto,
	uint32_t len);

#endif
