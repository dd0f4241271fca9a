/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base.h"
#include "spec/support/maker.h"

static void reads_a_question(void **state)
{
	struct maker k;
	struct dnsmsg m;
	char text[DNSMSG_TEXT_MAX];

	(void)state;
	begin(&k, "WWW.Example.com", DNSMSG_TYPE_AAAA);
	assert_int_equal(dnsmsg_parse(&m, k.data, k.len), 0);
	assert_int_equal(m.id, 0x1234);
	assert_false(m.response);
	assert_int_equal(m.questions, 1);
	assert_int_equal(m.type, DNSMSG_TYPE_AAAA);
	assert_int_equal(m.class, 1);
	assert_int_equal(m.opt, 0);
	assert_int_equal(m.udp_size, 512);
	assert_int_equal(m.question_end, k.len);
	assert_int_equal(m.end, k.len);
	assert_true(m.whole);
	assert_string_equal(dnsmsg_text(m.name, text), "www.example.com");
	assert_memory_equal(m.name, "\3WWW\7Example\3com", 17); /* as written */

	add_opt(&k, 4096, 12);
	assert_int_equal(dnsmsg_parse(&m, k.data, k.len), 0);
	assert_int_equal(m.udp_size, 4096);
	assert_int_equal(m.opt, m.question_end);
	assert_int_equal(m.end, k.len);

	/* RFC 6891 6.2.3: below 512 means 512. */
	put16(k.data + m.opt + 3, 17);
	assert_int_equal(dnsmsg_parse(&m, k.data, k.len), 0);
	assert_int_equal(m.udp_size, 512);
}

static void refuses_what_breaks_off(void **state)
{
	struct maker k;
	struct dnsmsg m;

	(void)state;
	begin(&k, "www.example.com", 1);
	size_t question = k.len;
	add_record(&k, 1, 1, 4);
	add_opt(&k, 1232, 3);
	for (size_t n = 0; n < k.len; n++) {
		/* Only what is there: a sanitizer sees a byte too far. */
		uint8_t *copy = malloc(n ? n : 1);
		assert_non_null(copy);
		memcpy(copy, k.data, n);
		assert_int_equal(dnsmsg_parse(&m, copy, n), n < question ? -EBADMSG : -EMSGSIZE);
		assert_false(m.whole);
		assert_true(m.end <= n);
		if (n >= 12)
			assert_int_equal(m.id, 0x1234);
		else
			assert_null(m.data);
		free(copy);
	}
	assert_int_equal(dnsmsg_parse(&m, k.data, k.len), 0);
	/* Bytes behind are no part of it. */
	assert_int_equal(dnsmsg_parse(&m, k.data, k.len + 100), 0);
	assert_int_equal(m.end, k.len);
}

static void refuses_two_of_what_may_be_once(void **state)
{
	struct maker k;
	struct dnsmsg m;

	(void)state;
	begin(&k, "a.example", 1);
	add_opt(&k, 1232, 0);
	add_opt(&k, 512, 0);
	assert_int_equal(dnsmsg_parse(&m, k.data, k.len), -ENOTUNIQ);

	begin(&k, "a.example", 1);
	count(&k, 0);
	memcpy(k.data + k.len, "\1b\0\0\1\0\1", 7);
	k.len += 7;
	assert_int_equal(dnsmsg_parse(&m, k.data, k.len), -ENOTUNIQ);
	assert_int_equal(m.questions, 2);

	/* An owner that is a pointer to a root elsewhere, here the question's. */
	begin(&k, ".", 1);
	memcpy(k.data + k.len, "\xc0\x0c\0\x29\0\0\0\0\0\0\0\0", 12);
	k.len += 12;
	count(&k, 3);
	assert_int_equal(dnsmsg_parse(&m, k.data, k.len), -ENOTUNIQ);

	/* A record of that type elsewhere is no EDNS. */
	begin(&k, "a.example", 1);
	add_record(&k, 3, DNSMSG_TYPE_OPT, 0);
	assert_int_equal(dnsmsg_parse(&m, k.data, k.len), 0);
	assert_int_equal(m.opt, 0);
}

