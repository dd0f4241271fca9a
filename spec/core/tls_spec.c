/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/base.h"
#include "core/tls.h"
#include "spec/support/hello.h"

static struct hello_maker m;
static uint8_t message[80000], wire[90000];
static size_t message_len, wire_len;
static struct tls t;

static int set_up(void **state)
{
	(void)state;
	memset(&m, 0, sizeof(m));
	return 0;
}

static void make(size_t record)
{
	message_len = hello_message(&m, message);
	wire_len = hello_records(wire, 22, message, message_len, record);
}

/* Reads wire in pieces of @piece bytes. */
static enum tls_answer feed(size_t piece)
{
	size_t at = 0;

	tls_init(&t);
	while (at < wire_len && t.answer == TLS_MORE)
		at += tls_feed(&t, wire + at, MIN(piece, wire_len - at));
	if (t.answer == TLS_HELLO)
		assert_int_equal(at, wire_len);
	return t.answer;
}

/* The answer, which is the same however the bytes come. */
static enum tls_answer answer(void)
{
	const enum tls_answer whole = feed(wire_len);
	const struct tls first = t;

	for (size_t split = 1; split < MIN(wire_len, (size_t)600); split++) {
		size_t at;

		tls_init(&t);
		at = tls_feed(&t, wire, split);
		if (t.answer == TLS_MORE)
			tls_feed(&t, wire + at, wire_len - at);
		assert_int_equal(t.answer, whole);
		assert_string_equal(t.sni, first.sni);
	}
	assert_int_equal(feed(1), whole);
	assert_string_equal(t.sni, first.sni);
	assert_string_equal(t.alpn, first.alpn);
	assert_int_equal(t.ech, first.ech);
	return whole;
}

static void it_reads_the_name(void **state)
{
	(void)state;
	hello_ext(&m, 0x0a0a, NULL, 0); /* GREASE */
	hello_sni(&m, "WWW.Example.com");
	hello_ext(&m, 16, "\0\14\2h2\10http/1.1", 14);
	hello_ext(&m, 0xfafa, NULL, 1);
	make(16384);
	assert_int_equal(answer(), TLS_HELLO);
	assert_true(t.has_sni && !t.ech && !t.early_data);
	assert_string_equal(t.sni, "www.example.com");
	assert_string_equal(t.alpn, "h2,http/1.1");
}

static void a_hello_without_a_name_is_one(void **state)
{
	(void)state;
	make(16384);
	assert_int_equal(answer(), TLS_HELLO);
	assert_false(t.has_sni);
	m.no_ext = true;
	make(16384);
	assert_int_equal(answer(), TLS_HELLO);
	assert_false(t.has_sni);
}

static void records_may_be_as_small_as_they_like(void **state)
{
	(void)state;
	m.session = 32;
	hello_sni(&m, "a.test");
	for (size_t size = 1; size < 40; size++) {
		make(size);
		assert_int_equal(feed(wire_len), TLS_HELLO);
		assert_int_equal(feed(1), TLS_HELLO);
		assert_string_equal(t.sni, "a.test");
	}
	make(1);
	assert_int_equal(answer(), TLS_HELLO);
}

static void a_hello_may_be_large(void **state)
{
	(void)state;
	hello_ext(&m, 51, NULL, 20000); /* key shares of many kinds */
	hello_sni(&m, "a.test");
	make(16384);
	assert_true(wire_len > 20000);
	assert_int_equal(answer(), TLS_HELLO);
	assert_string_equal(t.sni, "a.test");
	memset(&m, 0, sizeof(m));
	hello_ext(&m, 51, NULL, 60000);
	hello_sni(&m, "a.test");
	make(1000);
	assert_int_equal(feed(1), TLS_HELLO);
	/* but not beyond what a hello can be */
	memcpy(wire, "\26\3\1\1\0\1\1\0\0", 9);
	wire_len = 9;
	assert_int_equal(feed(9), TLS_BAD);
}

static void a_name_may_be_hidden(void **state)
{
	static const unsigned types[] = {0xfe0d, 0xfe08, 0xffce};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		memset(&m, 0, sizeof(m));
		hello_sni(&m, "outer.test");
		hello_ext(&m, types[i], NULL, 200);
		make(16384);
		assert_int_equal(answer(), TLS_HELLO);
		assert_true(t.ech);
		assert_string_equal(t.sni, "outer.test");
	}
}

