/* SPDX-License-Identifier: MIT */
#include "lua/match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Room for one more of @size bytes at *@v. 0 or -ENOMEM. */
static int grow(void *v, size_t *cap, size_t len, size_t size)
{
	void **array = v;
	if (len < *cap)
		return 0;
	size_t want = *cap ? *cap * 2 : 8;
	void *p = realloc(*array, want * size);
	if (!p)
		return -ENOMEM;
	*array = p;
	*cap = want;
	return 0;
}

int port_set_add(struct port_set *s, unsigned low, unsigned high)
{
	if (low > high || high > 65535)
		return -EINVAL;
	int err = grow(&s->range, &s->cap, s->len, sizeof(*s->range));
	if (err)
		return err;
	s->range[s->len++] = (struct port_range){(uint16_t)low, (uint16_t)high};
	return 0;
}

static int range_compare(const void *a, const void *b)
{
	const struct port_range *x = a, *y = b;
	return (x->low > y->low) - (x->low < y->low);
}

void port_set_seal(struct port_set *s)
{
	if (!s->len)
		return;
	qsort(s->range, s->len, sizeof(*s->range), range_compare);
	size_t last = 0;
	for (size_t i = 1; i < s->len; i++) {
		struct port_range *r = &s->range[last];
		if (s->range[i].low <= (unsigned)r->high + 1) {
			if (s->range[i].high > r->high)
				r->high = s->range[i].high;
		} else {
			s->range[++last] = s->range[i];
		}
	}
	s->len = last + 1;
}

bool port_set_has(const struct port_set *s, uint16_t port)
{
	size_t low = 0, high = s->len;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (port > s->range[mid].high)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->len && s->range[low].low <= port;
}

void port_set_fini(struct port_set *s)
{
	free(s->range);
	memset(s, 0, sizeof(*s));
}

static int node_new(struct cidr_set *s, uint32_t *index)
{
	int err = grow(&s->node, &s->cap, s->len, sizeof(*s->node));
	if (err)
		return err;
	s->node[s->len] = (struct cidr_node){0};
	*index = (uint32_t)s->len++;
	return 0;
}

static unsigned bit_at(const uint8_t *ip, unsigned i)
{
	return (ip[i / 8] >> (7 - i % 8)) & 1;
}

int cidr_set_add(struct cidr_set *s, const struct cidr *c)
{
	if (c->net.v != 4 && c->net.v != 6)
		return -EINVAL;
	if (c->bits > (c->net.v == 4 ? 32 : 128))
		return -EINVAL;
	while (s->len < 2) {
		uint32_t root;
		int err = node_new(s, &root);
		if (err)
			return err;
	}
	uint32_t at = c->net.v == 4 ? 0 : 1;
	for (unsigned i = 0; i < c->bits; i++) {
		unsigned b = bit_at(c->net.ip, i);
		uint32_t next = s->node[at].child[b];
		if (!next) {
			int err = node_new(s, &next);
			if (err)
				return err;
			s->node[at].child[b] = next;
		}
		at = next;
	}
	s->node[at].end = true;
	s->count++;
	return 0;
}

int cidr_set_find(const struct cidr_set *s, const struct addr *a)
{
	if (s->len < 2 || (a->v != 4 && a->v != 6))
		return -1;
	int best = -1;
	unsigned bits = a->v == 4 ? 32 : 128;
	uint32_t at = a->v == 4 ? 0 : 1;
	for (unsigned i = 0;; i++) {
		if (s->node[at].end)
			best = (int)i;
		if (i == bits)
			break;
		at = s->node[at].child[bit_at(a->ip, i)];
		if (!at)
			break;
	}
	return best;
}

void cidr_set_fini(struct cidr_set *s)
{
	free(s->node);
	memset(s, 0, sizeof(*s));
}

/* FNV-1a from the last byte to the first, so that one pass over a name has the hash of each of its
 * parents on the way. The set holds what a script's author wrote, so nobody chooses collisions. */
#define HASH_START 2166136261u

static uint32_t hash_step(uint32_t h, char c)
{
	return (h ^ (uint8_t)c) * 16777619u;
}

static struct name_entry *name_slot(const struct name_set *s, const char *name, uint32_t hash)
{
	/* The low bits of FNV are weak where names differ in their first bytes only. */
	size_t i = (hash ^ hash >> 15) & (s->cap - 1);
	for (;; i = (i + 1) & (s->cap - 1)) {
		struct name_entry *e = &s->slot[i];
		if (!e->name)
			return e;
		if (e->hash == hash && !strcmp(e->name, name))
			return e;
	}
}

static int name_set_grow(struct name_set *s)
{
	if (s->cap && s->used * 4 < s->cap * 3)
		return 0;
	struct name_set bigger = {.cap = s->cap ? s->cap * 2 : 16,
		.count = s->count,
		.used = s->used};
	bigger.slot = calloc(bigger.cap, sizeof(*bigger.slot));
	if (!bigger.slot)
		return -ENOMEM;
	for (size_t i = 0; i < s->cap; i++) {
		if (s->slot[i].name)
			*name_slot(&bigger, s->slot[i].name, s->slot[i].hash) = s->slot[i];
	}
	free(s->slot);
	*s = bigger;
	return 0;
}

int name_set_add(struct name_set *s, const char *pattern, size_t len)
{
	char name[DNAME_MAX];
	enum dname_kind kind;
	int n = dname_pattern(name, &kind, pattern, len);
	if (n < 0)
		return n;
	int err = name_set_grow(s);
	if (err)
		return err;
	uint32_t hash = HASH_START;
	for (int i = n; i > 0; i--)
		hash = hash_step(hash, name[i - 1]);
	struct name_entry *e = name_slot(s, name, hash);
	if (!e->name) {
		char *copy = strdup(name);
		if (!copy)
			return -ENOMEM;
		e->name = copy;
		e->hash = hash;
		s->used++;
	}
	e->kind |= (uint8_t)kind;
	s->count++;
	return 0;
}

bool name_set_find(const struct name_set *s, const char *name)
{
	if (!s->used)
		return false;
	uint32_t hash = HASH_START;
	for (size_t i = strlen(name); i > 0; i--) {
		if (name[i - 1] == '.') {
			const struct name_entry *e = name_slot(s, name + i, hash);
			if (e->name && (e->kind & DNAME_BELOW))
				return true;
		}
		hash = hash_step(hash, name[i - 1]);
	}
	const struct name_entry *e = name_slot(s, name, hash);
	return e->name && (e->kind & DNAME_EXACT);
}

bool name_set_has(const struct name_set *s, const char *name, size_t len)
{
	char text[DNAME_MAX];
	return dname_normalise(text, name, len) > 0 && name_set_find(s, text);
}

void name_set_fini(struct name_set *s)
{
	for (size_t i = 0; i < s->cap; i++)
		free(s->slot[i].name);
	free(s->slot);
	memset(s, 0, sizeof(*s));
}
