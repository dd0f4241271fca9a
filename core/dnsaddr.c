/* SPDX-License-Identifier: MIT */
#include "dnsaddr.h"

#include <stdbool.h>
#include <string.h>

#include "base.h"

#define CHAIN_MAX 16 /* CNAME records followed in one message, as resolvers do */

static bool same(const uint8_t *a, int a_len, const uint8_t *b, int b_len)
{
	char ta[DNSMSG_TEXT_MAX], tb[DNSMSG_TEXT_MAX];

	return a_len > 0 && a_len == b_len && strcmp(dnsmsg_text(a, ta), dnsmsg_text(b, tb)) == 0;
}

/* Follows one CNAME record from @owner; true if there is one. */
static bool follow(const struct dnsmsg *m, uint8_t *owner, int *owner_len)
{
	uint8_t wire[DNSMSG_WIRE_MAX];
	struct dnsmsg_record r;
	unsigned k = 0;
	size_t at = 0;

	while (dnsmsg_next(m, &at, &k, &r) == 1) {
		int len;

		if (r.section != 1 || r.type != DNSMSG_TYPE_CNAME)
			continue;
		len = dnsmsg_name(m->data, m->len, r.owner, wire, NULL);
		if (!same(wire, len, owner, *owner_len))
			continue;
		len = dnsmsg_name(m->data, m->len, r.data, wire, NULL);
		if (len <= 0)
			return false;
		memcpy(owner, wire, (size_t)len);
		*owner_len = len;
		return true;
	}
	return false;
}

static void each_of(const struct dnsmsg *m, const uint8_t *owner, int owner_len,
	void (*fn)(void *arg, const struct addr *ip, uint32_t ttl), void *arg)
{
	uint8_t wire[DNSMSG_WIRE_MAX];
	struct dnsmsg_record r;
	unsigned k = 0;
	size_t at = 0;

	while (dnsmsg_next(m, &at, &k, &r) == 1) {
		struct addr ip = {.v = r.type == DNSMSG_TYPE_A ? 4 : 6};
		const size_t size = ip.v == 4 ? 4 : 16;

		if (r.section != 1 || (r.type != DNSMSG_TYPE_A && r.type != DNSMSG_TYPE_AAAA) ||
			r.data_len != size)
			continue;
		if (!same(wire, dnsmsg_name(m->data, m->len, r.owner, wire, NULL), owner,
			    owner_len))
			continue;
		memcpy(ip.ip, m->data + r.data, size);
		fn(arg, &ip, r.ttl);
	}
}

void dnsaddr_each(const struct dnsmsg *m,
	void (*fn)(void *arg, const struct addr *ip, uint32_t ttl), void *arg)
{
	uint8_t owner[DNSMSG_WIRE_MAX];
	int owner_len = m->name_len;

	memcpy(owner, m->name, m->name_len);
	for (int i = 0; i < CHAIN_MAX; i++) {
		each_of(m, owner, owner_len, fn, arg);
		if (!follow(m, owner, &owner_len))
			break;
	}
}

static void count(void *arg, const struct addr *ip, uint32_t ttl)
{
	UNUSED(ip);
	UNUSED(ttl);
	++*(size_t *)arg;
}

size_t dnsaddr_count(const struct dnsmsg *m)
{
	size_t n = 0;

	dnsaddr_each(m, count, &n);
	return n;
}