static void a_name_that_is_none_is_told_apart(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} bad[] = {{"10.0.0.1", 8}, {"a.test\0.b.test", 14}, {"a test", 6}, {"[::1]", 5}, {".", 1},
		{"\xc3\xa4.test", 7}, {"*.test", 6}, {"a.test:443", 10}};
	char lengthy[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		memset(&m, 0, sizeof(m));
		hello_sni_bytes(&m, bad[i].text, bad[i].n);
		make(16384);
		assert_int_equal(answer(), TLS_HELLO);
		assert_true(t.has_sni);
		assert_string_equal(t.sni, "");
	}
	memset(lengthy, 'a', sizeof(lengthy));
	for (size_t i = 50; i < sizeof(lengthy); i += 50)
		lengthy[i] = '.';
	for (size_t n = 240; n <= sizeof(lengthy); n++) {
		memset(&m, 0, sizeof(m));
		hello_sni_bytes(&m, lengthy, n);
		make(16384);
		assert_int_equal(feed(7), TLS_HELLO);
		assert_int_equal(strlen(t.sni), n <= 253 ? n - (lengthy[n - 1] == '.') : 0);
	}
}

static void two_names_are_one_too_many(void **state)
{
	(void)state;
	hello_sni(&m, "a.test");
	hello_sni(&m, "b.test");
	make(16384);
	assert_int_equal(answer(), TLS_BAD);
	memset(&m, 0, sizeof(m)); /* in one list */
	hello_ext(&m, 0, "\0\22\0\0\6a.test\0\0\6b.test", 20);
	make(16384);
	assert_int_equal(answer(), TLS_BAD);
	memset(&m, 0, sizeof(m)); /* of another kind */
	hello_ext(&m, 0, "\0\11\1\0\6a.test", 11);
	make(16384);
	assert_int_equal(answer(), TLS_BAD);
}

static void lengths_must_add_up(void **state)
{
	static const struct {
		const char *data;
		size_t n;
	} sni[] = {{"", 0}, {"\0\0", 2}, {"\0\3\0\0\0", 5}, {"\0\12\0\0\6a.test", 11},
		{"\0\10\0\0\6a.test", 11}, {"\0\11\0\0\7a.test", 11}, {"\0\11\0\0\5a.test", 11},
		{"\0\11\0\0\6a.testx", 12}};
	static const struct {
		const char *data;
		size_t n;
	} alpn[] = {{"", 0}, {"\0\0", 2}, {"\0\1\0", 3}, {"\0\2\0\0", 4}, {"\0\3\3h2", 5},
		{"\0\3\1h2", 5}, {"\0\4\2h2", 5}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sni); i++) {
		memset(&m, 0, sizeof(m));
		hello_ext(&m, 0, sni[i].data, sni[i].n);
		hello_ext(&m, 0x0a0a, NULL, 30);
		make(16384);
		assert_int_equal(answer(), TLS_BAD);
	}
	for (size_t i = 0; i < ARRAY_LEN(alpn); i++) {
		memset(&m, 0, sizeof(m));
		hello_ext(&m, 16, alpn[i].data, alpn[i].n);
		hello_ext(&m, 0x0a0a, NULL, 30);
		make(16384);
		assert_int_equal(answer(), TLS_BAD);
	}
}

/* Every byte that is a length, made wrong. */
static void a_wrong_length_is_never_a_hello(void **state)
{
	static const size_t at[] = {3, 4, 6, 7, 8, 43, 44, 45, 50, 52, 53, 56, 57};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		for (int by = -1; by <= 1; by += 2) {
			memset(&m, 0, sizeof(m));
			hello_sni(&m, "a.test");
			make(16384);
			wire[at[i]] = (uint8_t)(wire[at[i]] + by);
			assert_int_not_equal(answer(), TLS_HELLO);
		}
	}
}

static void what_is_cut_off_is_no_hello(void **state)
{
	(void)state;
	hello_sni(&m, "a.test");
	make(16384);
	for (; wire_len; wire_len--)
		if (feed(wire_len) != TLS_HELLO)
			assert_int_equal(t.answer, TLS_MORE);
}

static void nothing_may_stand_in_or_behind_it(void **state)
{
	(void)state;
	hello_sni(&m, "a.test");
	message_len = hello_message(&m, message);
	message[message_len] = 1; /* behind it in its record */
	wire_len = hello_records(wire, 22, message, message_len + 1, 16384);
	tls_init(&t);
	tls_feed(&t, wire, wire_len);
	assert_int_equal(t.answer, TLS_BAD);
	/* another record within it */
	wire_len = hello_records(wire, 22, message, 20, 16384);
	wire_len += hello_records(wire + wire_len, 21, (const uint8_t *)"\1\0", 2, 16384);
	wire_len += hello_records(wire + wire_len, 22, message + 20, message_len - 20, 16384);
	assert_int_equal(answer(), TLS_BAD);
	/* an empty record */
	memcpy(wire, "\26\3\1\0\0", 5);
	wire_len = 5;
	assert_int_equal(answer(), TLS_BAD);
	/* a server's hello */
	memcpy(wire, "\26\3\1\0\1\2", 6);
	wire_len = 6;
	assert_int_equal(answer(), TLS_BAD);
}

