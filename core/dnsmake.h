/* SPDX-License-Identifier: MIT */
#ifndef NSNET_DNSMAKE_H
#define NSNET_DNSMAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dnsmsg.h"

/* dnsmake - writes a DNS answer record by record (RFC 1035 section 4). Names are compressed. Pure:
 * nothing is allocated. Names are given in wire form, uncompressed.
 *
 * What does not fit is left out and noted in @full; the message stays well-formed. Records must
 * come in the order of their sections.
 */
#define DNSMAKE_NAMES 24 /* names that later ones may point to */

struct dnsmake {
	uint8_t *data; /* borrowed */
	size_t size, len;
	bool full;
	unsigned names;
	struct {
		uint16_t at;
		uint8_t len; /* uncompressed */
	} name[DNSMAKE_NAMES];
};

/* Begins an answer to @q, which has a question, in the @size bytes (at least DNSMSG_ERROR_MAX) at
 * @out: header and question. */
void dnsmake_begin(struct dnsmake *k, uint8_t *out, size_t size, const struct dnsmsg *q,
	unsigned rcode);

/* Begins a copy of the answer @m: its header without records, its question. */
void dnsmake_begin_copy(struct dnsmake *k, uint8_t *out, size_t size, const struct dnsmsg *m);

/* Adds a record of class IN to @section (1 answer, 2 authority, 3 additional). */
void dnsmake_record(struct dnsmake *k, unsigned section, const uint8_t *owner, uint16_t type,
	uint32_t ttl, const uint8_t *data, size_t len);
/* The same, its data being the name @target. */
void dnsmake_cname(struct dnsmake *k, unsigned section, const uint8_t *owner, uint32_t ttl,
	const uint8_t *target);
/* A PTR record in the answer section. */
void dnsmake_ptr(struct dnsmake *k, const uint8_t *owner, uint32_t ttl, const uint8_t *target);

/* Copies the record @r of @m, with @len bytes at @data in the place of its data if @data is not
 * NULL. Names in the data of the types that may have compressed ones (RFC 3597 4) are read out.
 * Returns 0 or -EBADMSG: it cannot be read, nothing was added. */
int dnsmake_copy(struct dnsmake *k, const struct dnsmsg *m, const struct dnsmsg_record *r,
	const uint8_t *data, size_t len);

/* Adds the OPT record that an answer to @q needs, if @q had one, and returns the length. */
size_t dnsmake_end(struct dnsmake *k, const struct dnsmsg *q);

/* Writes the question for @type of @name (text, as dnsmsg_wire() takes it), identifier 0, to @out
 * (DNSMAKE_QUESTION_MAX bytes). Returns its length, or -EINVAL. */
#define DNSMAKE_QUESTION_MAX (DNSMSG_HEADER + DNSMSG_WIRE_MAX + 4 + 11)
int dnsmake_question(uint8_t *out, const char *name, uint16_t type);

#endif
