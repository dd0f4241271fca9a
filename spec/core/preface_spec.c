/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/base.h"
#include "spec/support/hello.h"
#include "spec/support/listener.h"

static struct listener l;
static uint8_t wire[200000];
static size_t wire_len;

/* What came of wire, which is the same however the bytes come. */
static const char *said(bool end)
{
	static char first[sizeof(l.said)];

	strcpy(first, listen_to(&l, wire, wire_len, wire_len ? wire_len : 1, end));
	for (size_t piece = 1; piece < 40; piece++)
		assert_string_equal(listen_to(&l, wire, wire_len, piece, end), first);
	return first;
}

static void text(const char *t)
{
	wire_len = strlen(t);
	memcpy(wire, t, wire_len);
}

static void add(const void *bytes, size_t n)
{
	memcpy(wire + wire_len, bytes, n);
	wire_len += n;
}

static void add_hello(const char *name, bool ech, unsigned extra)
{
	static struct hello_maker m;
	static uint8_t message[80000];

	memset(&m, 0, sizeof(m));
	if (name)
		hello_sni(&m, name);
	if (ech)
		hello_ext(&m, 0xfe0d, NULL, 100);
	if (extra)
		hello_ext(&m, extra, NULL, 0);
	wire_len += hello_records(wire + wire_len, 22, message, hello_message(&m, message), 16384);
}

#define GET(host) "GET / HTTP/1.1\r\nHost: " host "\r\n\r\n"
#define DATA "\27\3\3\0\3abc"
#define CCS "\24\3\3\0\1\1"

static void a_hello_is_heard_once(void **state)
{
	(void)state;
	wire_len = 0;
	add_hello("a.test", false, 0);
	assert_string_equal(said(false), "tls a.test");
	assert_int_equal(l.passed, wire_len);
	add(DATA, 8);
	assert_string_equal(said(false), "tls a.test; all");
	wire_len = 0;
	add_hello("a.test", true, 0);
	add(CCS DATA, 14);
	assert_string_equal(said(false), "tls+ech a.test; all");
	wire_len = 0;
	add_hello(NULL, false, 0);
	add(DATA, 8);
	assert_string_equal(said(false), "tls none; all");
}

static void a_second_hello_must_be_for_the_same_host(void **state)
{
	(void)state;
	wire_len = 0;
	add_hello("a.test", false, 0);
	add(CCS, 6);
	add_hello("a.test", false, 0);
	assert_string_equal(said(false), "tls a.test; all");
	wire_len = 0;
	add_hello("a.test", false, 0);
	add_hello("b.test", false, 0);
	assert_string_equal(said(false), "tls a.test; bad");
	wire_len = 0;
	add_hello("a.test", false, 0);
	add(CCS, 6);
	add_hello(NULL, false, 0);
	assert_string_equal(said(false), "tls a.test; bad");
	wire_len = 0; /* behind early data */
	add_hello("a.test", false, 42);
	add(DATA, 8);
	add_hello("b.test", false, 0);
	assert_string_equal(said(false), "tls a.test; bad");
	wire_len = 0;
	add_hello("a.test", false, 0);
	add_hello("a.test", true, 0);
	assert_string_equal(said(false), "tls a.test; bad");
}

static void each_request_is_heard(void **state)
{
	(void)state;
	text(GET("a.test"));
	assert_string_equal(said(false), "http a.test");
	text(GET("a.test") GET("a.test") GET("A.test:80"));
	assert_string_equal(said(true), "http a.test; all");
	text(GET("a.test") GET("b.test") GET("a.test"));
	assert_string_equal(said(true), "http a.test; http b.test; http a.test; all");
	text(GET("a.test") "\r\n" GET("b.test"));
	assert_string_equal(said(false), "http a.test; http b.test");
	text("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 7\r\n\r\nGET / H" GET("b.test"));
	assert_string_equal(said(false), "http a.test; http b.test");
	text("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 400\r\n\r\n" GET("b.test"));
	assert_string_equal(said(false), "http a.test");
	text("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
	     "1b;x=y\r\n123456789\r\n\r\n0\r\n\r\n123456789\r\n00\r\nTrailer: x\r\n\r\n" GET(
		     "b.test"));
	assert_string_equal(said(false), "http a.test; http b.test");
	text("GET / HTTP/1.0\r\n\r\n" GET("b.test"));
	assert_string_equal(said(false), "http none; http b.test");
	text(GET("192.0.2.1") GET("192.0.2.2"));
	assert_string_equal(said(false), "http ?; http ?");
}

