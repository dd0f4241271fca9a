/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "core/base.h"
#include "core/dname.h"

#define A10 "aaaaaaaaaa"
#define A63 A10 A10 A10 A10 A10 A10 "aaa"
#define A61 A10 A10 A10 A10 A10 A10 "a"

static int normalise(char *out, const char *text)
{
	return dname_normalise(out, text, strlen(text));
}

static void a_name_has_one_form(void **state)
{
	static const struct {
		const char *text, *form;
	} cases[] = {
		{"example.com", "example.com"},
		{"EXAMPLE.Com", "example.com"},
		{"example.com.", "example.com"},
		{"localhost", "localhost"},
		{"a", "a"},
		{"_dns.resolver.arpa", "_dns.resolver.arpa"},
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
		{"r3---sn-4g5e6nz7.example", "r3---sn-4g5e6nz7.example"},
		{"-leading.example", "-leading.example"},
		{"3com.example", "3com.example"},
		{"1.2.3.4.in-addr.arpa", "1.2.3.4.in-addr.arpa"},
		{"0x7f.example", "0x7f.example"},
		{"1.0xg", "1.0xg"},
		{A63 ".example", A63 ".example"},
		{A63 "." A63 "." A63 "." A61, A63 "." A63 "." A63 "." A61},
		{A63 "." A63 "." A63 "." A61 ".", A63 "." A63 "." A63 "." A61},
	};
	char out[DNAME_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(normalise(out, cases[i].text), strlen(cases[i].form));
		assert_string_equal(out, cases[i].form);
	}
}

/* Fifty spellings that somebody could read as github.com, or as something else than we do. */
static const struct {
	const char *text;
	size_t n; /* 0: up to its NUL */
	int error;
} hostile[] = {
	{"", 0, -EINVAL},
	{".", 0, -EINVAL},
	{"..", 0, -EINVAL},
	{".github.com", 0, -EINVAL},
	{"github..com", 0, -EINVAL},
	{"github.com..", 0, -EINVAL},
	{"evil.example\0.github.com", 24, -EINVAL},
	{"github.com\0.evil.example", 24, -EINVAL},
	{"github.com\0", 11, -EINVAL},
	{"\0github.com", 11, -EINVAL},
	{" github.com", 0, -EINVAL},
	{"github.com ", 0, -EINVAL},
	{"evil.example github.com", 0, -EINVAL},
	{"github.com\t", 0, -EINVAL},
	{"github.com\r", 0, -EINVAL},
	{"github.com\n", 0, -EINVAL},
	{"github.com\r\nHost: evil.example", 0, -EINVAL},
	{"evil.example/.github.com", 0, -EINVAL},
	{"evil.example/github.com", 0, -EINVAL},
	{"evil.example\\.github.com", 0, -EINVAL},
	{"evil.example#.github.com", 0, -EINVAL},
	{"evil.example?.github.com", 0, -EINVAL},
	{"evil.example@github.com", 0, -EINVAL},
	{"github.com@evil.example", 0, -EINVAL},
	{"github.com:443", 0, -EINVAL},
	{"github.com:evil.example", 0, -EINVAL},
	{"[github.com]", 0, -EINVAL},
	{"github.com]", 0, -EINVAL},
	{"*.github.com", 0, -EINVAL},
	{"github.*", 0, -EINVAL},
	{"github.com,evil.example", 0, -EINVAL},
	{"github.com;evil.example", 0, -EINVAL},
	{"github%2ecom", 0, -EINVAL},
	{"github.com%00.evil.example", 0, -EINVAL},
	{"github\\046com", 0, -EINVAL},
	{"g\xc3\xaethub.com", 0, -EINVAL},
	{"github\xe3\x80\x82"
	 "com",
		0, -EINVAL},                   /* an ideographic full stop */
	{"g\xd1\x96thub.com", 0, -EINVAL},     /* a Cyrillic i */
	{"\xef\xbd\x87ithub.com", 0, -EINVAL}, /* a full-width g */
	{"git\xc2\xadhub.com", 0, -EINVAL},    /* a soft hyphen */
	{"github.com\x7f", 0, -EINVAL},
	{"github.com\x80", 0, -EINVAL},
	{"\xff", 0, -EINVAL},
	{"'github.com'", 0, -EINVAL},
	{"\"github.com\"", 0, -EINVAL},
	{"github.com|evil.example", 0, -EINVAL},
	{"http://github.com", 0, -EINVAL},
	{A63 "a.com", 0, -EINVAL},
	{A63 "." A63 "." A63 "." A63, 0, -EINVAL},
	{A63 "." A63 "." A63 "." A61 "a", 0, -EINVAL},
	{"127.0.0.1", 0, -EDOM},
	{"127.0.0.1.", 0, -EDOM},
	{"127.1", 0, -EDOM},
	{"2130706433", 0, -EDOM},
	{"0x7f000001", 0, -EDOM},
	{"0X7F.1", 0, -EDOM},
	{"0x", 0, -EDOM},
	{"017700000001", 0, -EDOM},
	{"1.2.3.4.5", 0, -EDOM},
	{"github.com.1", 0, -EDOM},
	{"github.com.0x1", 0, -EDOM},
	{"::1", 0, -EDOM},
	{"[::1]", 0, -EDOM},
	{"[::1]:443", 0, -EDOM},
	{"::ffff:127.0.0.1", 0, -EDOM},
	{"FE80::1%eth0", 0, -EDOM},
	{"[::FFFF:7f00:1]", 0, -EDOM},
};

