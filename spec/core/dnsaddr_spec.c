/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/base.h"
#include "core/dnsaddr.h"
#include "core/dnsmake.h"
#include "spec/support/maker.h"

static uint8_t text[1024];
static struct dnsmsg asked;
static struct dnsmake k;

static const uint8_t *wire(const char *name)
{
	static uint8_t w[4][DNSMSG_WIRE_MAX];
	static unsigned turn;
	uint8_t *out = w[turn++ % ARRAY_LEN(w)];

	assert_true(dnsmsg_wire(name, out) > 0);
	return out;
}

static int setup(void **state)
{
	static struct maker question;

	UNUSED(state);
	begin(&question, "a.test", DNSMSG_TYPE_A);
	assert_int_equal(dnsmsg_parse(&asked, question.data, question.len), 0);
	k = (struct dnsmake){0};
	dnsmake_begin(&k, text, sizeof(text), &asked, DNSMSG_RCODE_NOERROR);
	return 0;
}

static void add4(unsigned section, const char *owner, uint8_t last)
{
	const uint8_t ip[] = {192, 0, 2, last};

	dnsmake_record(&k, section, wire(owner), DNSMSG_TYPE_A, last, ip, sizeof(ip));
}

static void note(void *arg, const struct addr *ip, uint32_t ttl)
{
	char one[ADDR_TEXT_MAX];
	size_t n = strlen(arg);

	snprintf((char *)arg + n, 256 - n, "%s/%u ", addr_format(ip, true, one), (unsigned)ttl);
}

static void check(const char *found, size_t count)
{
	char list[256] = "";
	struct dnsmsg m;

	assert_int_equal(dnsmsg_parse(&m, text, dnsmake_end(&k, &asked)), 0);
	dnsaddr_each(&m, note, list);
	assert_string_equal(list, found);
	assert_int_equal(dnsaddr_count(&m), count);
}

static void those_of_the_name_count(void **state)
{
	static const uint8_t six[16] = {0x20, 1, 0xd, 0xb8, [15] = 9}, three[3];

	UNUSED(state);
	add4(1, "A.TEST", 1);
	add4(1, "b.test", 2);
	dnsmake_record(&k, 1, asked.name, DNSMSG_TYPE_AAAA, 7, six, sizeof(six));
	dnsmake_record(&k, 1, asked.name, DNSMSG_TYPE_A, 7, three, sizeof(three));
	add4(3, "a.test", 3); /* not in the answer's section */
	check("192.0.2.1/1 2001:db8::9/7 ", 2);
}

static void aliases_are_followed(void **state)
{
	UNUSED(state);
	add4(1, "c.test", 3);
	dnsmake_cname(&k, 1, wire("b.test"), 5, wire("C.test"));
	dnsmake_cname(&k, 1, asked.name, 5, wire("b.test"));
	add4(1, "d.test", 4);
	check("192.0.2.3/3 ", 1);
}

static void a_loop_ends(void **state)
{
	UNUSED(state);
	dnsmake_cname(&k, 1, asked.name, 5, wire("b.test"));
	dnsmake_cname(&k, 1, wire("b.test"), 5, asked.name);
	check("", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(those_of_the_name_count, setup),
		cmocka_unit_test_setup(aliases_are_followed, setup),
		cmocka_unit_test_setup(a_loop_ends, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
