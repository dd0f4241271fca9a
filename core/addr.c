/* SPDX-License-Identifier: MIT */
#include "addr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static_assert(sizeof(struct addr) == 20, "addr is compared and hashed as bytes");

/* Reads a decimal number without sign or leading zero from @text to its end. @max is below
 * 100000. Returns it, or -EINVAL. */
static int parse_number(const char *text, int max)
{
	int n = 0;

	/* "080" would be read as octal elsewhere: two readings, so none. */
	if (!text[0] || (text[0] == '0' && text[1]))
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		n = n * 10 + (*text - '0');
		if (n > max)
			return -EINVAL;
	}
	return n;
}

uint16_t addr_parse_port(const char *text, const char *end)
{
	unsigned n = 0;

	if (end - text < 1 || end - text > 5)
		return 0;
	for (; text < end; text++) {
		if (*text < '0' || *text > '9')
			return 0;
		n = 10 * n + (unsigned)(*text - '0');
	}
	return n <= 65535 ? (uint16_t)n : 0;
}

/* Reads the @len characters at @text as an address of version @v, or of either if 0. */
static int parse_ip(struct addr *a, const char *text, size_t len, int v)
{
	char copy[INET6_ADDRSTRLEN];

	if (len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	memset(a, 0, sizeof(*a));
	if (v != 6 && inet_pton(AF_INET, copy, a->ip) == 1) {
		a->v = 4;
		return 0;
	}
	if (v != 4 && inet_pton(AF_INET6, copy, a->ip) == 1) {
		a->v = 6;
		return 0;
	}
	memset(a, 0, sizeof(*a));
	return -EINVAL;
}

int addr_parse(struct addr *a, const char *text)
{
	const char *end = text, *port = NULL;
	int err, n;

	memset(a, 0, sizeof(*a));
	if (text[0] == '[') {
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		if (end[1])
			port = end + 2;
		err = parse_ip(a, text + 1, (size_t)(end - text - 1), 6);
	} else {
		end = strchr(text, ':');
		/* One colon is a port, more are an IPv6 address. */
		if (end && !strchr(end + 1, ':')) {
			port = end + 1;
			err = parse_ip(a, text, (size_t)(end - text), 4);
		} else {
			err = parse_ip(a, text, strlen(text), 0);
		}
	}
	if (err || !port)
		return err;
	n = parse_number(port, 65535);
	/* A port 0 that was written must not come to mean "any". */
	if (n <= 0) {
		memset(a, 0, sizeof(*a));
		return -EINVAL;
	}
	a->port = (uint16_t)n;
	return 0;
}

char *addr_format(const struct addr *a, bool with_port, char *text)
{
	bool port = with_port && a->port;
	size_t n = 0;

	if (a->v != 4 && a->v != 6) {
		memcpy(text, "-", 2);
		return text;
	}
	if (a->v == 6 && port)
		text[n++] = '[';
	inet_ntop(a->v == 4 ? AF_INET : AF_INET6, a->ip, text + n, INET6_ADDRSTRLEN);
	n += strlen(text + n);
	if (port)
		snprintf(text + n, ADDR_TEXT_MAX - n, "%s:%u", a->v == 6 ? "]" : "", a->port);
	return text;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return addr_equal_ip(a, b) && a->port == b->port;
}

bool addr_equal_ip(const struct addr *a, const struct addr *b)
{
	return a->v == b->v && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool addr_is_mapped(const struct addr *a)
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return a->v == 6 && memcmp(a->ip, prefix, sizeof(prefix)) == 0;
}

socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *ss)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(a->port)};
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};

	memset(ss, 0, sizeof(*ss));
	if (a->v == 4) {
		memcpy(&sin.sin_addr, a->ip, 4);
		memcpy(ss, &sin, sizeof(sin));
		return sizeof(sin);
	}
	if (a->v == 6) {
		memcpy(&sin6.sin6_addr, a->ip, 16);
		memcpy(ss, &sin6, sizeof(sin6));
		return sizeof(sin6);
	}
	ss->ss_family = AF_UNSPEC;
	return 0;
}

int addr_from_sockaddr(struct addr *a, const struct sockaddr_storage *ss)
{
	struct sockaddr_in sin;
	struct sockaddr_in6 sin6;

	memset(a, 0, sizeof(*a));
	if (ss->ss_family == AF_INET) {
		memcpy(&sin, ss, sizeof(sin));
		memcpy(a->ip, &sin.sin_addr, 4);
		a->port = ntohs(sin.sin_port);
		a->v = 4;
		return 0;
	}
	if (ss->ss_family == AF_INET6) {
		memcpy(&sin6, ss, sizeof(sin6));
		memcpy(a->ip, &sin6.sin6_addr, 16);
		a->port = ntohs(sin6.sin6_port);
		a->v = 6;
		return 0;
	}
	return -EAFNOSUPPORT;
}

/* The bits of byte @i that a network of @bits bits covers. */
static uint8_t mask(unsigned bits, unsigned i)
{
	if (bits >= 8 * (i + 1))
		return 0xff;
	if (bits <= 8 * i)
		return 0;
	return (uint8_t)(0xff << (8 - (bits - 8 * i)));
}

int cidr_parse(struct cidr *c, const char *text)
{
	const char *slash = strchr(text, '/');
	int err, bits;

	memset(c, 0, sizeof(*c));
	err = parse_ip(&c->net, text, slash ? (size_t)(slash - text) : strlen(text), 0);
	if (err)
		return err;
	bits = c->net.v == 4 ? 32 : 128;
	if (slash)
		bits = parse_number(slash + 1, bits);
	for (unsigned i = 0; bits >= 0 && i < sizeof(c->net.ip); i++) {
		if (c->net.ip[i] & ~mask((unsigned)bits, i))
			bits = -EINVAL;
	}
	if (bits < 0) {
		memset(c, 0, sizeof(*c));
		return bits;
	}
	c->bits = (uint8_t)bits;
	return 0;
}

bool cidr_has(const struct cidr *c, const struct addr *a)
{
	unsigned bytes = c->bits / 8;

	if (!c->net.v || c->net.v != a->v || memcmp(c->net.ip, a->ip, bytes) != 0)
		return false;
	return c->bits % 8 == 0 || ((c->net.ip[bytes] ^ a->ip[bytes]) & mask(c->bits, bytes)) == 0;
}
