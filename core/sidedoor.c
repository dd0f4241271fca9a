/* SPDX-License-Identifier: MIT */
#include "sidedoor.h"

#include <netinet/in.h>
#include <string.h>

#include "base.h"
#include "dname.h"
#include "guard.h"

#define PORT_HTTPS 443

static bool is_dns_port(uint16_t port)
{
	return port == 53 || port == 853 || port == 5353 || port == 5355;
}

static bool is_doh_server(const struct addr *dst)
{
	static const uint8_t v4[][4] = {
		{1, 1, 1, 1},
		{1, 0, 0, 1},
		{1, 1, 1, 2},
		{1, 0, 0, 2},
		{1, 1, 1, 3},
		{1, 0, 0, 3},
		{8, 8, 8, 8},
		{8, 8, 4, 4},
		{9, 9, 9, 9},
		{149, 112, 112, 112},
		{9, 9, 9, 10},
		{149, 112, 112, 10},
		{9, 9, 9, 11},
		{149, 112, 112, 11},
		{208, 67, 222, 222},
		{208, 67, 220, 220},
		{208, 67, 222, 123},
		{208, 67, 220, 123},
		{94, 140, 14, 14},
		{94, 140, 15, 15},
		{94, 140, 14, 140},
		{94, 140, 14, 141},
		{185, 228, 168, 9},
		{185, 228, 169, 9},
		{76, 76, 2, 0},
		{76, 76, 10, 0},
		{45, 90, 28, 0},
		{45, 90, 30, 0},
		{194, 242, 2, 2},
		{223, 5, 5, 5},
		{223, 6, 6, 6},
		{1, 12, 12, 12},
		{120, 53, 53, 53},
		{77, 88, 8, 8},
		{77, 88, 8, 1},
		{185, 222, 222, 222},
		{45, 11, 45, 11},
	};
	static const uint8_t v6[][16] = {
		{0x26, 6, 0x47, 0, 0x47, [14] = 0x11, 0x11}, /* Cloudflare */
		{0x26, 6, 0x47, 0, 0x47, [14] = 0x10, 0x01},
		{0x26, 6, 0x47, 0, 0x47, [14] = 0x11, 0x12},
		{0x26, 6, 0x47, 0, 0x47, [14] = 0x10, 0x02},
		{0x26, 6, 0x47, 0, 0x47, [14] = 0x11, 0x13},
		{0x26, 6, 0x47, 0, 0x47, [14] = 0x10, 0x03},
		{0x20, 1, 0x48, 0x60, 0x48, 0x60, [14] = 0x88, 0x88}, /* Google */
		{0x20, 1, 0x48, 0x60, 0x48, 0x60, [14] = 0x88, 0x44},
		{0x26, 0x20, 0, 0xfe, [15] = 0xfe}, /* Quad9 */
		{0x26, 0x20, 0, 0xfe, [15] = 9},
		{0x26, 0x20, 1, 0x19, 0, 0x35, [15] = 0x35}, /* OpenDNS */
		{0x26, 0x20, 1, 0x19, 0, 0x53, [15] = 0x53},
		{0x2a, 0x10, 0x50, 0xc0, [12] = 0x0a, 0xd1, 0, 0xff}, /* AdGuard */
		{0x2a, 0x10, 0x50, 0xc0, [12] = 0x0a, 0xd2, 0, 0xff},
	};
	const struct addr a = guard_canonical(dst);

	for (size_t i = 0; a.v == 4 && i < ARRAY_LEN(v4); i++) {
		if (memcmp(a.ip, v4[i], 4) == 0)
			return true;
	}
	for (size_t i = 0; a.v == 6 && i < ARRAY_LEN(v6); i++) {
		if (memcmp(a.ip, v6[i], 16) == 0)
			return true;
	}
	return false;
}

enum sidedoor sidedoor_of(uint32_t proto, const struct addr *dst)
{
	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return SIDEDOOR_NONE;
	if (is_dns_port(dst->port))
		return SIDEDOOR_DNS;
	if (dst->port != PORT_HTTPS)
		return SIDEDOOR_NONE;
	if (is_doh_server(dst))
		return SIDEDOOR_DOH;
	return proto == IPPROTO_UDP ? SIDEDOOR_QUIC : SIDEDOOR_NONE;
}

const char *sidedoor_text(enum sidedoor s)
{
	static const char *const text[] = {
		[SIDEDOOR_NONE] = "nothing special",
		[SIDEDOOR_DNS] =
			"another name server; name its port or address in a rule to open it",
		[SIDEDOOR_DOH] =
			"a name server by HTTPS; name its name or address in a rule to open it",
		[SIDEDOOR_QUIC] = "QUIC hides names; write network = \"udp\" in a rule to open it",
	};

	return text[s];
}

enum sidedoor_name sidedoor_name(const char *name)
{
	/* RFC 9462 4; Mozilla's canary domain; Apple's private relay. */
	static const char *const signals[] = {"resolver.arpa", "use-application-dns.net",
		"mask.icloud.com", "mask-h2.icloud.com"};
	static const char *const servers[] = {
		"dns.google",
		"dns.google.com",
		"cloudflare-dns.com",
		"one.one.one.one",
		"cloudflare-gateway.com",
		"dns.quad9.net",
		"doh.opendns.com",
		"doh.umbrella.com",
		"dns.nextdns.io",
		"dns.adguard.com",
		"adguard-dns.com",
		"doh.cleanbrowsing.org",
		"dns.controld.com",
		"dns.mullvad.net",
		"doh.dns.apple.com",
		"doh.dns.sb",
		"dns.alidns.com",
		"doh.pub",
		"dot.pub",
		"doh.360.cn",
		"dns9.quad9.net",
		"dns10.quad9.net",
		"dns11.quad9.net",
		"dns.twnic.tw",
		"doh.xfinity.com",
		"dns.yandex.net",
		"doh.libredns.gr",
		"dns0.eu",
		"freedns.controld.com",
		"ordns.he.net",
		"dns.switch.ch",
		"doh.applied-privacy.net",
	};

	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		if (dname_match(signals[i], DNAME_TREE, name))
			return SIDEDOOR_NAME_SIGNAL;
	}
	for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
		if (dname_match(servers[i], DNAME_TREE, name))
			return SIDEDOOR_NAME_SERVER;
	}
	return SIDEDOOR_NAME_NONE;
}