static void what_is_not_clear_is_bad(void **state)
{
	static const char *const bad[] = {GET("a.test") "hello world\r\n", GET("a.test") "\x80",
		GET("a.test") "GET /\r\n", GET("a.test") "\x16\x03\x01"};
	static const char *const chunks[] = {"1\r\nab\r\n0\r\n\r\n", "g\r\n", "\r\n", "1 \r\na\r\n",
		"-1\r\n", "0x1\r\n", "1\na\n", "1\r\na\n", "1\r\na\r0\r\n", "11111111111111111\r\n",
		"1;\n", "0\r\n x: y\r\n\r\n", "0\r\nx\n\r\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		text(bad[i]);
		assert_string_equal(said(false), "http a.test; bad");
	}
	for (size_t i = 0; i < ARRAY_LEN(chunks); i++) {
		text("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
		add(chunks[i], strlen(chunks[i]));
		assert_string_equal(said(false), "http a.test; bad");
	}
	text("GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n");
	assert_string_equal(said(false), "bad");
	text("\x16\x03\x01\x00\x01\x02");
	wire_len = 6;
	memcpy(wire, "\26\3\1\0\1\2", 6);
	assert_string_equal(said(false), "bad");
}

static void a_tunnel_begins_anew(void **state)
{
	(void)state;
	text("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n");
	add_hello("b.test", false, 0);
	assert_string_equal(said(false), "http a.test; tls b.test");
	text("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n" GET("b.test"));
	assert_string_equal(said(false), "http a.test; http b.test");
	text("CONNECT a.test:22 HTTP/1.1\r\nHost: a.test:22\r\n\r\nSSH-2.0-x\r\n");
	assert_string_equal(said(false), "http a.test; all");
	text("GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n\r\n\x82\x01");
	assert_string_equal(said(false), "http a.test; all");
	/* but the server need not have followed */
	text("GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n\r\n" GET("b.test"));
	assert_string_equal(said(false), "http a.test; http b.test");
	text("GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\n");
	assert_string_equal(said(false), "http a.test; bad");
}

static void other_protocols_have_no_name(void **state)
{
	(void)state;
	text("SSH-2.0-OpenSSH\r\n");
	assert_string_equal(said(false), "other none; all");
	text("EHLO a.test\r\n");
	assert_string_equal(said(false), "other none; all");
	text("\x80\x2e\x01\x03\x01");
	assert_string_equal(said(false), "other none; all");
	text("hello"); /* it may become a request */
	assert_string_equal(said(false), "");
	assert_int_equal(l.passed, 0);
	assert_string_equal(said(true), "other none; all");
	text("");
	assert_string_equal(said(true), "other none; all");
	text("\x16");
	assert_string_equal(said(false), "");
	assert_string_equal(said(true), "other none; all");
}

static void an_end_too_early_is_bad(void **state)
{
	(void)state;
	text("GET / HTTP/1.1\r\nHost: a.test\r\n");
	assert_string_equal(said(true), "bad");
	text(GET("a.test") "GET / HT");
	assert_string_equal(said(true), "http a.test; bad");
	wire_len = 0;
	add_hello("a.test", false, 0);
	wire_len--;
	assert_string_equal(said(false), "");
	assert_string_equal(said(true), "bad");
	/* more than is held */
	wire_len = 70000;
	memset(wire, 'a', wire_len);
	memcpy(wire, "GET / HTTP/1.1\r\nHost: a.test\r\nX: ", 34);
	assert_string_equal(said(false), "bad");
	assert_int_equal(l.passed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hello_is_heard_once),
		cmocka_unit_test(a_second_hello_must_be_for_the_same_host),
		cmocka_unit_test(each_request_is_heard),
		cmocka_unit_test(what_is_not_clear_is_bad),
		cmocka_unit_test(a_tunnel_begins_anew),
		cmocka_unit_test(other_protocols_have_no_name),
		cmocka_unit_test(an_end_too_early_is_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
