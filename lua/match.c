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

int name_normalize(const char *name, size_t len, char *out)
{
	if (len && name[len - 1] == '.')
		len--;
	if (!len || len > NAME_MAX_LEN)
		return -EINVAL;
	size_t label = 0;
	for (size_t i = 0; i < len; i++) {
		char c = name[i];
		if (c == '.') {
			if (!label)
				return -EINVAL;
			label = 0;
		} else {
			if (c >= 'A' && c <= 'Z')
				c = (char)(c - 'A' + 'a');
			else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
					 c == '_'))
				return -EINVAL;
			if (++label > 63)
				return -EINVAL;
		}
		out[i] = c;
	}
	if (!label)
		return -EINVAL;
	out[len] = 0;
	return (int)len;
}

/* FNV-1a: the set holds what a script's author wrote, so nobody chooses collisions. */
static uint32_t name_hash(const char *name, size_t len)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 16777619u;
	return h;
}

static struct name_entry *name_slot(const struct name_set *s, const char *name, size_t len)
{
	uint32_t hash = name_hash(name, len);
	size_t i = hash & (s->cap - 1);
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
			*name_slot(&bigger, s->slot[i].name, strlen(s->slot[i].name)) = s->slot[i];
	}
	free(s->slot);
	*s = bigger;
	return 0;
}

int name_set_add(struct name_set *s, const char *pattern)
{
	bool exact = true, below = false;
	if (!strncmp(pattern, "*.", 2)) {
		exact = false;
		below = true;
		pattern += 2;
	} else if (pattern[0] == '.') {
		below = true;
		pattern++;
	}
	char name[NAME_MAX_LEN + 1];
	int len = name_normalize(pattern, strlen(pattern), name);
	if (len < 0)
		return len;
	int err = name_set_grow(s);
	if (err)
		return err;
	struct name_entry *e = name_slot(s, name, (size_t)len);
	if (!e->name) {
		char *copy = strdup(name);
		if (!copy)
			return -ENOMEM;
		e->name = copy;
		e->hash = name_hash(name, (size_t)len);
		s->used++;
	}
	e->exact |= exact;
	e->below |= below;
	s->count++;
	return 0;
}

bool name_set_has(const struct name_set *s, const char *name, size_t len)
{
	char text[NAME_MAX_LEN + 1];
	int n = name_normalize(name, len, text);
	if (n < 0 || !s->used)
		return false;
	const struct name_entry *e = name_slot(s, text, (size_t)n);
	if (e->name && e->exact)
		return true;
	for (const char *dot = strchr(text, '.'); dot; dot = strchr(dot + 1, '.')) {
		e = name_slot(s, dot + 1, (size_t)(text + n - dot - 1));
		if (e->name && e->below)
			return true;
	}
	return false;
}

void name_set_fini(struct name_set *s)
{
	for (size_t i = 0; i < s->cap; i++)
		free(s->slot[i].name);
	free(s->slot);
	memset(s, 0, sizeof(*s));
}
