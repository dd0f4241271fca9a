/* SPDX-License-Identifier: MIT */
#ifndef NSNET_ICMPERR_H
#define NSNET_ICMPERR_H

#include <time.h> /* <linux/errqueue.h> needs it first */
#include <linux/errqueue.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

/* icmperr - the ICMP or ICMPv6 error that tells the child what became of its datagram, made from
 * an errno of the host or from an entry of a socket's error queue (ip(7), IP_RECVERR). Pure.
 *
 * An error that came from the network is passed on as it came: type, code and value. For an errno
 * that only this host knows, a code is chosen so that the child's kernel gives the same errno to
 * the command. A UDP socket is not told of "no route" and "no such host" while they may be
 * passing (RFC 1122 4.2.3.9; Linux's icmp_err_convert): @hard asks for a code that it is told of.
 */
struct icmperr {
	uint8_t type, code;
	uint32_t info; /* the header's second word, host byte order: MTU, pointer */
};

/* Bytes of the datagram that an error quotes at most (RFC 1812 4.3.2.3, RFC 4443 2.4), and the room
 * before the quote that icmperr_write() needs. */
#define ICMPERR_QUOTE_MAX4 (576 - 28)
#define ICMPERR_QUOTE_MAX6 (1280 - 48)
#define ICMPERR_ROOM 48

/* For a child that speaks IP version @v. @mtu is used by EMSGSIZE. */
struct icmperr icmperr_from_errno(uint8_t v, int error, bool hard, uint32_t mtu);

/* The same from the error queue. @target_v is the IP version of the host's socket, which a
 * redirection may make another than @v. False: nothing to tell. */
bool icmperr_from_queue(struct icmperr *e, const struct sock_extended_err *ee, uint8_t target_v,
	uint8_t v, bool hard);

/* True if an error may be sent about a datagram to @dst, or may come from it (RFC 1122 3.2.2): it
 * is the address of one machine. */
bool icmperr_allowed(const struct addr *dst);

/* Writes the IP and ICMP headers before the @n bytes at @quote, which fit. Returns their length. */
size_t icmperr_write(const struct icmperr *e, uint8_t *quote, size_t n, const struct addr *from,
	const struct addr *to);

#endif
