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
#include "core/dnsedit.h"
#include "spec/support/maker.h"

static struct maker answer;
static uint8_t out[DNSMSG_MAX];

static void add_data(int section, unsigned type, const void *data, size_t len)
{
	add_record(&answer, section, type, len);
	memcpy(answer.data + answer.len - len, data, len);
}

static void start(void)
{
	begin(&answer, "www.example", DNSMSG_TYPE_HTTPS);
	answer.data[2] |= 0x80;
	answer.data[3] |= 0x20; /* AD */
}

/* Exactly sized: a sanitizer sees a byte too far. */
static ssize_t strip(void)
{
	uint8_t *exact = malloc(answer.len);

	assert_non_null(exact);
	memcpy(exact, answer.data, answer.len);
	ssize_t n = dnsedit_strip(out, exact, answer.len, false);
	free(exact);
	return n;
}

/* The data of the @k-th record of the result. */
static const uint8_t *record(ssize_t len, unsigned k, struct dnsmsg_record *r)
{
	struct dnsmsg m;
	size_t at = 0;
	unsigned n = 0;

	assert_true(len > 0);
	assert_int_equal(dnsmsg_parse(&m, out, (size_t)len), 0);
	assert_int_equal(m.end, len);
	do
		assert_int_equal(dnsmsg_next(&m, &at, &n, r), 1);
	while (n <= k);
	return out + r->data;
}

#define P "\0\1" /* priority */
#define ALPN "\0\1\0\3\2h2"
#define PORT "\0\3\0\2\1\xbb"
#define HINT4 "\0\4\0\4\1\2\3\4"
#define ECH "\0\5\0\4ABCD"
#define HINT6                                                                                      \
	"\0\6\0\20"                                                                                \
	"0123456789abcdef"
#define MANDATORY(n, list) "\0\0\0" n list
#define KEY7 "\0\7\0\1x"
#define TEXT(t) t, sizeof(t) - 1

static void what_leads_around_names_goes(void **state)
{
	static const struct {
		const char *in;
		size_t in_len;
		const char *out;
		size_t out_len;
	} row[] = {
		{TEXT(P "\0" ALPN ECH), TEXT(P "\0" ALPN)},
		{TEXT(P "\0" ALPN PORT HINT4 ECH HINT6 KEY7), TEXT(P "\0" ALPN PORT KEY7)},
		{TEXT(P "\0" ECH), TEXT(P "\0")},
		{TEXT(P "\0"), TEXT(P "\0")},
		{TEXT("\0\0\3cdn\0"), TEXT("\0\0\3cdn\0")}, /* alias */
		{TEXT(P "\3cdn\xc0\x0c" ALPN HINT4), TEXT(P "\3cdn\3www\7example\0" ALPN)},
		{TEXT(P "\0" MANDATORY("\4", "\0\1\0\5") ALPN ECH),
			TEXT(P "\0" MANDATORY("\2", "\0\1") ALPN)},
		{TEXT(P "\0" MANDATORY("\2", "\0\5") ALPN ECH), TEXT(P "\0" ALPN)},
	};
	struct dnsmsg_record r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		start();
		add_data(1, i % 2 ? DNSMSG_TYPE_HTTPS : DNSMSG_TYPE_SVCB, row[i].in, row[i].in_len);
		add_data(3, DNSMSG_TYPE_A, "\1\2\3\4", 4);
		add_opt(&answer, 1232, 0);
		ssize_t len = strip();
		const uint8_t *data = record(len, 0, &r);
		assert_int_equal(r.data_len, row[i].out_len);
		assert_memory_equal(data, row[i].out, row[i].out_len);
		assert_int_equal(r.ttl, 300);
		assert_memory_equal(record(len, 1, &r), "\1\2\3\4", 4);
		assert_int_equal(r.section, 3);
		(void)record(len, 2, &r);
		assert_int_equal(r.type, DNSMSG_TYPE_OPT);
		assert_int_equal(r.class, 1232);
		assert_int_equal(r.ttl, 0x8000);
		assert_int_equal(out[3] & 0x20, 0);
	}
}

static void other_answers_are_left_alone(void **state)
{
	(void)state;
	start();
	add_data(1, DNSMSG_TYPE_A, "\1\2\3\4", 4);
	add_data(1, 46, "\0\1xxxx", 6);
	add_data(1, DNSMSG_TYPE_TXT, "\5ech=1", 6);
	assert_int_equal(strip(), 0);
	start();
	assert_int_equal(strip(), 0);
}

static void signatures_of_what_changed_go(void **state)
{
	struct dnsmsg_record r;

	(void)state;
	start();
	add_data(1, 46, "\0\x41xxxx", 6);
	add_data(1, 46, "\0\1xxxx", 6);
	ssize_t len = strip();
	assert_memory_equal(record(len, 0, &r), "\0\1xxxx", 6);
	assert_int_equal(out[7], 1);
}

static void records_that_cannot_be_read_go(void **state)
{
	static const struct {
		const char *in;
		size_t len;
	} row[] = {
		{TEXT("")},
		{TEXT("\0\1")},
		{TEXT(P "\3abc")},
		{TEXT(P "\xff\xff")},
		{TEXT(P "\0"
			"\0\5\0")},
		{TEXT(P "\0"
			"\0\5\0\5ABCD")},
		{TEXT(P "\0" ECH ECH)},
		{TEXT(P "\0" PORT ALPN)},
		{TEXT(P "\0" MANDATORY("\3", "\0\1\0") ALPN)},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct dnsmsg m;
		start();
		add_data(1, DNSMSG_TYPE_HTTPS, row[i].in, row[i].len);
		ssize_t len = strip();
		assert_true(len > 0);
		assert_int_equal(dnsmsg_parse(&m, out, (size_t)len), 0);
		assert_int_equal(m.answers, 0);
	}
}

static void what_breaks_off_goes_only_if_it_says_so(void **state)
{
	struct dnsmsg m;

	(void)state;
	start();
	add_data(1, DNSMSG_TYPE_HTTPS, TEXT(P "\0" ECH));
	add_data(1, DNSMSG_TYPE_HTTPS, TEXT(P "\0" ECH));
	answer.len -= 3;
	assert_int_equal(strip(), -EBADMSG);
	answer.data[2] |= 2; /* TC */
	ssize_t len = strip();
	assert_true(len > 0);
	assert_int_equal(dnsmsg_parse(&m, out, (size_t)len), 0);
	assert_true(m.truncated);
	assert_int_equal(m.answers, 1);
	answer.len = 11;
	assert_int_equal(strip(), -EBADMSG);
}

/* Names in other records are compressed: each grows when it is read out. */
static void what_grows_too_long_is_refused(void **state)
{
	(void)state;
	begin(&answer,
		"a23456789012345678901234567890123456789012345678901234567890123."
		"b23456789012345678901234567890123456789012345678901234567890123."
		"c23456789012345678901234567890123456789012345678901234567890123",
		DNSMSG_TYPE_HTTPS);
	answer.data[2] |= 0x80;
	add_data(1, DNSMSG_TYPE_HTTPS, TEXT(P "\0" ECH));
	for (int i = 0; i < 1000; i++)
		add_data(1, DNSMSG_TYPE_NS, "\xc0\x0c", 2);
	assert_int_equal(strip(), -EMSGSIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_leads_around_names_goes),
		cmocka_unit_test(other_answers_are_left_alone),
		cmocka_unit_test(signatures_of_what_changed_go),
		cmocka_unit_test(records_that_cannot_be_read_go),
		cmocka_unit_test(what_breaks_off_goes_only_if_it_says_so),
		cmocka_unit_test(what_grows_too_long_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
