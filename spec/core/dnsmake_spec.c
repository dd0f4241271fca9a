/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base.h"
#include "core/dnsmake.h"
#include "spec/support/maker.h"

static struct dnsmsg asked;
static struct maker asking; /* lent to asked */
static uint8_t out[DNSMSG_MAX];

static void ask(const char *name, unsigned type)
{
	begin(&asking, name, type);
	add_opt(&asking, 1232, 0);
	assert_int_equal(dnsmsg_parse(&asked, asking.data, asking.len), 0);
}

/* What the finished message says, in words. */
static const char *words(size_t len)
{
	static char text[8192];
	struct dnsmsg m;
	struct dnsmsg_record r;
	uint8_t wire[DNSMSG_WIRE_MAX];
	char name[DNSMSG_TEXT_MAX], type[16];
	size_t at = 0, n = 0;
	unsigned k = 0;

	assert_int_equal(dnsmsg_parse(&m, out, len), 0);
	assert_int_equal(m.end, len);
	text[0] = 0;
	while (dnsmsg_next(&m, &at, &k, &r) > 0) {
		assert_true(dnsmsg_name(out, len, r.owner, wire, NULL) > 0);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%u %s %s %u %u; ", r.section,
			dnsmsg_text(wire, name), dnsmsg_type_name(r.type, type), (unsigned)r.ttl,
			(unsigned)r.data_len);
	}
	return text;
}

static void answers_are_well_formed_and_compressed(void **state)
{
	static const uint8_t ip[16] = {192, 0, 2, 1};
	uint8_t other[DNSMSG_WIRE_MAX];
	struct dnsmake k;

	(void)state;
	ask("www.a.example", 1);
	(void)dnsmsg_wire("cdn.b.example", other);
	dnsmake_begin(&k, out, sizeof(out), &asked, DNSMSG_RCODE_NOERROR);
	size_t question = k.len;
	dnsmake_cname(&k, 1, asked.name, 5, other);
	/* A pointer, the head, "cdn" and "b", a pointer to "example". */
	assert_int_equal(k.len, question + 2 + 10 + 4 + 2 + 2);
	size_t before = k.len;
	dnsmake_record(&k, 1, other, DNSMSG_TYPE_A, 6, ip, 4);
	assert_int_equal(k.len, before + 2 + 10 + 4);
	dnsmake_record(&k, 3, (const uint8_t *)"", 4711, 7, ip, 16);
	size_t len = dnsmake_end(&k, &asked);
	assert_false(k.full);
	assert_string_equal(words(len),
		"1 www.a.example CNAME 5 8; 1 cdn.b.example A 6 4; 3 . TYPE4711 7 16; 3 . OPT "
		"32768 "
		"0; ");
}

static void what_does_not_fit_is_left_out(void **state)
{
	static const uint8_t data[1000];
	struct dnsmake k;

	(void)state;
	ask("a.example", 1);
	for (size_t size = DNSMSG_ERROR_MAX; size < 700; size++) {
		dnsmake_begin(&k, out, size, &asked, DNSMSG_RCODE_NOERROR);
		unsigned fit = 0;
		for (int i = 0; i < 10; i++) {
			dnsmake_record(&k, 1, (const uint8_t *)"\1b\1c", DNSMSG_TYPE_TXT, 1, data,
				40);
			fit += !k.full;
		}
		size_t len = dnsmake_end(&k, &asked);
		assert_true(len <= size);
		struct dnsmsg m;
		assert_int_equal(dnsmsg_parse(&m, out, len), 0);
		assert_int_equal(m.end, len);
		assert_int_equal(m.answers, fit);
		assert_int_equal(m.id, 0x1234);
	}
	/* RDATA of more than 16 bits cannot be. */
	dnsmake_begin(&k, out, sizeof(out), &asked, DNSMSG_RCODE_NOERROR);
	dnsmake_record(&k, 1, (const uint8_t *)"", 16, 1, out, 65500);
	assert_true(k.full);
	assert_int_equal(dnsmake_end(&k, &asked), asking.len);
}