static void other_protocols_are_told_apart(void **state)
{
	(void)state;
	memcpy(wire, "GET / HTTP/1.1\r\n", 16);
	wire_len = 16;
	assert_int_equal(answer(), TLS_OTHER);
	memcpy(wire, "\26\2\0\0\1\1", 6);
	wire_len = 6;
	assert_int_equal(answer(), TLS_OTHER);
	memcpy(wire, "\200\56\1\3\1", 5); /* SSLv2's form */
	wire_len = 5;
	assert_int_equal(answer(), TLS_OTHER);
}

/* What follows the first hello: the @n bytes @before, and a second hello for @name. */
static enum tls_answer again(bool early, const uint8_t *before, size_t n, const char *name,
	size_t record, size_t piece)
{
	size_t at = 0;

	memset(&m, 0, sizeof(m));
	if (name)
		hello_sni(&m, name);
	message_len = hello_message(&m, message);
	memcpy(wire, before, n);
	wire_len = n;
	if (name)
		wire_len += hello_records(wire + n, 22, message, message_len, record);
	tls_init(&t);
	t.early_data = early;
	tls_again(&t);
	while (at < wire_len && t.answer == TLS_MORE)
		at += tls_feed(&t, wire + at, MIN(piece, wire_len - at));
	return t.answer;
}

static void a_second_hello_is_found(void **state)
{
	static const uint8_t ccs[] = {20, 3, 3, 0, 1, 1}, data[] = {23, 3, 3, 0, 3, 9, 9, 9},
			     key[] = {22, 3, 3, 0, 7, 16, 0, 0, 3, 1, 2, 3},
			     sealed[] = {22, 3, 3, 0, 12, 1, 0, 0, 0, 0, 0, 0, 0, 7, 7, 7, 7},
			     alert[] = {21, 3, 3, 0, 2, 1, 0};

	(void)state;
	for (size_t piece = 1; piece < 400; piece += 7) {
		for (size_t record = 1; record < 200; record += 33) {
			assert_int_equal(again(false, ccs, 0, "b.test", record, piece), TLS_HELLO);
			assert_string_equal(t.sni, "b.test");
			assert_int_equal(again(false, ccs, sizeof(ccs), "b.test", record, piece),
				TLS_HELLO);
			assert_string_equal(t.sni, "b.test");
		}
		assert_int_equal(again(false, data, sizeof(data), NULL, 1, piece), TLS_OTHER);
		assert_int_equal(again(true, data, sizeof(data), "b.test", 50, piece), TLS_HELLO);
		assert_int_equal(again(false, key, sizeof(key), NULL, 1, piece), TLS_OTHER);
		assert_int_equal(again(false, sealed, sizeof(sealed), NULL, 1, piece), TLS_OTHER);
		assert_int_equal(again(false, alert, sizeof(alert), NULL, 1, piece), TLS_OTHER);
	}
	assert_int_equal(again(true, data, sizeof(data), NULL, 1, 8), TLS_MORE);
	assert_true(tls_idle(&t));
	assert_int_equal(again(true, data, sizeof(data) - 1, NULL, 1, 8), TLS_MORE);
	assert_true(tls_idle(&t));
	assert_int_equal(again(true, data, 4, NULL, 1, 8), TLS_MORE);
	assert_false(tls_idle(&t));
	assert_int_equal(again(false, key, 6 - 1, NULL, 1, 8), TLS_MORE);
	assert_false(tls_idle(&t));
}

#define spec(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		spec(it_reads_the_name),
		spec(a_hello_without_a_name_is_one),
		spec(records_may_be_as_small_as_they_like),
		spec(a_hello_may_be_large),
		spec(a_name_may_be_hidden),
		spec(a_name_that_is_none_is_told_apart),
		spec(two_names_are_one_too_many),
		spec(lengths_must_add_up),
		spec(a_wrong_length_is_never_a_hello),
		spec(what_is_cut_off_is_no_hello),
		spec(nothing_may_stand_in_or_behind_it),
		spec(other_protocols_are_told_apart),
		spec(a_second_hello_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
