/* SPDX-License-Identifier: MIT */
#include "synth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base.h"
#include "log.h"

#define BUCKETS 32768

static uint32_t hash(const struct synth *s, const char *name)
{
	uint64_t h = s->seed;

	for (; *name; name++) {
		h = (h ^ (uint8_t)*name) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	return (uint32_t)(h % BUCKETS);
}

static struct synth_name **slot_of(const struct synth *s, const char *name)
{
	struct synth_name **slot = &s->by_name[hash(s, name)];

	while (*slot && strcmp((*slot)->text, name) != 0)
		slot = &(*slot)->next;
	return slot;
}

int synth_init(struct synth *s)
{
	memset(s, 0, sizeof(*s));
	list_init(&s->idle);
	if (cidr_parse(&s->net4, SYNTH_NET4) || cidr_parse(&s->net6, SYNTH_NET6))
		return -EINVAL;
	if (getrandom(&s->seed, sizeof(s->seed), 0) != (ssize_t)sizeof(s->seed))
		return -EIO;
	s->max = SYNTH_MAX;
	s->by_number = calloc(SYNTH_MAX, sizeof(struct synth_name *));
	s->by_name = calloc(BUCKETS, sizeof(struct synth_name *));
	if (s->by_number && s->by_name)
		return 0;
	synth_fini(s);
	return -ENOMEM;
}

void synth_fini(struct synth *s)
{
	for (size_t i = 0; s->by_number && i < s->count; i++)
		free(s->by_number[i]);
	free(s->by_number);
	free(s->by_name);
	s->by_number = s->by_name = NULL;
	s->count = 0;
}

static void use(struct synth *s, struct synth_name *n, double now)
{
	n->until = now + SYNTH_HOLD_S;
	if (n->held)
		return;
	list_del(&n->idle);
	list_add_tail(&s->idle, &n->idle);
}

/* A number that nobody needs any more, or -1. The first in the list was used before all others. */
static int recycle(struct synth *s, double now)
{
	struct synth_name *n;
	int number;

	if (list_empty(&s->idle))
		return -1;
	n = container_of(s->idle.next, struct synth_name, idle);
	if (n->until > now)
		return -1;
	number = (int)n->number;
	*slot_of(s, n->text) = n->next;
	list_del(&n->idle);
	s->by_number[number] = NULL;
	free(n);
	return number;
}

static void warn_full(struct synth *s)
{
	static struct log_limit limit = {.burst = 1};
	unsigned long missed;

	s->refused++;
	if (log_limit_pass(&limit, &missed))
		log_warn("dns: no address left for another name: all %zu of --dns=synthetic are in "
			 "use; an address is free again %.0f s after its last use",
			s->max, SYNTH_HOLD_S);
}

struct synth_name *synth_give(struct synth *s, const char *name, double now)
{
	const size_t size = strlen(name) + 1;
	struct synth_name **slot = slot_of(s, name), *n = *slot;
	int number;

	if (n) {
		use(s, n, now);
		return n;
	}
	n = calloc(1, sizeof(*n) + size);
	if (!n)
		return NULL;
	number = s->count < s->max ? (int)s->count++ : recycle(s, now);
	if (number < 0) {
		free(n);
		warn_full(s);
		return NULL;
	}
	memcpy(n->text, name, size);
	n->number = (uint32_t)number;
	list_init(&n->idle);
	list_init(&n->seeking);
	s->by_number[number] = n;
	slot = slot_of(s, name); /* the recycled one may have stood before it */
	*slot = n;
	use(s, n, now);
	return n;
}

struct addr synth_address(const struct synth *s, const struct synth_name *n, uint8_t version)
{
	struct addr a = version == 4 ? s->net4.net : s->net6.net;
	uint8_t *tail = a.ip + (version == 4 ? 0 : 12);
	/* The network's own address is no host's. */
	const uint32_t number = n->number + 1;

	for (int i = 0; i < 4; i++)
		tail[i] |= (uint8_t)(number >> (24 - 8 * i));
	return a;
}

bool synth_has(const struct synth *s, const struct addr *a)
{
	return cidr_has(&s->net4, a) || cidr_has(&s->net6, a);
}

struct synth_name *synth_find(const struct synth *s, const struct addr *a)
{
	const uint8_t *tail = a->ip + (a->v == 4 ? 0 : 12);
	uint32_t number = 0;

	if (!synth_has(s, a))
		return NULL;
	for (int i = 0; i < 4; i++)
		number = number << 8 | tail[i];
	if (a->v == 4)
		number &= 0x1ffff; /* what SYNTH_NET4 leaves */
	return number && number <= s->count ? s->by_number[number - 1] : NULL;
}

void synth_hold(struct synth_name *n)
{
	if (!n->held++)
		list_del(&n->idle);
}

void synth_release(struct synth *s, struct synth_name *n, double now)
{
	if (--n->held)
		return;
	list_init(&n->idle);
	use(s, n, now);
}