/* A message with @type's data at the end, copied. Returns dnsmake_copy()'s value. */
static int copy(unsigned type, const void *data, size_t len)
{
	struct maker from;
	struct dnsmsg m;
	struct dnsmsg_record r;
	struct dnsmake k;
	size_t at = 0;
	unsigned n = 0;

	begin(&from, "a.example", type);
	from.data[2] |= 0x80;
	add_record(&from, 1, type, len);
	memcpy(from.data + from.len - len, data, len);
	assert_int_equal(dnsmsg_parse(&m, from.data, from.len), 0);
	assert_int_equal(dnsmsg_next(&m, &at, &n, &r), 1);
	/* Exactly sized: a sanitizer sees a byte too far. */
	uint8_t *exact = malloc(from.len);
	assert_non_null(exact);
	memcpy(exact, from.data, from.len);
	m.data = exact;
	dnsmake_begin_copy(&k, out, sizeof(out), &m);
	int rc = dnsmake_copy(&k, &m, &r, NULL, 0);
	(void)words(k.len);
	free(exact);
	return rc;
}

static void names_in_data_are_read_out(void **state)
{
	static const struct {
		unsigned type;
		const char *data;
		size_t len, length; /* of the data after it */
	} row[] = {
		{DNSMSG_TYPE_CNAME, "\xc0\x0c", 2, 11}, {DNSMSG_TYPE_NS, "\2ns\xc0\x0c", 5, 14},
		{DNSMSG_TYPE_SOA,
			"\xc0\x0c\xc0\x0e"
			"01234567890123456789",
			24, 11 + 9 + 20},
		{15, "\0\5\xc0\x0c", 4, 2 + 11}, {DNSMSG_TYPE_SRV, "123456\xc0\x0c", 8, 6 + 11},
		{35, "1234\1a\0\2bc\xc0\x0c", 12, 4 + 2 + 1 + 3 + 11},
		{30, "\xc0\x0c\1\2\3", 5, 11 + 3},
		{DNSMSG_TYPE_TXT, "\xc0\x0c", 2, 2},   /* no name */
		{DNSMSG_TYPE_HTTPS, "\xc0\x0c", 2, 2}, /* none that may be compressed */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		char want[32];
		assert_int_equal(copy(row[i].type, row[i].data, row[i].len), 0);
		struct dnsmsg m;
		struct dnsmsg_record r;
		size_t at = 0;
		unsigned n = 0;
		assert_int_equal(dnsmsg_parse(&m, out, sizeof(out)), 0);
		assert_int_equal(dnsmsg_next(&m, &at, &n, &r), 1);
		snprintf(want, sizeof(want), "%u", (unsigned)row[i].length);
		assert_int_equal(r.data_len, row[i].length);
		assert_int_equal(m.answers, 1);
	}
}

static void data_that_cannot_be_read_is_not_copied(void **state)
{
	static const struct {
		unsigned type;
		const char *data;
		size_t len;
	} row[] = {
		{DNSMSG_TYPE_CNAME, "", 0},
		{DNSMSG_TYPE_CNAME, "\xc0", 1},
		{DNSMSG_TYPE_CNAME, "\xff\xff", 2},
		{DNSMSG_TYPE_CNAME, "\3abc", 4}, /* ends without a root */
		{15, "\0", 1},
		{DNSMSG_TYPE_SRV, "12345", 5},
		{35, "1234\xff", 5},
		{35, "1234\0\0", 6},
		{DNSMSG_TYPE_SOA, "\xc0\x0c", 2},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		assert_int_equal(copy(row[i].type, row[i].data, row[i].len), -EBADMSG);
		struct dnsmsg m;
		assert_int_equal(dnsmsg_parse(&m, out, sizeof(out)), 0);
		assert_int_equal(m.answers, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_well_formed_and_compressed),
		cmocka_unit_test(what_does_not_fit_is_left_out),
		cmocka_unit_test(names_in_data_are_read_out),
		cmocka_unit_test(data_that_cannot_be_read_is_not_copied),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
