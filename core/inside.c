/* SPDX-License-Identifier: MIT */
#include "inside.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct addr inside_self(const struct cidr *net, unsigned host)
{
	struct addr a = net->net;
	const int last = a.v == 4 ? 3 : 15;

	a.ip[last] = (uint8_t)host;
	if (a.v == 6)
		a.ip[last - 1] = (uint8_t)(host >> 8);
	return a;
}

bool inside_is_network(const char *text, unsigned version)
{
	char copy[ADDR_TEXT_MAX], *slash, *end;
	struct addr a;
	long bits;

	if (strlen(text) >= sizeof(copy))
		return false;
	strcpy(copy, text);
	slash = strchr(copy, '/');
	if (!slash)
		return false;
	*slash = '\0';
	bits = strtol(slash + 1, &end, 10);
	return !addr_parse(&a, copy) && a.v == version && !a.port && !*end && end > slash + 1 &&
		bits >= 8 && bits <= (version == 4 ? 24 : 120);
}

/* The two halves of "10.0.0.1/24". */
static struct addr split(const char *text, uint8_t *bits)
{
	char copy[ADDR_TEXT_MAX];
	struct addr a = {0};
	char *slash;

	snprintf(copy, sizeof(copy), "%s", text);
	slash = strchr(copy, '/');
	*slash = '\0';
	addr_parse(&a, copy);
	*bits = (uint8_t)strtoul(slash + 1, NULL, 10);
	return a;
}

struct addr inside_address(const char *text)
{
	uint8_t bits;

	return split(text, &bits);
}

struct cidr inside_network(const char *text)
{
	struct cidr c;

	memset(&c, 0, sizeof(c));
	c.net = split(text, &c.bits);
	for (unsigned bit = c.bits; bit < (c.net.v == 4 ? 32u : 128u); bit++)
		c.net.ip[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	return c;
}
