/* SPDX-License-Identifier: MIT */
#include "name.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "dnsaddr.h"
#include "dnsmsg.h"
#include "guard.h"
#include "hosts.h"

#define BUCKETS 4096
#define SPARED_MAX 64 /* pairs that connections need, passed over to make room */

struct name {
	struct list all;
	struct list mine; /* names_host.names */
	struct names_host *host;
	double until;
	char text[];
};

struct names_host {
	struct names_host *next; /* in its bucket */
	struct addr ip;          /* canonical, port 0 */
	struct list names;       /* newest first; never empty */
	size_t count;
	unsigned held; /* by how many connections */
};

/* The child chooses the addresses by what it asks for, but one name server answer holds few, and
 * NAMES_MAX bounds a chain's length: no secret is needed. */
static struct names_host **slot_of(struct names *n, const struct addr *ip)
{
	struct names_host **slot;
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < sizeof(ip->ip); i++)
		h = (h ^ ip->ip[i]) * 16777619u;
	for (slot = &n->bucket[h % BUCKETS]; *slot; slot = &(*slot)->next)
		if (addr_equal_ip(&(*slot)->ip, ip))
			break;
	return slot;
}

static struct names_host *host_of(struct names *n, const struct addr *ip)
{
	const struct addr key = guard_canonical(ip);

	return *slot_of(n, &key);
}

int names_init(struct names *n)
{
	list_init(&n->all);
	n->count = n->hosts = 0;
	n->file = NULL;
	n->bucket = calloc(BUCKETS, sizeof(void *));
	return n->bucket ? 0 : -ENOMEM;
}

static void host_drop(struct names *n, struct names_host *h)
{
	struct names_host **slot = slot_of(n, &h->ip);

	if (h->held || !list_empty(&h->names))
		return;
	*slot = h->next;
	n->hosts--;
	free(h);
}

static void forget(struct names *n, struct name *e)
{
	struct names_host *h = e->host;

	list_del(&e->all);
	list_del(&e->mine);
	h->count--;
	n->count--;
	free(e);
	host_drop(n, h);
}

void names_fini(struct names *n)
{
	while (!list_empty(&n->all))
		forget(n, container_of(n->all.next, struct name, all));
	free(n->bucket);
	n->bucket = NULL;
}

/* Forgets the pair learnt longest ago that no connection needs. Needed ones that are in the way
 * are passed over: they become the newest, so that the next search does not meet them again. */
static void make_room(struct names *n)
{
	for (int i = 0; i < SPARED_MAX; i++) {
		struct name *e = container_of(n->all.next, struct name, all);
		if (!e->host->held) {
			forget(n, e);
			return;
		}
		list_del(&e->all);
		list_add_tail(&n->all, &e->all);
	}
	forget(n, container_of(n->all.next, struct name, all));
}

static struct names_host *host_make(struct names *n, const struct addr *ip)
{
	struct addr key = guard_canonical(ip);
	struct names_host **slot;

	key.port = 0;
	slot = slot_of(n, &key);
	if (*slot)
		return *slot;
	*slot = calloc(1, sizeof(**slot));
	if (!*slot)
		return NULL;
	(*slot)->ip = key;
	list_init(&(*slot)->names);
	n->hosts++;
	return *slot;
}

static struct name *find_pair(const struct names_host *h, const char *name)
{
	struct list *e, *tmp;

	list_foreach (e, tmp, &h->names) {
		struct name *one = container_of(e, struct name, mine);
		if (strcmp(one->text, name) == 0)
			return one;
	}
	return NULL;
}

void names_learn(struct names *n, const struct addr *ip, const char *name, double ttl_s, double now)
{
	const size_t size = strlen(name) + 1;
	const double until = now + MIN(ttl_s, NAMES_TTL_MAX_S) + NAMES_GRACE_S;
	struct names_host *h = host_make(n, ip);
	struct name *e;

	if (!h)
		return;
	e = find_pair(h, name);
	if (e) { /* becomes the newest, and holds no shorter than it did */
		e->until = MAX(e->until, until);
		list_del(&e->all);
		list_del(&e->mine);
		list_add_tail(&n->all, &e->all);
		list_add(&h->names, &e->mine);
		return;
	}
	e = malloc(sizeof(*e) + size);
	if (!e) {
		host_drop(n, h);
		return;
	}
	e->until = until;
	e->host = h;
	memcpy(e->text, name, size);
	list_init(&e->all);
	list_init(&e->mine);
	list_add_tail(&n->all, &e->all);
	list_add(&h->names, &e->mine);
	if (++h->count > NAMES_HOST_MAX) {
		n->count++;
		forget(n, container_of(h->names.prev, struct name, mine));
	} else if (++n->count > NAMES_MAX) {
		make_room(n);
	}
}

struct lesson {
	struct names *names;
	const char *name;
	double now;
};

static void learn_one(void *arg, const struct addr *ip, uint32_t ttl)
{
	const struct lesson *l = arg;

	names_learn(l->names, ip, l->name, ttl, l->now);
}

void names_learn_answer(struct names *n, const uint8_t *msg, size_t len, double now)
{
	char text[DNSMSG_TEXT_MAX];
	struct lesson l = {n, text, now};
	struct dnsmsg m;
	int rc = dnsmsg_parse(&m, msg, len);

	if ((rc < 0 && rc != -EMSGSIZE) || !m.response || !m.name_len || !m.answers)
		return;
	dnsmsg_text(m.name, text);
	dnsaddr_each(&m, learn_one, &l);
}

int names_each(struct names *n, const struct addr *ip, double now,
	int (*fn)(void *arg, const char *name), void *arg)
{
	const struct names_host *h = host_of(n, ip);
	struct list *e, *tmp;
	int rc = 0;

	if (h) {
		list_foreach (e, tmp, &h->names) {
			const struct name *one = container_of(e, struct name, mine);
			if (one->until > now || h->held)
				rc = fn(arg, one->text);
			if (rc)
				return rc;
		}
	}
	if (!n->file)
		return 0;
	hosts_check(n->file, now);
	return hosts_each(n->file, ip, fn, arg);
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

/* What no longer holds must not come back to life because a connection begins. */
static void forget_expired(struct names *n, struct names_host *h, double now)
{
	struct list *e, *tmp;

	h->held++; /* keeps it meanwhile */
	list_foreach (e, tmp, &h->names) {
		struct name *one = container_of(e, struct name, mine);
		if (one->until <= now)
			forget(n, one);
	}
	h->held--;
}

struct names_host *names_hold(struct names *n, const struct addr *ip, double now)
{
	struct names_host *h = host_of(n, ip);

	if (!h)
		return NULL;
	if (!h->held)
		forget_expired(n, h, now);
	if (list_empty(&h->names) && !h->held) {
		host_drop(n, h);
		return NULL;
	}
	h->held++;
	return h;
}

void names_release(struct names *n, struct names_host *h, double now)
{
	struct list *e, *tmp;

	if (!h || --h->held)
		return;
	/* Whoever had a connection may want another one to the address that it knows. */
	list_foreach (e, tmp, &h->names) {
		struct name *one = container_of(e, struct name, mine);
		one->until = MAX(one->until, now + NAMES_GRACE_S);
	}
	host_drop(n, h); /* its names may have made room for others */
}