static void names_end(void **state)
{
	/* Behind a header of 12 bytes. */
	static const struct {
		const char *bytes;
		size_t len, at;
		int n;
	} row[] = {
		{"\3abc\0", 5, 0, 5},
		{"\0", 1, 0, 1},
		{"\3abc\0\1d\xc0\x0c", 9, 5, 7},      /* d.abc */
		{"\3abc\0\xc0\x0d", 7, 5, -EBADMSG},  /* into the middle: "abc" is a length of 97 */
		{"\xc0\x0c", 2, 0, -EBADMSG},         /* itself */
		{"\1a\xc0\x0c", 4, 0, -EBADMSG},      /* its own start */
		{"\xc0\x0e\xc0\x0c", 4, 2, -EBADMSG}, /* each other */
		{"\xc0\x0e\0", 3, 0, -EBADMSG},       /* forward */
		{"\xc0\x00", 2, 0, -EBADMSG},         /* the header */
		{"\xc0", 1, 0, -EBADMSG},             /* half a pointer */
		{"\x40"
		 "a\0",
			3, 0, -EBADMSG}, /* types of label that never came to be */
		{"\x80"
		 "a\0",
			3, 0, -EBADMSG},
		{"\3ab", 3, 0, -EBADMSG},
		{"\3abc", 4, 0, -EBADMSG}, /* no end */
		{"", 0, 0, -EBADMSG},
	};
	uint8_t wire[DNSMSG_WIRE_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		uint8_t *msg = calloc(1, 12 + row[i].len);
		size_t next = 0;
		assert_non_null(msg);
		memcpy(msg + 12, row[i].bytes, row[i].len);
		assert_int_equal(dnsmsg_name(msg, 12 + row[i].len, 12 + row[i].at, wire, &next),
			row[i].n);
		if (row[i].n > 0)
			assert_int_equal(next, 12 + row[i].len);
		free(msg);
	}
}

static void names_have_limits(void **state)
{
	char text[600];
	uint8_t wire[DNSMSG_WIRE_MAX], msg[1000] = {0};

	(void)state;
	memset(text, 'a', sizeof(text));
	text[63] = '\0';
	assert_int_equal(dnsmsg_wire(text, wire), 65);
	text[63] = 'a';
	text[64] = '\0';
	assert_int_equal(dnsmsg_wire(text, wire), -EINVAL);

	/* 63+1 three times, and 61+1, and the root: 255. One more is too long. */
	text[64] = 'a';
	text[63] = text[127] = text[191] = '.';
	text[192 + 61] = '\0';
	assert_int_equal(dnsmsg_wire(text, wire), 255);
	memcpy(msg + 12, wire, 255);
	assert_int_equal(dnsmsg_name(msg, 12 + 255, 12, wire, NULL), 255);
	text[192 + 61] = 'a';
	text[192 + 62] = '\0';
	assert_int_equal(dnsmsg_wire(text, wire), -EINVAL);
	msg[12 + 192]++; /* the last label takes the root's zero in, and another follows */
	assert_int_equal(dnsmsg_name(msg, sizeof(msg), 12, wire, NULL), -EBADMSG);

	/* By compression as well: a.a.a. ... each pointing at the one before. */
	size_t at = 12, last = 12;
	memset(msg, 0, sizeof(msg));
	msg[at++] = 1;
	msg[at++] = 'a';
	msg[at++] = 0;
	int n = 3;
	while (n < 255) {
		size_t start = at;
		msg[at++] = 1;
		msg[at++] = 'a';
		put16(msg + at, 0xc000 | (unsigned)last);
		at += 2;
		last = start;
		n += 2;
		assert_int_equal(dnsmsg_name(msg, at, last, wire, NULL), n);
	}
	msg[at++] = 1;
	msg[at++] = 'a';
	put16(msg + at, 0xc000 | (unsigned)last);
	at += 2;
	assert_int_equal(dnsmsg_name(msg, at, at - 4, wire, NULL), -EBADMSG);
}

static void a_name_has_one_text(void **state)
{
	static const struct {
		const char *given, *shown;
	} row[] = {
		{"example.com", "example.com"},
		{"EXAMPLE.com.", "example.com"},
		{".", "."},
		{"a\\.b.c", "a\\.b.c"},
		{"a\\046b.c", "a\\.b.c"},
		{"a\\\\b", "a\\\\b"},
		{"a\\000b", "a\\000b"},
		{"a b", "a\\032b"},
		{"\\097", "a"},
		{"\xc3\xa4", "\\195\\164"},
		{"_dmarc.x-y", "_dmarc.x-y"},
	};
	static const char *const bad[] = {"", "..", ".a", "a..b", "a\\", "a\\25", "a\\256",
		"a\\2x5"};
	uint8_t wire[DNSMSG_WIRE_MAX];
	char text[DNSMSG_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		assert_true(dnsmsg_wire(row[i].given, wire) > 0);
		assert_string_equal(dnsmsg_text(wire, text), row[i].shown);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(dnsmsg_wire(bad[i], wire), -EINVAL);

	/* The longest text: nothing but escapes. */
	memset(wire, 1, sizeof(wire));
	wire[0] = wire[64] = wire[128] = 63;
	wire[192] = 61;
	wire[254] = 0;
	assert_true(strlen(dnsmsg_text(wire, text)) < DNSMSG_TEXT_MAX);
	assert_int_equal(strlen(text), 250 * 4 + 3);
}

static void walks_records(void **state)
{
	struct maker k;
	struct dnsmsg m;
	struct dnsmsg_record r;
	size_t at = 0;
	unsigned n = 0;

	(void)state;
	begin(&k, "a.example", 1);
	add_record(&k, 1, DNSMSG_TYPE_CNAME, 2);
	add_record(&k, 1, DNSMSG_TYPE_A, 4);
	add_record(&k, 2, DNSMSG_TYPE_NS, 0);
	add_opt(&k, 1232, 0);
	assert_int_equal(dnsmsg_parse(&m, k.data, k.len), 0);
	static const uint16_t types[] = {5, 1, 2, 41};
	static const uint8_t sections[] = {1, 1, 2, 3};
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(dnsmsg_next(&m, &at, &n, &r), 1);
		assert_int_equal(r.type, types[i]);
		assert_int_equal(r.section, sections[i]);
		if (i < 3)
			assert_int_equal(r.ttl, 300);
		assert_memory_equal(k.data + r.ttl_at + 6, k.data + r.data, 0);
		assert_int_equal(r.data, r.ttl_at + 6);
	}
	assert_int_equal(r.data_len, 0);
	assert_int_equal(dnsmsg_next(&m, &at, &n, &r), 0);
	assert_int_equal(at, k.len);
}

