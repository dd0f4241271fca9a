/* SPDX-License-Identifier: MIT */
#ifndef NSNET_CRAFT_H
#define NSNET_CRAFT_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "packet.h"

/* craft - makes the packets that the host answers with itself: RST, ICMP errors, UDP
 * datagrams, echo replies. Pure: bytes in, bytes out; the caller writes them to the tun.
 *
 * Two kinds: craft_rst() and craft_unreach*() write a whole packet to @out and return its length;
 * craft_udp() and craft_icmp() put headers before a payload that is in place and return the
 * headers' length. Everything is complete, but for the checksum of a UDP datagram, which is left
 * to the kernel (see craft_udp). Source and destination must be of one family.
 */

/* Why a packet did not arrive. */
enum craft_unreach {
	CRAFT_UNREACH_NET,        /* ENETUNREACH in the child */
	CRAFT_UNREACH_HOST,       /* EHOSTUNREACH */
	CRAFT_UNREACH_PORT,       /* ECONNREFUSED */
	CRAFT_UNREACH_PROHIBITED, /* EHOSTUNREACH (IPv4), EACCES (IPv6) */
};

/* Room that craft_rst() and craft_unreach*() need at most. */
#define CRAFT_SMALL_MAX 1280

/* RST that answers the SYN (or any segment) @p (RFC 9293 3.10.7.1). 0 if @p is itself a RST or no
 * whole TCP segment. */
size_t craft_rst(uint8_t *out, const struct packet *p);

/* ICMP or ICMPv6 destination unreachable from @p's destination, quoting @p (RFC 1812 4.3.2.3: up to
 * 576 bytes; RFC 4443 2.4: up to 1280). 0 if @p may not be answered (multicast, an ICMP error,
 * a later fragment; RFC 1122 3.2.2). Transport checksums in the quote are as they came. */
size_t craft_unreach(uint8_t *out, const struct packet *p, enum craft_unreach why);

/* The same for the flow @src -> @dst of @proto (UDP, ICMP or ICMPv6 echo) whose packet is gone: the
 * quote is made up from the addresses and ports. A TCP error needs the sequence number, so
 * it needs the packet. */
size_t craft_unreach_flow(uint8_t *out, const struct addr *src, const struct addr *dst,
	uint8_t proto, enum craft_unreach why);

/* The headers for the @len bytes of UDP payload at @payload, written directly before it (28 or 48
 * bytes of room needed). Returns their length; the packet starts at payload - that. To be
 * sent with NEEDS_CSUM, csum_start = that - 8, csum_offset = 6: the field holds the pseudo
 * header's sum. Ports in @src, @dst. @len is at most 65507 (IPv4) or 65527 (IPv6). The kernel takes
 * it unfragmented whatever the MTU. */
size_t craft_udp(uint8_t *payload, size_t len, const struct addr *src, const struct addr *dst);

/* The IP header before an ICMP message of @len (8 to 65515) bytes at @message, whose checksum is
 * computed here. Returns the header's length (20 or 40). */
size_t craft_icmp(uint8_t *message, size_t len, const struct addr *src, const struct addr *dst,
	uint8_t ttl);

#endif
