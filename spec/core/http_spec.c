/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/base.h"
#include "core/http.h"

static struct http h;

/* The answer to @text, which is the same however it is cut. */
static enum http_answer answer(const char *text, size_t n)
{
	const uint8_t *bytes = (const uint8_t *)text;
	enum http_answer whole;
	char host[DNAME_MAX];
	size_t at;

	http_init(&h);
	at = http_feed(&h, bytes, n);
	whole = h.answer;
	strcpy(host, h.host);
	for (size_t split = 0; split <= n; split++) {
		http_init(&h);
		size_t first = http_feed(&h, bytes, split);
		size_t all = first + http_feed(&h, bytes + first, n - first);
		assert_int_equal(h.answer, whole);
		assert_int_equal(all, at);
		assert_string_equal(h.host, host);
	}
	http_init(&h);
	for (at = 0; at < n && h.answer == HTTP_MORE; at++)
		http_feed(&h, bytes + at, 1);
	assert_int_equal(h.answer, whole);
	assert_string_equal(h.host, host);
	return whole;
}

#define HEAD(line, fields) line " HTTP/1.1\r\n" fields "\r\n"

static void it_reads_the_host(void **state)
{
	static const struct {
		const char *text, *host;
	} cases[] = {
		{HEAD("GET /", "Host: a.test\r\n"), "a.test"},
		{HEAD("GET /", "host:A.Test.\r\n"), "a.test"},
		{HEAD("GET /", "HOST: \t a.test:8080 \t\r\n"), "a.test"},
		{HEAD("GET /", "Host: a.test:\r\n"), "a.test"},
		{HEAD("GET /x?y=Host:b.test", "A: b\r\nHost: a.test\r\nX: Host: b.test\r\n"),
			"a.test"},
		{HEAD("OPTIONS *", "Host: a.test\r\n"), "a.test"},
		{HEAD("M-SEARCH /", "Host: a.test\r\n"), "a.test"},
		{HEAD("get /", "Host: a.test\r\n"), "a.test"},
		{HEAD("GET http://a.test/x", "Host: a.test\r\n"), "a.test"},
		{HEAD("GET HTTP://A.test:80", "Host: a.test:81\r\n"), "a.test"},
		{HEAD("GET https://a.test?x", "Host: a.test\r\n"), "a.test"},
		{HEAD("CONNECT a.test:443", "Host: a.test:443\r\n"), "a.test"},
		{"\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "a.test"},
		{"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n", "a.test"},
		{"GET http://a.test/ HTTP/1.0\r\n\r\n", "a.test"},
		/* an address is no name */
		{HEAD("GET /", "Host: 192.0.2.1\r\n"), ""},
		{HEAD("GET /", "Host: 192.0.2.1:80\r\n"), ""},
		{HEAD("GET /", "Host: [2001:db8::1]:80\r\n"), ""},
		{HEAD("GET /", "Host: [2001:db8::1]\r\n"), ""},
		{HEAD("GET /", "Host: 0x7f.1\r\n"), ""},
		{HEAD("CONNECT [::1]:443", "Host: [::1]:443\r\n"), ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (answer(cases[i].text, strlen(cases[i].text)) != HTTP_HEAD)
			fail_msg("%s", cases[i].text);
		assert_true(h.has_host);
		assert_string_equal(h.host, cases[i].host);
	}
	assert_int_equal(answer("GET / HTTP/1.0\r\n\r\n", 18), HTTP_HEAD);
	assert_false(h.has_host);
}

static void it_finds_where_the_body_ends(void **state)
{
	(void)state;
	const char *post = HEAD("POST /", "Host: a.test\r\nContent-Length: 1234\r\n");
	const char *chunks = HEAD("POST /", "Host: a.test\r\nTransfer-Encoding: Chunked\r\n");
	const char *upgrade = HEAD("GET /", "Host: a.test\r\nUpgrade: websocket\r\n");

	assert_int_equal(answer(post, strlen(post)), HTTP_HEAD);
	assert_true(h.length == 1234 && !h.chunked && !h.tunnel);
	assert_int_equal(answer(chunks, strlen(chunks)), HTTP_HEAD);
	assert_true(h.chunked);
	assert_int_equal(answer(upgrade, strlen(upgrade)), HTTP_HEAD);
	assert_true(h.tunnel);
}

/* Each of these is read as one request by some and as another by others. */
static void what_can_be_read_twice_is_refused(void **state)
{
	static const char *const bad[] = {
		HEAD("GET /", "Host: a.test\r\nHost: b.test\r\n"),
		HEAD("GET /", "Host: a.test\r\nHost: a.test\r\n"),
		HEAD("GET /", "Host: a.test\r\nhOST: b.test\r\n"),
		HEAD("GET /", "Host : b.test\r\nHost: a.test\r\n"),
		HEAD("GET /", "Host\t: a.test\r\n"),
		HEAD("GET /", "Host: a.test\r\n b.test\r\n"),
		HEAD("GET /", "Host: a.test\r\n\tb.test\r\n"),
		HEAD("GET /", "X: y\r\n Host: b.test\r\nHost: a.test\r\n"),
		HEAD("GET /", " Host: b.test\r\nHost: a.test\r\n"),
		HEAD("GET /", "Host: a.test, b.test\r\n"),
		HEAD("GET /", "Host: a.test b.test\r\n"),
		HEAD("GET /", "Host: b.test@a.test\r\n"),
		HEAD("GET /", "Host: a.test/b.test\r\n"),
		HEAD("GET /", "Host: a.test#b.test\r\n"),
		HEAD("GET /", "Host: a.test\rb.test\r\n"),
		HEAD("GET /", "Host: a.test:b.test\r\n"),
		HEAD("GET /", "Host: a.test:123456\r\n"),
		HEAD("GET /", "Host: \r\n"),
		HEAD("GET /", "Host: :80\r\n"),
		HEAD("GET /", "Host: *.test\r\n"),
		HEAD("GET /", "Host: b\xc3\xa4.test\r\n"),
		HEAD("GET /", "Host\r\nHost: a.test\r\n"),
		HEAD("GET /", ": x\r\nHost: a.test\r\n"),
		HEAD("GET /", "X\x80: x\r\nHost: a.test\r\n"),
		HEAD("GET /", "X: \x01\r\nHost: a.test\r\n"),
		HEAD("GET /", ""),
		HEAD("GET http://b.test/", "Host: a.test\r\n"),
		HEAD("GET http://b.test/", ""),
		HEAD("GET http://a.test@b.test/", "Host: b.test\r\n"),
		HEAD("GET http://b.test\\@a.test/", "Host: a.test\r\n"),
		HEAD("GET http:///", "Host: a.test\r\n"),
		HEAD("GET ftp://a.test/", "Host: a.test\r\n"),
		HEAD("GET a.test", "Host: a.test\r\n"),
		HEAD("GET *", "Host: a.test\r\n"),
		HEAD("CONNECT b.test:443", "Host: a.test\r\n"),
		HEAD("CONNECT 192.0.2.1:443", "Host: 192.0.2.2\r\n"),
		HEAD("CONNECT [::1]:443", "Host: [0::1]:443\r\n"),
		HEAD("CONNECT a.test:443", "Host: a.test\r\nContent-Length: 5\r\n"),
		HEAD("POST /", "Host: a.test\r\nContent-Length: 5\r\nContent-Length: 5\r\n"),
		HEAD("POST /", "Host: a.test\r\nContent-Length: 5, 5\r\n"),
		HEAD("POST /", "Host: a.test\r\nContent-Length: +5\r\n"),
		HEAD("POST /", "Host: a.test\r\nContent-Length: 0x5\r\n"),
		HEAD("POST /", "Host: a.test\r\nContent-Length:\r\n"),
		HEAD("POST /", "Host: a.test\r\nContent-Length: 9999999999999999999\r\n"),
		HEAD("POST /",
			"Host: a.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
		HEAD("POST /", "Host: a.test\r\nTransfer-Encoding: gzip, chunked\r\n"),
		HEAD("POST /", "Host: a.test\r\nTransfer-Encoding: identity\r\n"),
		HEAD("POST /",
			"Host: a.test\r\nTransfer-Encoding: chunked\r\n"
			"Transfer-Encoding: chunked\r\n"),
		"POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\nHost: a.test\n\n",
		"GET / HTTP/1.1\r\nHost: a.test\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.test\r\n\n",
		"\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
		" GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"\rGET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"GET\t/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"GET / HTTP/1.1 \r\nHost: a.test\r\n\r\n",
		"GET / /b HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"GET / \rHTTP/1.1\r\nHost: a.test\r\n\r\n",
		"GET / HTTP/1.2\r\nHost: a.test\r\n\r\n",
		"GET / http/1.1\r\nHost: a.test\r\n\r\n",
		"GET / HTTP/1.1x\r\nHost: a.test\r\n\r\n",
		"GET / HTTP/11.1\r\nHost: a.test\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"PROPFIND / HTTP/1.1 x\r\nHost: b.test\r\n\r\n",
		"FOO / http/1.0 x y\r\nHost: b.test\r\n\r\n",
		"FOO / HTTP/1.1 x\nHost: b.test\n\n",
		"FOO / HTTP/1.1\rx\r\nHost: b.test\r\n\r\n",
		"FOO / HTTP/1.1\1\r\nHost: b.test\r\n\r\n",
		"GET /\r\n",
		"get http://b.test/\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (answer(bad[i], strlen(bad[i])) != HTTP_BAD)
			fail_msg("%zu: %s", i, bad[i]);
	assert_int_equal(answer("GET /\0 HTTP/1.1\r\nHost: a.test\r\n\r\n", 34), HTTP_BAD);
	assert_int_equal(answer("GET / HTTP/1.1\r\nHost: a.test\0.b.test\r\n\r\n", 41), HTTP_BAD);
	assert_int_equal(answer("\r\n\r\n\0\r\nQUIT\n", 12), HTTP_BAD);
}

static void a_long_value_is_no_short_one(void **state)
{
	static char text[2000];

	(void)state;
	strcpy(text, "GET / HTTP/1.1\r\nHost: ");
	memset(text + strlen(text), 'a', 1000);
	strcat(text, "\r\n\r\n");
	assert_int_equal(answer(text, strlen(text)), HTTP_BAD);
	memset(text, 0, sizeof(text));
	strcpy(text, "GET http://");
	memset(text + strlen(text), 'a', 1000);
	strcat(text, ".test/ HTTP/1.0\r\n\r\n");
	assert_int_equal(answer(text, strlen(text)), HTTP_BAD);
}

static void other_protocols_are_told_apart(void **state)
{
	static const char *const other[] = {"SSH-2.0-OpenSSH_9.2p1\r\n", "EHLO a.test\r\n",
		"USER x\r\n", "*2\r\n$3\r\nGET\r\n", "NICK a\r\n", "\x16\2", "\x04\x01", "\r\n\x80",
		"(\r\n", "a/b", "SAY I like HTTP\r\n", "INVITE sip:a@b.test SIP/2.0\r\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		if (answer(other[i], strlen(other[i])) != HTTP_OTHER)
			fail_msg("%s", other[i]);
	assert_int_equal(answer("0032git-upload-pack /x.git\0host=a.test\0", 39), HTTP_OTHER);
	/* not to be told yet */
	http_init(&h);
	http_feed(&h, (const uint8_t *)"hello", 5);
	assert_true(h.answer == HTTP_MORE && http_unsure(&h) && !http_blank(&h));
	http_init(&h);
	http_feed(&h, (const uint8_t *)"\r\n", 2);
	assert_true(h.answer == HTTP_MORE && http_unsure(&h) && http_blank(&h));
	http_init(&h);
	http_feed(&h, (const uint8_t *)"GET /", 5);
	assert_true(h.answer == HTTP_MORE && !http_unsure(&h));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_reads_the_host),
		cmocka_unit_test(it_finds_where_the_body_ends),
		cmocka_unit_test(what_can_be_read_twice_is_refused),
		cmocka_unit_test(a_long_value_is_no_short_one),
		cmocka_unit_test(other_protocols_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
