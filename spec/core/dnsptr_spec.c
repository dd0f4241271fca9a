/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/base.h"
#include "core/dnsmsg.h"
#include "core/dnsptr.h"

#define NIBBLES "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"

static bool reads(const char *name, struct addr *a)
{
	uint8_t wire[DNSMSG_WIRE_MAX];

	assert_true(dnsmsg_wire(name, wire) > 0);
	return dnsptr_read(wire, a);
}

static void reads_addresses(void **state)
{
	static const char *const cases[][2] = {
		{"1.0.18.198.in-addr.arpa", "198.18.0.1"},
		{"255.2.0.192.IN-ADDR.ARPA", "192.0.2.255"},
		{"1." NIBBLES ".ip6.arpa", "2001:db8::1"},
		{"F." NIBBLES ".ip6.arpa", "2001:db8::f"},
	};
	char text[ADDR_TEXT_MAX];
	struct addr a;

	UNUSED(state);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_true(reads(cases[i][0], &a));
		assert_string_equal(addr_format(&a, true, text), cases[i][1]);
	}
}

static void reads_nothing_else(void **state)
{
	static const char *const cases[] = {".", "in-addr.arpa", "18.198.in-addr.arpa",
		"1.1.0.18.198.in-addr.arpa", "256.0.18.198.in-addr.arpa",
		"01.0.18.198.in-addr.arpa", "1000.0.18.198.in-addr.arpa",
		"-1.0.18.198.in-addr.arpa", "1.0.18.198.in-addr.arpa.test", "1.0.18.198.test",
		"1.0.18.198.ip6.arpa", NIBBLES ".ip6.arpa", "g." NIBBLES ".ip6.arpa",
		"10." NIBBLES ".ip6.arpa", "1.1." NIBBLES ".ip6.arpa", "1." NIBBLES ".in-addr.arpa",
		"1\\.0.18.198.in-addr.arpa"};
	struct addr a;

	UNUSED(state);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_false(reads(cases[i], &a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_addresses),
		cmocka_unit_test(reads_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
