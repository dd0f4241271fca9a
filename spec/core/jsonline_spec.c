/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "core/jsonline.h"
#include "core/utf8.h"

static struct jsonline j;

static const char *text_of(const char *bytes, size_t n)
{
	size_t len;

	jsonline_begin(&j);
	jsonline_bytes(&j, bytes, n);
	return jsonline_end(&j, &len);
}

static void writes_what_a_parser_reads(void **state)
{
	const char *line;
	size_t len;
	cJSON *o;

	(void)state;
	jsonline_begin(&j);
	jsonline_open(&j, '{');
	jsonline_pair(&j, "a", "b");
	jsonline_pair(&j, "none", NULL);
	jsonline_key(&j, "list");
	jsonline_open(&j, '[');
	jsonline_text(&j, NULL);
	jsonline_number(&j, 0);
	jsonline_number(&j, UINT64_MAX);
	jsonline_seconds(&j, 1795544248.5376714);
	jsonline_seconds(&j, -1);
	jsonline_seconds(&j, NAN);
	jsonline_seconds(&j, 0.0000004);
	jsonline_open(&j, '{');
	jsonline_close(&j, '}');
	jsonline_close(&j, ']');
	jsonline_pair_number(&j, "n", 7);
	jsonline_close(&j, '}');
	line = jsonline_end(&j, &len);
	assert_string_equal(line,
		"{\"a\":\"b\",\"list\":[null,0,18446744073709551615,1795544248.537671,"
		"0.000000,0.000000,0.000000,{}],\"n\":7}\n");
	assert_int_equal(len, strlen(line));
	o = cJSON_Parse(line);
	assert_non_null(o);
	cJSON_Delete(o);
	jsonline_fini(&j);
}

static void stays_valid_whatever_it_is_given(void **state)
{
	static const struct {
		const char *bytes, *shown;
	} row[] = {
		{"plain", "\"plain\"\n"},
		{"q\"b\\", "\"q\\\"b\\\\\"\n"},
		{"\n\r\t\b\x1b\x7f", "\"\\u000a\\u000d\\u0009\\u0008\\u001b\\u007f\"\n"},
		{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
			"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"\n"},
		{"\xff", "\"\xef\xbf\xbd\"\n"},
		{"\xc3", "\"\xef\xbf\xbd\"\n"}, /* broken off */
		{"\xc3(", "\"\xef\xbf\xbd(\"\n"},
		{"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\"\n"}, /* too long a form */
		{"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"\n"}, /* half a pair */
		{"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++)
		assert_string_equal(text_of(row[i].bytes, strlen(row[i].bytes)), row[i].shown);
	assert_string_equal(text_of("a\0b", 3), "\"a\\u0000b\"\n");
	/* Every pair of bytes. */
	for (unsigned n = 0; n < 65536; n++) {
		const char two[] = {(char)(n >> 8), (char)n};
		const char *line = text_of(two, 2);
		cJSON *o = cJSON_Parse(line);

		assert_non_null(o);
		cJSON_Delete(o);
		for (const char *at = line; *at;) {
			size_t k = utf8_length(at, strlen(at), NULL);

			assert_true(k > 0);
			assert_true((unsigned char)*at >= 0x20 || (*at == '\n' && !at[1]));
			at += k;
		}
	}
	jsonline_fini(&j);
}

static void escapes_for_a_terminal(void **state)
{
	char out[16];

	(void)state;
	assert_int_equal(utf8_escape(out, sizeof(out), "a\x1b[2J"), 8);
	assert_string_equal(out, "a\\x1b[2J");
	utf8_escape(out, sizeof(out), "\xe2\x80\xae"); /* turns the writing direction */
	assert_string_equal(out, "\\xe2\\x80\\xae");
	utf8_escape(out, sizeof(out), "\xc3\xa9\xff");
	assert_string_equal(out, "\xc3\xa9\\xff");
	assert_int_equal(utf8_escape(out, sizeof(out), "0123456789abcdef"), 15); /* cut */
	assert_int_equal(utf8_escape(out, 5, "abc\x01"), 3); /* no half escape */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_what_a_parser_reads),
		cmocka_unit_test(stays_valid_whatever_it_is_given),
		cmocka_unit_test(escapes_for_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
