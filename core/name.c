/* SPDX-License-Identifier: MIT */
#include "name.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "dnsmsg.h"

#define BUCKETS 4096
#define CHAIN_MAX 16 /* CNAME records followed in one message, as resolvers do */

struct name {
	struct name *next; /* in its bucket, newest first */
	struct list all;
	struct addr ip;
	double until;
	char text[];
};

/* The child chooses the addresses by what it asks for, but one name server answer holds few, and
 * NAMES_MAX bounds a chain's length: no secret is needed. */
static struct name **slot_of(struct names *n, const struct addr *ip)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < sizeof(ip->ip); i++)
		h = (h ^ ip->ip[i]) * 16777619u;
	return &n->bucket[h % BUCKETS];
}

int names_init(struct names *n)
{
	list_init(&n->all);
	n->count = 0;
	n->bucket = calloc(BUCKETS, sizeof(*n->bucket));
	return n->bucket ? 0 : -ENOMEM;
}

static void forget(struct names *n, struct name *e)
{
	struct name **slot = slot_of(n, &e->ip);

	while (*slot != e)
		slot = &(*slot)->next;
	*slot = e->next;
	list_del(&e->all);
	n->count--;
	free(e);
}

void names_fini(struct names *n)
{
	while (!list_empty(&n->all))
		forget(n, container_of(n->all.next, struct name, all));
	free(n->bucket);
	n->bucket = NULL;
}

void names_learn(struct names *n, const struct addr *ip, const char *name, double ttl_s, double now)
{
	struct addr key = *ip;
	struct name **slot, *e;
	const size_t size = strlen(name) + 1;
	const double until = now + MIN(ttl_s, NAMES_TTL_MAX_S) + NAMES_GRACE_S;
	double before = 0;

	key.port = 0;
	slot = slot_of(n, &key);
	for (e = *slot; e; e = e->next)
		if (addr_equal_ip(&e->ip, &key) && strcmp(e->text, name) == 0)
			break;
	if (e) { /* becomes the newest, and holds no shorter than it did */
		before = e->until;
		forget(n, e);
	}
	e = malloc(sizeof(*e) + size);
	if (!e)
		return;
	e->ip = key;
	e->until = MAX(until, before);
	memcpy(e->text, name, size);
	e->next = *slot;
	*slot = e;
	list_add_tail(&n->all, &e->all);
	if (++n->count > NAMES_MAX)
		forget(n, container_of(n->all.next, struct name, all));
}

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

static void learn_records(struct names *n, const struct dnsmsg *m, const uint8_t *owner,
	int owner_len, const char *text, double now)
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
		names_learn(n, &ip, text, r.ttl, now);
	}
}

void names_learn_answer(struct names *n, const uint8_t *msg, size_t len, double now)
{
	uint8_t owner[DNSMSG_WIRE_MAX];
	char text[DNSMSG_TEXT_MAX];
	struct dnsmsg m;
	int owner_len, rc = dnsmsg_parse(&m, msg, len);

	if ((rc < 0 && rc != -EMSGSIZE) || !m.response || !m.name_len || !m.answers)
		return;
	owner_len = m.name_len;
	memcpy(owner, m.name, m.name_len);
	dnsmsg_text(m.name, text);
	for (int i = 0; i < CHAIN_MAX; i++) {
		learn_records(n, &m, owner, owner_len, text, now);
		if (!follow(&m, owner, &owner_len))
			break;
	}
}

int names_each(struct names *n, const struct addr *ip, double now,
	int (*fn)(void *arg, const char *name), void *arg)
{
	int rc = 0;

	for (struct name *e = *slot_of(n, ip); e && rc == 0; e = e->next)
		if (addr_equal_ip(&e->ip, ip) && e->until > now)
			rc = fn(arg, e->text);
	return rc;
}

static int take_first(void *arg, const char *name)
{
	*(const char **)arg = name;
	return 1;
}

const char *names_find(struct names *n, const struct addr *ip, double now)
{
	const char *name = NULL;

	names_each(n, ip, now, take_first, &name);
	return name;
}