static void same_questions(void **state)
{
	struct maker k;
	struct dnsmsg a, b;

	(void)state;
	begin(&k, "a.example", 1);
	struct maker *other = malloc(sizeof(*other));
	assert_non_null(other);
	begin(other, "A.eXample", 1);
	dnsmsg_parse(&a, k.data, k.len);
	dnsmsg_parse(&b, other->data, other->len);
	assert_true(dnsmsg_same_question(&a, &b));
	b.type = 2;
	assert_false(dnsmsg_same_question(&a, &b));
	b.type = 1;
	b.class = 3;
	assert_false(dnsmsg_same_question(&a, &b));
	begin(other, "b.example", 1);
	dnsmsg_parse(&b, other->data, other->len);
	assert_false(dnsmsg_same_question(&a, &b));
	/* None is not the same as none. */
	a.name_len = b.name_len = 0;
	assert_false(dnsmsg_same_question(&a, &b));
	free(other);
}

static void errors_answer_the_question(void **state)
{
	struct maker k;
	struct dnsmsg q, m;
	uint8_t out[DNSMSG_ERROR_MAX];

	(void)state;
	begin(&k, "a.example", 1);
	add_opt(&k, 4096, 8);
	assert_int_equal(dnsmsg_parse(&q, k.data, k.len), 0);
	size_t len = dnsmsg_error(out, &q, DNSMSG_RCODE_REFUSED, false);
	assert_int_equal(dnsmsg_parse(&m, out, len), 0);
	assert_true(m.response);
	assert_false(m.truncated);
	assert_int_equal(m.id, 0x1234);
	assert_int_equal(m.rcode, 5);
	assert_true(dnsmsg_same_question(&q, &m));
	assert_int_equal(out[2] & 1, 1); /* RD comes back */
	assert_true(m.opt);
	assert_int_equal(out[m.opt + 7], 0x80); /* DO too */
	assert_int_equal(m.end, len);

	/* No EDNS in the answer to one who did not ask so; TC if wanted. */
	begin(&k, "a.example", 1);
	dnsmsg_parse(&q, k.data, k.len);
	len = dnsmsg_error(out, &q, 0, true);
	assert_int_equal(dnsmsg_parse(&m, out, len), 0);
	assert_int_equal(m.opt, 0);
	assert_true(m.truncated);

	/* Nothing but a header is known. */
	assert_int_equal(dnsmsg_parse(&q, k.data, 13), -EBADMSG);
	len = dnsmsg_error(out, &q, DNSMSG_RCODE_FORMERR, false);
	assert_int_equal(len, 12);
	assert_int_equal(dnsmsg_parse(&m, out, len), 0);
	assert_int_equal(m.rcode, 1);
}

static void the_longest_error_fits(void **state)
{
	struct maker k;
	struct dnsmsg q;
	char name[254];
	uint8_t *out = malloc(DNSMSG_ERROR_MAX);

	(void)state;
	assert_non_null(out);
	memset(name, 'a', sizeof(name));
	name[63] = name[127] = name[191] = '.';
	name[253] = '\0';
	begin(&k, name, 1);
	add_opt(&k, 1232, 0);
	assert_int_equal(dnsmsg_parse(&q, k.data, k.len), 0);
	assert_int_equal(dnsmsg_error(out, &q, 2, false), DNSMSG_ERROR_MAX);
	free(out);
}

