/* SPDX-License-Identifier: MIT */
#include "dnsmake.h"

#include <errno.h>
#include <string.h>

#include "base.h"

#define POINTER_MAX 0x3fff /* the farthest that a compressed name can point to */
#define FIXED 10           /* type, class, TTL, length */
#define CLASS_IN 1

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static size_t get16(const uint8_t *p)
{
	return (size_t)p[0] << 8 | p[1];
}

static bool put(struct dnsmake *k, const void *bytes, size_t n)
{
	if (n > k->size - k->len) {
		k->full = true;
		return false;
	}
	memcpy(k->data + k->len, bytes, n);
	k->len += n;
	return true;
}

static size_t wire_len(const uint8_t *wire)
{
	size_t n = 0;

	while (wire[n])
		n += 1 + (size_t)wire[n];
	return n + 1;
}

/* Where the @len bytes at @wire stand already, or 0. Only names of that very length are read out,
 * so that a message of many long names costs no more than its length. Case counts: a name keeps
 * the spelling that its owner gave it. */
static size_t find_name(const struct dnsmake *k, const uint8_t *wire, size_t len)
{
	uint8_t other[DNSMSG_WIRE_MAX];

	for (unsigned i = 0; i < k->names; i++) {
		if (k->name[i].len == len &&
			dnsmsg_name(k->data, k->len, k->name[i].at, other, NULL) == (int)len &&
			!memcmp(other, wire, len))
			return k->name[i].at;
	}
	return 0;
}

static bool put_name(struct dnsmake *k, const uint8_t *wire)
{
	size_t left = wire_len(wire);

	while (left > 1) {
		uint8_t pointer[2];
		size_t at = find_name(k, wire, left);
		if (at) {
			put16(pointer, 0xc000 | at);
			return put(k, pointer, 2);
		}
		size_t here = k->len, label = 1 + (size_t)wire[0];
		if (!put(k, wire, label))
			return false;
		/* Only once its rest is written can it be read: entries stand for whole names. */
		if (here <= POINTER_MAX && k->names < DNSMAKE_NAMES) {
			k->name[k->names].at = (uint16_t)here;
			k->name[k->names++].len = (uint8_t)left;
		}
		wire += label;
		left -= label;
	}
	return put(k, "", 1);
}

static void put_question(struct dnsmake *k, const struct dnsmsg *q)
{
	uint8_t tail[4];

	k->len = DNSMSG_HEADER;
	k->names = 0;
	k->full = false;
	if (!q->name_len)
		return;
	k->data[5] = 1;
	put_name(k, q->name);
	put16(tail, q->type);
	put16(tail + 2, q->class);
	put(k, tail, 4);
}

void dnsmake_begin(struct dnsmake *k, uint8_t *out, size_t size, const struct dnsmsg *q,
	unsigned rcode)
{
	struct dnsmsg plain = *q;

	plain.opt = 0; /* comes last */
	k->data = out;
	k->size = size;
	(void)dnsmsg_error(out, &plain, rcode, false);
	put_question(k, q);
}

void dnsmake_begin_copy(struct dnsmake *k, uint8_t *out, size_t size, const struct dnsmsg *m)
{
	k->data = out;
	k->size = size;
	memcpy(out, m->data, DNSMSG_HEADER);
	memset(out + 4, 0, DNSMSG_HEADER - 4);
	put_question(k, m);
}

static void count(struct dnsmake *k, unsigned section)
{
	uint8_t *p = k->data + 4 + 2 * (size_t)section;

	put16(p, get16(p) + 1);
}

/* A record under way: what to go back to if it does not fit. */
struct mark {
	size_t len;
	unsigned names;
	size_t data; /* where its length is written */
};

static void take_back(struct dnsmake *k, const struct mark *at)
{
	k->len = at->len;
	k->names = at->names;
}

static bool put_head(struct dnsmake *k, const uint8_t *owner, uint16_t type, uint16_t class,
	uint32_t ttl, struct mark *at)
{
	uint8_t head[FIXED] = {0};

	at->len = k->len;
	at->names = k->names;
	put16(head, type);
	put16(head + 2, class);
	put16(head + 4, ttl >> 16);
	put16(head + 6, ttl & 0xffff);
	bool ok = put_name(k, owner) && put(k, head, FIXED);
	at->data = k->len - 2;
	return ok;
}

static void finish(struct dnsmake *k, unsigned section, const struct mark *at, bool ok)
{
	if (!ok || k->len - at->data - 2 > 0xffff) {
		k->full = true;
		take_back(k, at);
		return;
	}
	put16(k->data + at->data, k->len - at->data - 2);
	count(k, section);
}

void dnsmake_record(struct dnsmake *k, unsigned section, const uint8_t *owner, uint16_t type,
	uint32_t ttl, const uint8_t *data, size_t len)
{
	struct mark at;
	bool ok = put_head(k, owner, type, CLASS_IN, ttl, &at) && put(k, data, len);

	finish(k, section, &at, ok);
}

static void put_pointer(struct dnsmake *k, unsigned section, const uint8_t *owner, uint16_t type,
	uint32_t ttl, const uint8_t *target)
{
	struct mark at;
	bool ok = put_head(k, owner, type, CLASS_IN, ttl, &at) && put_name(k, target);

	finish(k, section, &at, ok);
}

