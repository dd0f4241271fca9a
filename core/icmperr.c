/* SPDX-License-Identifier: MIT */
#include "icmperr.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "base.h"
#include "craft.h"

#define TTL 64
#define ICMP_HEADER 8

/* Missing in <netinet/icmp6.h>: RFC 4443 3.1, "reject route to destination". */
#define UNREACH6_REJECT 6

/* What Linux makes of each code for a UDP socket: EHOSTUNREACH of 1 (v4) and 3 (v6) and
 * ENETUNREACH of 0 are hidden from it; 10 and 6 of v4 give the same errnos openly. ICMPv6 has
 * no open code for either: "reject route" is true and visible (EACCES). */
static const struct {
	int error;
	uint8_t soft4, hard4, soft6, hard6;
} codes[] = {
	{ECONNREFUSED, ICMP_PORT_UNREACH, ICMP_PORT_UNREACH, ICMP6_DST_UNREACH_NOPORT,
		ICMP6_DST_UNREACH_NOPORT},
	{ECONNRESET, ICMP_PORT_UNREACH, ICMP_PORT_UNREACH, ICMP6_DST_UNREACH_NOPORT,
		ICMP6_DST_UNREACH_NOPORT},
	{ENOPROTOOPT, ICMP_PROT_UNREACH, ICMP_PROT_UNREACH, ICMP6_DST_UNREACH_NOPORT,
		ICMP6_DST_UNREACH_NOPORT},
	{EACCES, ICMP_PKT_FILTERED, ICMP_PKT_FILTERED, ICMP6_DST_UNREACH_ADMIN,
		ICMP6_DST_UNREACH_ADMIN},
	{EPERM, ICMP_PKT_FILTERED, ICMP_PKT_FILTERED, ICMP6_DST_UNREACH_ADMIN,
		ICMP6_DST_UNREACH_ADMIN},
	{ENETUNREACH, ICMP_NET_UNREACH, ICMP_NET_UNKNOWN, ICMP6_DST_UNREACH_NOROUTE,
		UNREACH6_REJECT},
	{ENETDOWN, ICMP_NET_UNREACH, ICMP_NET_UNKNOWN, ICMP6_DST_UNREACH_NOROUTE, UNREACH6_REJECT},
	{EAFNOSUPPORT, ICMP_NET_UNREACH, ICMP_NET_UNKNOWN, ICMP6_DST_UNREACH_NOROUTE,
		UNREACH6_REJECT},
	{EADDRNOTAVAIL, ICMP_NET_UNREACH, ICMP_NET_UNKNOWN, ICMP6_DST_UNREACH_NOROUTE,
		UNREACH6_REJECT},
	/* the last one is for all others */
	{EHOSTUNREACH, ICMP_HOST_UNREACH, ICMP_HOST_ANO, ICMP6_DST_UNREACH_ADDR, UNREACH6_REJECT},
};

struct icmperr icmperr_from_errno(uint8_t v, int error, bool hard, uint32_t mtu)
{
	struct icmperr e = {.type = v == 4 ? ICMP_DEST_UNREACH : ICMP6_DST_UNREACH};
	size_t i = 0;

	if (error == EMSGSIZE) {
		e.type = v == 4 ? ICMP_DEST_UNREACH : ICMP6_PACKET_TOO_BIG;
		e.code = v == 4 ? ICMP_FRAG_NEEDED : 0;
		e.info = v == 4 ? MIN(mtu, 65535u) : mtu;
		return e;
	}
	while (i < ARRAY_LEN(codes) - 1 && codes[i].error != error)
		i++;
	if (v == 4)
		e.code = hard ? codes[i].hard4 : codes[i].soft4;
	else
		e.code = hard ? codes[i].hard6 : codes[i].soft6;
	return e;
}

/* The error of one IP version told in the other's words (RFC 7915 4.2 and 5.2, the little of it
 * that a datagram needs). */
static struct icmperr translate(const struct sock_extended_err *ee, uint8_t v)
{
	struct icmperr e = {0};
	uint32_t mtu = ee->ee_info;
	bool exceeded =
		v == 6 ? ee->ee_type == ICMP_TIME_EXCEEDED : ee->ee_type == ICMP6_TIME_EXCEEDED;

	if (exceeded) {
		e.type = v == 4 ? ICMP_TIME_EXCEEDED : ICMP6_TIME_EXCEEDED;
		e.code = ee->ee_code;
		return e;
	}
	if (v == 6) /* its header is 20 bytes longer */
		mtu += 20;
	else if (mtu > 20)
		mtu -= 20;
	return icmperr_from_errno(v, (int)ee->ee_errno, false, mtu);
}

bool icmperr_from_queue(struct icmperr *e, const struct sock_extended_err *ee, uint8_t target_v,
	uint8_t v, bool hard)
{
	bool from_net = ee->ee_origin == SO_EE_ORIGIN_ICMP || ee->ee_origin == SO_EE_ORIGIN_ICMP6;

	if (ee->ee_origin == SO_EE_ORIGIN_LOCAL) {
		*e = icmperr_from_errno(v, (int)ee->ee_errno, hard, ee->ee_info);
		return true;
	}
	if (!from_net)
		return false;
	if (target_v != v || (ee->ee_origin == SO_EE_ORIGIN_ICMP) != (v == 4)) {
		*e = translate(ee, v);
		return true;
	}
	if (v == 4 && ee->ee_type != ICMP_DEST_UNREACH && ee->ee_type != ICMP_TIME_EXCEEDED &&
		ee->ee_type != ICMP_PARAMETERPROB)
		return false; /* source quench: RFC 6633 */
	*e = (struct icmperr){.type = ee->ee_type, .code = ee->ee_code, .info = ee->ee_info};
	if (v == 4 && e->type == ICMP_PARAMETERPROB)
		e->info <<= 24; /* Linux gives the pointer alone */
	return true;
}

bool icmperr_allowed(const struct addr *dst)
{
	static const uint8_t zero[16];

	if (dst->v == 4)
		return dst->ip[0] != 0 && dst->ip[0] < 224;
	return dst->v == 6 && dst->ip[0] != 0xff && memcmp(dst->ip, zero, sizeof(zero)) != 0;
}

size_t icmperr_write(const struct icmperr *e, uint8_t *quote, size_t n, const struct addr *from,
	const struct addr *to)
{
	uint8_t *h = quote - ICMP_HEADER;

	h[0] = e->type;
	h[1] = e->code;
	h[2] = h[3] = 0;
	packet_put32(h + 4, e->info);
	return craft_icmp(h, ICMP_HEADER + n, from, to, TTL) + ICMP_HEADER;
}
