/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>

#include "core/base.h"
#include "core/sidedoor.h"

static void destinations_are_told_apart(void **state)
{
	static const struct {
		uint32_t proto;
		const char *dst;
		enum sidedoor door;
	} row[] = {
		{IPPROTO_UDP, "203.0.113.1:53", SIDEDOOR_DNS},
		{IPPROTO_TCP, "203.0.113.1:53", SIDEDOOR_DNS},
		{IPPROTO_TCP, "[2001:db8::1]:853", SIDEDOOR_DNS},
		{IPPROTO_UDP, "[2001:db8::1]:853", SIDEDOOR_DNS},
		{IPPROTO_UDP, "203.0.113.1:5353", SIDEDOOR_DNS},
		{IPPROTO_UDP, "203.0.113.1:5355", SIDEDOOR_DNS},
		{IPPROTO_TCP, "203.0.113.1:443", SIDEDOOR_NONE},
		{IPPROTO_UDP, "203.0.113.1:443", SIDEDOOR_QUIC},
		{IPPROTO_UDP, "203.0.113.1:123", SIDEDOOR_NONE},
		{IPPROTO_TCP, "8.8.8.8:443", SIDEDOOR_DOH},
		{IPPROTO_UDP, "8.8.8.8:443", SIDEDOOR_DOH},
		{IPPROTO_TCP, "8.8.8.8:80", SIDEDOOR_NONE},
		{IPPROTO_TCP, "[::ffff:1.1.1.1]:443", SIDEDOOR_DOH},
		{IPPROTO_TCP, "[64:ff9b::101:101]:443", SIDEDOOR_DOH},
		{IPPROTO_TCP, "[2606:4700:4700::1111]:443", SIDEDOOR_DOH},
		{IPPROTO_TCP, "[2001:4860:4860::8844]:443", SIDEDOOR_DOH},
		{IPPROTO_TCP, "[2620:fe::fe]:443", SIDEDOOR_DOH},
		{IPPROTO_TCP, "[2620:119:35::35]:443", SIDEDOOR_DOH},
		{IPPROTO_TCP, "[2a10:50c0::ad1:ff]:443", SIDEDOOR_DOH},
		{IPPROTO_TCP, "[2001:db8::1]:443", SIDEDOOR_NONE},
		{IPPROTO_ICMP, "8.8.8.8:53", SIDEDOOR_NONE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct addr a;
		assert_int_equal(addr_parse(&a, row[i].dst), 0);
		if (sidedoor_of(row[i].proto, &a) != row[i].door)
			fail_msg("%s is %d", row[i].dst, sidedoor_of(row[i].proto, &a));
		assert_non_null(sidedoor_text(row[i].door));
	}
}

static void names_are_known_with_what_is_below(void **state)
{
	(void)state;
	assert_int_equal(sidedoor_name("dns.google"), SIDEDOOR_NAME_SERVER);
	assert_int_equal(sidedoor_name("mozilla.cloudflare-dns.com"), SIDEDOOR_NAME_SERVER);
	assert_int_equal(sidedoor_name("abc123.dns.nextdns.io"), SIDEDOOR_NAME_SERVER);
	assert_int_equal(sidedoor_name("use-application-dns.net"), SIDEDOOR_NAME_SIGNAL);
	assert_int_equal(sidedoor_name("_dns.resolver.arpa"), SIDEDOOR_NAME_SIGNAL);
	assert_int_equal(sidedoor_name("google.com"), SIDEDOOR_NAME_NONE);
	assert_int_equal(sidedoor_name("xdns.google"), SIDEDOOR_NAME_NONE);
	assert_int_equal(sidedoor_name("in-addr.arpa"), SIDEDOOR_NAME_NONE);
	assert_int_equal(sidedoor_name("google"), SIDEDOOR_NAME_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(destinations_are_told_apart),
		cmocka_unit_test(names_are_known_with_what_is_below),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