void dnsmake_cname(struct dnsmake *k, unsigned section, const uint8_t *owner, uint32_t ttl,
	const uint8_t *target)
{
	put_pointer(k, section, owner, DNSMSG_TYPE_CNAME, ttl, target);
}

void dnsmake_ptr(struct dnsmake *k, const uint8_t *owner, uint32_t ttl, const uint8_t *target)
{
	put_pointer(k, 1, owner, DNSMSG_TYPE_PTR, ttl, target);
}

/* What stands in the data of a type before, and how many, names that may be compressed: RFC 1035
 * 3.3, and those of RFC 3597 4 that we must read although nobody may write them so. */
static const struct layout {
	uint16_t type;
	uint8_t bytes, strings, names;
} layouts[] = {
	{DNSMSG_TYPE_NS, 0, 0, 1}, {3, 0, 0, 1},                                /* MD */
	{4, 0, 0, 1},                                                           /* MF */
	{DNSMSG_TYPE_CNAME, 0, 0, 1}, {DNSMSG_TYPE_SOA, 0, 0, 2}, {7, 0, 0, 1}, /* MB */
	{8, 0, 0, 1},                                                           /* MG */
	{9, 0, 0, 1},                                                           /* MR */
	{DNSMSG_TYPE_PTR, 0, 0, 1}, {14, 0, 0, 2},                              /* MINFO */
	{15, 2, 0, 1},                                                          /* MX */
	{17, 0, 0, 2},                                                          /* RP */
	{18, 2, 0, 1},                                                          /* AFSDB */
	{21, 2, 0, 1},                                                          /* RT */
	{24, 18, 0, 1},                                                         /* SIG */
	{26, 2, 0, 2},                                                          /* PX */
	{30, 0, 0, 1},                                                          /* NXT */
	{DNSMSG_TYPE_SRV, 6, 0, 1}, {35, 4, 3, 1},                              /* NAPTR */
	{36, 2, 0, 1},                                                          /* KX */
	{39, 0, 0, 1},                                                          /* DNAME */
};

static const struct layout *layout_of(uint16_t type)
{
	for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
		if (layouts[i].type == type)
			return &layouts[i];
	}
	return NULL;
}

/* Copies the data of @r, names read out. 1, 0: full, or -EBADMSG. */
static int copy_data(struct dnsmake *k, const struct dnsmsg *m, const struct dnsmsg_record *r)
{
	const struct layout *l = layout_of(r->type);
	size_t at = r->data, end = at + r->data_len, from = at;
	uint8_t wire[DNSMSG_WIRE_MAX];

	if (!l)
		return put(k, m->data + at, r->data_len);
	at += l->bytes;
	for (unsigned i = 0; i < l->strings; i++)
		at = at < end ? at + 1 + m->data[at] : end + 1;
	if (at > end)
		return -EBADMSG;
	if (!put(k, m->data + from, at - from))
		return 0;
	for (unsigned i = 0; i < l->names; i++) {
		if (dnsmsg_name(m->data, end, at, wire, &at) < 0)
			return -EBADMSG;
		/* Not compressed again: for some of these types it is forbidden. */
		if (!put(k, wire, wire_len(wire)))
			return 0;
	}
	return put(k, m->data + at, end - at);
}

int dnsmake_copy(struct dnsmake *k, const struct dnsmsg *m, const struct dnsmsg_record *r,
	const uint8_t *data, size_t len)
{
	uint8_t owner[DNSMSG_WIRE_MAX];
	struct mark at;

	if (dnsmsg_name(m->data, m->len, r->owner, owner, NULL) < 0)
		return -EBADMSG;
	bool ok = put_head(k, owner, r->type, r->class, r->ttl, &at);
	if (ok && data) {
		ok = put(k, data, len);
	} else if (ok) {
		int rc = copy_data(k, m, r);
		if (rc < 0) {
			take_back(k, &at);
			return rc;
		}
		ok = rc;
	}
	finish(k, r->section, &at, ok);
	return 0;
}

size_t dnsmake_end(struct dnsmake *k, const struct dnsmsg *q)
{
	if (q->opt) {
		/* dnsmsg_error() knows what it has to say; its OPT record is what comes last. */
		uint8_t text[DNSMSG_ERROR_MAX];
		size_t n = dnsmsg_error(text, q, 0, false);
		if (put(k, text + n - 11, 11))
			count(k, 3);
	}
	return k->len;
}

int dnsmake_question(uint8_t *out, const char *name, uint16_t type)
{
	/* Recursion desired, one question, one additional record: OPT (RFC 6891 6.1.2), which says
	 * that 1232 bytes by UDP are welcome (RFC 9715 3.2). */
	static const uint8_t head[DNSMSG_HEADER] = {[2] = 1, [5] = 1, [11] = 1};
	static const uint8_t opt[11] = {0, 0, DNSMSG_TYPE_OPT, 1232 >> 8, 1232 & 0xff};
	int n = dnsmsg_wire(name, out + sizeof(head));

	if (n < 0)
		return n;
	n += (int)sizeof(head);
	memcpy(out, head, sizeof(head));
	put16(out + n, type);
	put16(out + n + 2, CLASS_IN);
	memcpy(out + n + 4, opt, sizeof(opt));
	return n + 4 + (int)sizeof(opt);
}
