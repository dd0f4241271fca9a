/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_MAKER_H
#define NSNET_SPEC_MAKER_H

/* maker - DNS messages, put together record by record. */

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "core/dnsmsg.h"

/* A message under construction. */
struct maker {
	uint8_t data[DNSMSG_MAX];
	size_t len;
};

static __attribute__((unused)) void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static __attribute__((unused)) void add16(struct maker *m, unsigned v)
{
	put16(m->data + m->len, v);
	m->len += 2;
}

static __attribute__((unused)) void count(struct maker *m, int section)
{
	uint8_t *p = m->data + 4 + 2 * section;

	put16(p, (unsigned)(p[0] << 8 | p[1]) + 1);
}

static __attribute__((unused)) void begin(struct maker *m, const char *name, unsigned type)
{
	memset(m, 0, sizeof(*m));
	put16(m->data, 0x1234);
	m->data[2] = 1; /* RD */
	m->len = 12;
	m->len += (size_t)dnsmsg_wire(name, m->data + m->len);
	add16(m, type);
	add16(m, 1);
	count(m, 0);
}

/* A record owned by the question's name, with @n bytes of data. */
static __attribute__((unused)) void add_record(struct maker *m, int section, unsigned type,
	size_t n)
{
	add16(m, 0xc00c);
	add16(m, type);
	add16(m, 1);
	add16(m, 0);
	add16(m, 300);
	add16(m, (unsigned)n);
	memset(m->data + m->len, 'x', n);
	m->len += n;
	count(m, section);
}

static __attribute__((unused)) void add_opt(struct maker *m, unsigned size, size_t n)
{
	m->data[m->len++] = 0;
	add16(m, DNSMSG_TYPE_OPT);
	add16(m, size);
	add16(m, 0);
	add16(m, 0x8000); /* DO */
	add16(m, (unsigned)n);
	memset(m->data + m->len, 0, n);
	m->len += n;
	count(m, 3);
}

#endif