static void truncates_at_a_record(void **state)
{
	struct maker k;
	struct dnsmsg m;

	(void)state;
	begin(&k, "a.example", 16);
	for (int i = 0; i < 10; i++)
		add_record(&k, 1, 16, 100);
	add_record(&k, 2, 2, 10);
	add_opt(&k, 1232, 20);
	size_t len = dnsmsg_truncate(k.data, k.len, k.len);
	assert_int_equal(len, k.len);
	assert_int_equal(k.data[2] & 2, 0);

	len = dnsmsg_truncate(k.data, k.len, 700);
	assert_true(len <= 700 && len > 700 - 112);
	assert_int_equal(dnsmsg_parse(&m, k.data, len), 0);
	assert_true(m.truncated);
	assert_int_equal(m.end, len);
	assert_int_equal(m.questions, 1);
	assert_int_equal(m.answers, 5);
	assert_int_equal(m.authorities, 0);
	assert_int_equal(m.additionals, 1);
	assert_int_equal(m.opt, len - 31);
	assert_int_equal(m.udp_size, 1232);
}

static void truncates_what_breaks_off(void **state)
{
	struct maker k;
	struct dnsmsg m;

	(void)state;
	begin(&k, "a.example", 16);
	add_record(&k, 1, 16, 100);
	size_t whole = k.len;
	add_record(&k, 1, 16, 100);
	size_t len = dnsmsg_truncate(k.data, k.len - 1, 512);
	assert_int_equal(len, whole);
	assert_int_equal(dnsmsg_parse(&m, k.data, len), 0);
	assert_int_equal(m.answers, 1);
	assert_true(m.truncated);

	/* Two questions, or one that cannot be read: the header at least stands. */
	begin(&k, "a.example", 16);
	count(&k, 0);
	len = dnsmsg_truncate(k.data, k.len, 512);
	assert_int_equal(dnsmsg_parse(&m, k.data, len), 0);
	assert_int_equal(m.questions, 1);
	begin(&k, "a.example", 16);
	len = dnsmsg_truncate(k.data, k.len - 2, 512);
	assert_int_equal(len, 12);
	assert_int_equal(dnsmsg_parse(&m, k.data, len), 0);
}

/* What is too long only by what follows its last record has lost nothing without that. */
static void cuts_off_what_belongs_to_no_record(void **state)
{
	struct maker k;
	struct dnsmsg m;

	(void)state;
	begin(&k, "a.example", 16);
	add_record(&k, 1, 16, 100);
	memset(k.data + k.len, 0xff, 600);
	assert_int_equal(dnsmsg_truncate(k.data, k.len + 600, 512), k.len);
	assert_int_equal(dnsmsg_parse(&m, k.data, k.len), 0);
	assert_false(m.truncated);
	assert_int_equal(m.answers, 1);
	/* What fits is left as it is. */
	assert_int_equal(dnsmsg_truncate(k.data, k.len + 6, 512), k.len + 6);
}

/* The longest name and the longest options that are kept leave an answer of 512 bytes. */
static void truncation_keeps_its_promise(void **state)
{
	struct maker k;
	char name[254];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[63] = name[127] = name[191] = '.';
	name[253] = '\0';
	for (size_t n = 0; n < 600; n++) {
		struct dnsmsg m;
		begin(&k, name, 16);
		add_record(&k, 1, 16, 600);
		add_opt(&k, 1232, n);
		size_t len = dnsmsg_truncate(k.data, k.len, 512);
		assert_true(len <= 512);
		assert_int_equal(dnsmsg_parse(&m, k.data, len), 0);
		assert_int_equal(m.end, len);
		assert_true(m.opt);
	}
}

static void names_for_logs(void **state)
{
	char text[16];

	(void)state;
	assert_string_equal(dnsmsg_type_name(65, text), "HTTPS");
	assert_string_equal(dnsmsg_type_name(65535, text), "TYPE65535");
	assert_string_equal(dnsmsg_rcode_name(3, text), "NXDOMAIN");
	assert_string_equal(dnsmsg_rcode_name(11, text), "RCODE11");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_question),
		cmocka_unit_test(refuses_what_breaks_off),
		cmocka_unit_test(refuses_two_of_what_may_be_once),
		cmocka_unit_test(names_end),
		cmocka_unit_test(names_have_limits),
		cmocka_unit_test(a_name_has_one_text),
		cmocka_unit_test(walks_records),
		cmocka_unit_test(same_questions),
		cmocka_unit_test(errors_answer_the_question),
		cmocka_unit_test(the_longest_error_fits),
		cmocka_unit_test(truncates_at_a_record),
		cmocka_unit_test(truncates_what_breaks_off),
		cmocka_unit_test(cuts_off_what_belongs_to_no_record),
		cmocka_unit_test(truncation_keeps_its_promise),
		cmocka_unit_test(names_for_logs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
