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
#include "core/envelope.h"

#define HEAD4 "\0\0\0\1\xc6\x33\x64\7\0\x35"
#define HEAD6 "\0\0\0\4\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\7\0\x35"
#define NAMED "\0\0\0\3\x9ntp.world\0\x35"

/* A text with NULs, and how long it is. */
struct bytes {
	const char *data;
	size_t len;
};
#define BYTES(text)                                                                                \
	{                                                                                          \
		(text), sizeof(text) - 1                                                           \
	}

static void takes_whole_headers_only(void **state)
{
	static const struct bytes good[] = {BYTES(HEAD4), BYTES(HEAD6), BYTES(NAMED)};
	static const struct bytes bad[] = {BYTES(HEAD4 "x"), BYTES("\0\0\1\1\1\2\3\4\0\x35"),
		BYTES("\0\1\0\1\1\2\3\4\0\x35"), BYTES("\1\0\0\1\1\2\3\4\0\x35"),
		BYTES("\0\0\0\2\1\2\3\4\0\x35"), BYTES("\0\0\0\3\0\0\x35"), BYTES("")};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct envelope *e = envelope_new(good[i].data, good[i].len);
		assert_non_null(e);
		assert_int_equal(e->len, good[i].len);
		assert_memory_equal(e->head, good[i].data, good[i].len);
		assert_int_equal(e->peer.port, 53);
		free(e);
		for (size_t n = 0; n < good[i].len; n++) {
			/* Of exactly that size, so that a read too far is seen. */
			char *part = malloc(n + !n);
			memcpy(part, good[i].data, n);
			assert_null(envelope_new(part, n));
			assert_int_equal(errno, EINVAL);
			free(part);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_null(envelope_new(bad[i].data, bad[i].len));
}

static void opens_what_the_peer_sent(void **state)
{
	static const struct {
		struct bytes head, got;
		size_t len;
	} cases[] = {
		{BYTES(HEAD4), BYTES(HEAD4 "data"), sizeof(HEAD4) - 1},
		{BYTES(HEAD4), BYTES(HEAD4), sizeof(HEAD4) - 1},
		{BYTES(HEAD6), BYTES(HEAD6 "x"), sizeof(HEAD6) - 1},
		/* A name was sent: only the relay knows the address, and it tells it. */
		{BYTES(NAMED), BYTES(HEAD4 "x"), sizeof(HEAD4) - 1},
		{BYTES(NAMED), BYTES(NAMED "x"), sizeof(NAMED) - 1},
		/* A stranger: another address, another port, another family, a name. */
		{BYTES(HEAD4), BYTES("\0\0\0\1\xc6\x33\x64\x8\0\x35x"), 0},
		{BYTES(HEAD4), BYTES("\0\0\0\1\xc6\x33\x64\7\0\x36x"), 0},
		{BYTES(HEAD4), BYTES(HEAD6 "x"), 0},
		{BYTES(HEAD4), BYTES(NAMED "x"), 0},
		{BYTES(NAMED), BYTES("\0\0\0\1\xc6\x33\x64\7\0\x36x"), 0},
		/* A fragment, and what is no header at all. */
		{BYTES(HEAD4), BYTES("\0\0\1\1\xc6\x33\x64\7\0\x35x"), 0},
		{BYTES(HEAD4), BYTES("data"), 0},
		{BYTES(HEAD4), BYTES(""), 0},
		{BYTES(HEAD4), BYTES("\0\0\0\1\xc6\x33\x64\7\0"), 0},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct envelope *e = envelope_new(cases[i].head.data, cases[i].head.len);
		size_t n = cases[i].got.len;
		uint8_t *got = malloc(n + !n);
		assert_non_null(e);
		memcpy(got, cases[i].got.data, n);
		assert_int_equal(envelope_open(e, got, n), cases[i].len);
		free(got);
		free(e);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_whole_headers_only),
		cmocka_unit_test(opens_what_the_peer_sent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
