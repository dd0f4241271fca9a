/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "core/addr.h"
#include "core/base.h"

static void reads_and_writes_addresses(void **state)
{
	static const struct {
		const char *text, *shown;
		int v, port;
	} row[] = {
		{"192.0.2.1", "192.0.2.1", 4, 0},
		{"0.0.0.0", "0.0.0.0", 4, 0},
		{"192.0.2.1:80", "192.0.2.1:80", 4, 80},
		{"255.255.255.255:65535", "255.255.255.255:65535", 4, 65535},
		{"::", "::", 6, 0},
		{"2001:DB8::1", "2001:db8::1", 6, 0},
		{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1", 6, 0},
		{"[2001:db8::1]", "2001:db8::1", 6, 0},
		{"[2001:db8::1]:80", "[2001:db8::1]:80", 6, 80},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.1", 6, 0},
		{"[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535",
			"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", 6, 65535},
	};
	char text[ADDR_TEXT_MAX];
	struct addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		assert_int_equal(addr_parse(&a, row[i].text), 0);
		assert_int_equal(a.v, row[i].v);
		assert_int_equal(a.port, row[i].port);
		assert_ptr_equal(addr_format(&a, true, text), text);
		assert_string_equal(text, row[i].shown);
	}
	/* The port is left out on request. */
	assert_string_equal(addr_format(&a, false, text),
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	memset(&a, 0, sizeof(a));
	assert_string_equal(addr_format(&a, true, text), "-");
}

static void refuses_what_has_two_readings(void **state)
{
	static const char *const row[] = {"", " ", "1", "127.1", "0x7f.0.0.1", "0177.0.0.1",
		"192.0.2.01", "192.0.2.256", "192.0.2.1.", "192.0.2.1 ", " 192.0.2.1",
		"192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:99999999999",
		"192.0.2.1:080", "192.0.2.1:+80", "192.0.2.1:-1", "192.0.2.1:80 ", "192.0.2.1:http",
		"[192.0.2.1]:80", "[192.0.2.1]", "fe80::1%eth0", "[fe80::1%1]:80", "[::1", "::1]",
		"[::1]80", "[::1]:", "[::1]:0", "[]", "[]:80", ":80", ":", "1::2::3",
		"12345::", "2001:db8:1:2:3:4:5:6:7", "localhost", "[[::1]]", "[::1]]:80",
		"1111111111111111111111111111111111111111111111111111111111111111"};
	struct addr a, zero;

	(void)state;
	memset(&zero, 0, sizeof(zero));
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		memset(&a, 0xff, sizeof(a));
		assert_int_equal(addr_parse(&a, row[i]), -EINVAL);
		assert_memory_equal(&a, &zero, sizeof(a));
	}
}

static void versions_and_ports_tell_addresses_apart(void **state)
{
	struct addr a, b;

	(void)state;
	addr_parse(&a, "1.2.3.4:5");
	addr_parse(&b, "1.2.3.4:5");
	assert_true(addr_equal(&a, &b));
	assert_memory_equal(&a, &b, sizeof(a));
	b.port = 6;
	assert_false(addr_equal(&a, &b));
	assert_true(addr_equal_ip(&a, &b));
	addr_parse(&b, "::ffff:1.2.3.4");
	assert_false(addr_equal_ip(&a, &b));
	addr_parse(&b, "102:304::"); /* the same sixteen bytes */
	assert_memory_equal(a.ip, b.ip, sizeof(a.ip));
	assert_false(addr_equal_ip(&a, &b));
}

static void goes_to_the_kernel_and_back(void **state)
{
	static const char *const row[] = {"192.0.2.1:80", "[2001:db8::1]:443", "0.0.0.0", "::"};
	struct sockaddr_storage ss;
	struct addr a, b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		assert_int_equal(addr_parse(&a, row[i]), 0);
		assert_int_equal(addr_to_sockaddr(&a, &ss),
			a.v == 4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
		memset(&b, 0xff, sizeof(b));
		assert_int_equal(addr_from_sockaddr(&b, &ss), 0);
		assert_memory_equal(&a, &b, sizeof(a));
	}
	memset(&ss, 0, sizeof(ss));
	ss.ss_family = AF_UNIX;
	assert_int_equal(addr_from_sockaddr(&b, &ss), -EAFNOSUPPORT);
	assert_int_equal(b.v, 0);
	assert_int_equal(addr_to_sockaddr(&b, &ss), 0);
	assert_int_equal(ss.ss_family, AF_UNSPEC);
}

static void a_network_has_its_addresses(void **state)
{
	static const struct {
		const char *net, *in, *out;
	} row[] = {
		{"10.0.0.0/8", "10.255.0.1", "11.0.0.0"},
		{"192.0.2.128/25", "192.0.2.128", "192.0.2.127"},
		{"192.0.2.1", "192.0.2.1", "192.0.2.0"},
		{"192.0.2.1/32", "192.0.2.1", "192.0.2.3"},
		{"192.0.2.2/31", "192.0.2.3", "192.0.2.4"},
		{"0.0.0.0/0", "255.255.255.255", "::"},
		{"::/0", "ffff::1", "0.0.0.0"},
		{"fe80::/10", "febf::1", "fec0::"},
		{"2001:db8::1", "2001:db8::1", "2001:db8::"},
		{"2001:db8::/127", "2001:db8::1", "2001:db8::2"},
		{"::ffff:0.0.0.0/96", "::ffff:1.2.3.4", "1.2.3.4"},
	};
	struct cidr c;
	struct addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		assert_int_equal(cidr_parse(&c, row[i].net), 0);
		addr_parse(&a, row[i].in);
		assert_true(cidr_has(&c, &a));
		a.port = 80;
		assert_true(cidr_has(&c, &a));
		addr_parse(&a, row[i].out);
		assert_false(cidr_has(&c, &a));
	}
}

static void refuses_bad_networks(void **state)
{
	static const char *const row[] = {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.1/8",
		"10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8 ", "10.0.0.0/8/8",
		"10.0.0.0:80/8", "10.0.0.0:80", "10/8", "::/129", "2001:db8::1/64", "[::]/0",
		"fe80::%1/10", "10.0.0.0/255.0.0.0", "::/4294967296"};
	struct cidr c;
	struct addr a;

	(void)state;
	addr_parse(&a, "10.0.0.1");
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		memset(&c, 0xff, sizeof(c));
		assert_int_equal(cidr_parse(&c, row[i]), -EINVAL);
		/* A failure that nobody looked at must not become a network of everything. */
		assert_false(cidr_has(&c, &a));
	}
	memset(&a, 0, sizeof(a));
	assert_false(cidr_has(&c, &a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes_addresses),
		cmocka_unit_test(refuses_what_has_two_readings),
		cmocka_unit_test(versions_and_ports_tell_addresses_apart),
		cmocka_unit_test(goes_to_the_kernel_and_back),
		cmocka_unit_test(a_network_has_its_addresses),
		cmocka_unit_test(refuses_bad_networks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
