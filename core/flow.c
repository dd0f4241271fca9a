/* SPDX-License-Identifier: MIT */
#include "flow.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base.h"
#include "steady.h"

/* 65536 chains: at the 20 000 flows that one process can hold a chain is shorter than one on
 * average, and the array (512 KB) is touched only where flows are. */
#define BUCKETS (1u << 16)

static_assert(sizeof(struct addr) == 20, "addresses are hashed and compared as bytes");
static_assert(sizeof(struct flow_key) == 44, "a key must have no padding");

static uint32_t key_hash(const struct flow_table *t, const struct flow_key *key)
{
	const uint8_t *p = (const uint8_t *)key;
	uint64_t h = t->seed;

	for (size_t i = 0; i + 8 <= sizeof(*key); i += 8) {
		uint64_t w;

		memcpy(&w, p + i, 8);
		h = (h ^ w) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	h = (h ^ key->proto) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(h >> 32);
}

int flow_table_init(struct flow_table *t)
{
	memset(t, 0, sizeof(*t));
	list_init(&t->all);
	t->mask = BUCKETS - 1;
	t->next_id = 1;
	if (getrandom(&t->seed, sizeof(t->seed), 0) != (ssize_t)sizeof(t->seed))
		return -EIO;
	t->bucket = calloc(BUCKETS, sizeof(struct flow *));
	return t->bucket ? 0 : -ENOMEM;
}

void flow_table_fini(struct flow_table *t)
{
	assert(t->count == 0);
	free(t->bucket);
	t->bucket = NULL;
}

void flow_add(struct flow_table *t, struct flow *f, const struct flow_key *key, ev_tstamp now)
{
	struct flow **slot;

	f->key = *key;
	f->hash = key_hash(t, key);
	f->table = t;
	f->id = t->next_id++;
	f->state = FLOW_STATE_ASKED;
	f->times.asked = now;
	f->began = steady_now();
	slot = &t->bucket[f->hash & t->mask];
	f->bucket = *slot;
	*slot = f;
	list_init(&f->all);
	list_add_tail(&t->all, &f->all);
	t->count++;
	t->peak = MAX(t->peak, t->count);
}

static void chain_del(struct flow *f)
{
	struct flow **slot = &f->table->bucket[f->hash & f->table->mask];

	while (*slot != f)
		slot = &(*slot)->bucket;
	*slot = f->bucket;
	f->bucket = NULL;
}

void flow_retire(struct flow *f)
{
	assert(!f->retired);
	chain_del(f);
	f->retired = true;
}

void flow_remove(struct flow *f)
{
	assert(!f->asked || f->state == FLOW_STATE_ENDED);
	if (!f->retired)
		chain_del(f);
	list_del(&f->all);
	f->table->count--;
	f->table = NULL;
	decision_fini(&f->decision);
	process_put(f->process);
	f->process = NULL;
	free(f->host);
	f->host = NULL;
	free(f->why);
	f->why = NULL;
	shape_free(f->shape);
	f->shape = NULL;
	free(f->envelope);
	f->envelope = NULL;
}

struct flow *flow_find(struct flow_table *t, const struct flow_key *key)
{
	uint32_t hash = key_hash(t, key);
	struct flow *f = t->bucket[hash & t->mask];

	while (f && (f->hash != hash || memcmp(&f->key, key, sizeof(*key)) != 0))
		f = f->bucket;
	return f;
}

void flow_set_state(struct flow *f, enum flow_state s)
{
	static const uint8_t next[] = {
		[FLOW_STATE_ASKED] =
			1 << FLOW_STATE_DIALING | 1 << FLOW_STATE_OPEN | 1 << FLOW_STATE_ENDED,
		[FLOW_STATE_DIALING] = 1 << FLOW_STATE_OPEN | 1 << FLOW_STATE_ENDED,
		[FLOW_STATE_OPEN] = 1 << FLOW_STATE_ENDED,
		[FLOW_STATE_ENDED] = 0,
	};

	assert(next[f->state] & 1 << s);
	f->state = s;
}

void decision_fini(struct decision *d)
{
	free(d->rule);
	free(d->reason);
	memset(d, 0, sizeof(*d));
}

const char *flow_cause_name(enum flow_cause c)
{
	static const char *const name[] = {
		[FLOW_CAUSE_NONE] = "open",
		[FLOW_CAUSE_CLOSED] = "closed",
		[FLOW_CAUSE_CHILD_RESET] = "reset by child",
		[FLOW_CAUSE_WORLD_RESET] = "reset by peer",
		[FLOW_CAUSE_DENIED] = "denied",
		[FLOW_CAUSE_DIAL_FAILED] = "dial failed",
		[FLOW_CAUSE_IDLE] = "idle",
		[FLOW_CAUSE_EVICTED] = "evicted",
		[FLOW_CAUSE_ABORTED] = "aborted",
		[FLOW_CAUSE_LEFT_OPEN] = "left open",
	};

	return c < ARRAY_LEN(name) ? name[c] : "?";
}

char *flow_format(const struct flow *f, char *text)
{
	char src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];
	const struct addr *to = flow_dst(f)->v ? flow_dst(f) : &f->key.dst;

	snprintf(text, FLOW_TEXT_MAX, "%s %s -> %s", f->ops->network,
		addr_format(f->inbound ? &f->key.dst : &f->key.src, true, src),
		addr_format(f->inbound ? &f->key.src : to, true, dst));
	return text;
}
