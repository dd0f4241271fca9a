/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/base.h"
#include "core/inside.h"

static void only_networks_with_room_are_taken(void **state)
{
	static const struct {
		const char *text;
		unsigned version;
		bool good;
	} cases[] = {
		{INSIDE_NET4, 4, true},
		{INSIDE_NET6, 6, true},
		{"10.0.0.1/8", 4, true},
		{"10.0.0.1/24", 4, true},
		{"10.0.0.1/7", 4, false},
		{"10.0.0.1/25", 4, false},
		{"fd00::1/8", 6, true},
		{"fd00::1/120", 6, true},
		{"fd00::1/121", 6, false},
		{"fd00::1/64", 4, false},
		{"10.0.0.1/24", 6, false},
		{"10.0.0.1", 4, false},
		{"10.0.0.1/", 4, false},
		{"10.0.0.1/x", 4, false},
		{"10.0.0.1/24x", 4, false},
		{"10.0.0.1/-8", 4, false},
		{"10.0.0.1/99999999999999999999", 4, false},
		{"10.0.0.1:80/24", 4, false},
		{"10.0.0/24", 4, false},
		{"/24", 4, false},
		{"", 4, false},
		{"0000000000000000000000000000000000000000000000000000000010.0.0.1/24", 4, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (inside_is_network(cases[i].text, cases[i].version) != cases[i].good)
			fail_msg("%s as IPv%u", cases[i].text, cases[i].version);
	}
}

static void check(const char *text, const char *address, const char *network, unsigned host,
	const char *self)
{
	const struct addr own = inside_address(text);
	const struct cidr net = inside_network(text);
	const struct addr other = inside_self(&net, host);
	char one[ADDR_TEXT_MAX];

	assert_string_equal(addr_format(&own, false, one), address);
	assert_string_equal(addr_format(&net.net, false, one), network);
	assert_string_equal(addr_format(&other, false, one), self);
	assert_true(cidr_has(&net, &own));
	assert_true(cidr_has(&net, &other));
}

static void addresses_are_taken_from_the_network(void **state)
{
	(void)state;
	check("10.0.0.1/24", "10.0.0.1", "10.0.0.0", INSIDE_DNS4, "10.0.0.53");
	check("10.20.30.40/9", "10.20.30.40", "10.0.0.0", INSIDE_HOST4, "10.0.0.100");
	check("172.16.255.9/20", "172.16.255.9", "172.16.240.0", INSIDE_DNS4, "172.16.240.53");
	check(INSIDE_NET6, "fd6e:736e:6574::1", "fd6e:736e:6574::", INSIDE_DNS6,
		"fd6e:736e:6574::53");
	check("fd00:ffff::ffff/9", "fd00:ffff::ffff", "fd00::", INSIDE_HOST6, "fd00::100");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_networks_with_room_are_taken),
		cmocka_unit_test(addresses_are_taken_from_the_network),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