static void what_is_no_name_is_none(void **state)
{
	(void)state;
	assert_true(ARRAY_LEN(hostile) >= 50);
	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		const size_t n = hostile[i].n ? hostile[i].n : strlen(hostile[i].text);
		char out[DNAME_MAX] = "untouched";

		if (dname_normalise(out, hostile[i].text, n) != hostile[i].error)
			fail_msg("%s", hostile[i].text);
		assert_string_equal(out, "untouched");
	}
}

static void every_byte_is_a_letter_or_refused(void **state)
{
	char out[DNAME_MAX], text[] = "a?b.example";

	(void)state;
	for (int c = 0; c < 256; c++) {
		bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';

		text[1] = (char)c;
		assert_int_equal(dname_normalise(out, text, sizeof(text) - 1),
			good ? (int)sizeof(text) - 1 : -EINVAL);
	}
}

static void a_pattern_says_which_names_it_means(void **state)
{
	static const struct {
		const char *pattern, *name;
		bool match;
	} cases[] = {
		{"example.com", "example.com", true},
		{"Example.COM.", "example.com", true},
		{"example.com", "a.example.com", false},
		{"example.com", "badexample.com", false},
		{"example.com", "example.com.evil", false},
		{"example.com", "com", false},
		{".example.com", "example.com", true},
		{".example.com", "a.example.com", true},
		{".example.com", "a.b.example.com", true},
		{".example.com", "badexample.com", false},
		{"*.example.com", "example.com", false},
		{"*.example.com", "a.example.com", true},
		{"*.example.com", "a.b.example.com", true},
		{"*.example.com", "badexample.com", false},
		{"*.com", "example.com", true},
		{".com", "com", true},
	};
	char name[DNAME_MAX];
	enum dname_kind kind;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_true(
			dname_pattern(name, &kind, cases[i].pattern, strlen(cases[i].pattern)) > 0);
		assert_int_equal(dname_match(name, kind, cases[i].name), cases[i].match);
	}
}

static void what_is_no_pattern_is_none(void **state)
{
	static const char *const bad[] = {"", ".", "*", "*.", "..", "*.*.a", "a.*", "a*.b", "**.a",
		"*a.b", "..a", ".*.a", "*..a", ". a", ".b\xc3\xbc.example"};
	static const char *const address[] = {"10.0.0.1", ".10.0.0.1", "*.10.0.0.1", "::1"};
	char name[DNAME_MAX];
	enum dname_kind kind;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(dname_pattern(name, &kind, bad[i], strlen(bad[i])), -EINVAL);
	for (size_t i = 0; i < ARRAY_LEN(address); i++)
		assert_int_equal(dname_pattern(name, &kind, address[i], strlen(address[i])), -EDOM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_has_one_form),
		cmocka_unit_test(what_is_no_name_is_none),
		cmocka_unit_test(every_byte_is_a_letter_or_refused),
		cmocka_unit_test(a_pattern_says_which_names_it_means),
		cmocka_unit_test(what_is_no_pattern_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
