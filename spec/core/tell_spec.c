/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sample.h"

#include "core/tell.h"

static void has_a_word_for_each_verdict(void **state)
{
	(void)state;
	assert_string_equal(tell_verdict(VERDICT_ALLOW), "allow");
	assert_string_equal(tell_verdict(VERDICT_DENY), "deny");
	assert_string_equal(tell_verdict(VERDICT_DROP), "drop");
	assert_string_equal(tell_verdict(VERDICT_REDIRECT), "redirect");
	assert_string_equal(tell_verdict(VERDICT_VIA), "via");
	assert_null(tell_verdict(VERDICT_NONE));
	assert_null(tell_verdict(VERDICT_PENDING));
}

static void has_ports_where_there_are_any(void **state)
{
	struct addr a = sample_addr("[2001:db8::9]:443");
	char text[ADDR_TEXT_MAX], network[16];

	(void)state;
	assert_string_equal(tell_addr(&a, IPPROTO_TCP, text), "[2001:db8::9]:443");
	assert_string_equal(tell_addr(&a, IPPROTO_ICMP, text), "2001:db8::9");
	assert_string_equal(tell_network(IPPROTO_TCP, network), "tcp");
	assert_string_equal(tell_network(IPPROTO_UDP, network), "udp");
	assert_string_equal(tell_network(IPPROTO_ICMP, network), "icmp");
	assert_string_equal(tell_network(132, network), "ip 132");
}

static void tells_a_target_that_is_another(void **state)
{
	struct flow f = sample_flow(IPPROTO_TCP, "203.0.113.9:443");

	(void)state;
	assert_null(tell_target(&f));
	f.decision.target = sample_addr("203.0.113.9:444");
	assert_ptr_equal(tell_target(&f), &f.decision.target);
	f.decision.verdict = VERDICT_DENY; /* it went nowhere */
	assert_null(tell_target(&f));
	f = sample_flow(IPPROTO_ICMP, "203.0.113.9");
	f.decision.target.port = 8;
	assert_null(tell_target(&f));
	memset(&f.decision.target, 0, sizeof(f.decision.target));
	assert_null(tell_target(&f));
}

static void tells_a_failure_in_the_dialers_words(void **state)
{
	struct flow f = sample_flow(IPPROTO_TCP, "203.0.113.9:443");

	(void)state;
	assert_null(tell_error(&f));
	f.error = ECONNREFUSED;
	assert_string_equal(tell_error(&f), "Connection refused");
	f.why = (char *)"the proxy says no";
	assert_string_equal(tell_error(&f), "the proxy says no");
	assert_string_equal(tell_dial_error(&f), "the proxy says no");
}

static void tells_why_a_script_ended_it(void **state)
{
	struct flow f = sample_flow(IPPROTO_TCP, "203.0.113.9:443");

	(void)state;
	f.cause = FLOW_CAUSE_CLOSED;
	assert_string_equal(tell_end(&f), "closed");
	f.cause = FLOW_CAUSE_ABORTED;
	assert_string_equal(tell_end(&f), "aborted");
	f.why = (char *)"enough";
	assert_string_equal(tell_end(&f), "enough");
	assert_string_equal(tell_error(&f), "enough");
	assert_null(tell_dial_error(&f));
}

static void is_short_about_sizes(void **state)
{
	static const struct {
		uint64_t n;
		const char *text;
	} row[] = {
		{0, "0"},
		{999, "999"},
		{1000, "1.0k"},
		{34121, "34.1k"},
		{999949, "999.9k"},
		{999950, "1.0M"},
		{1234567890, "1.2G"},
		{UINT64_MAX, "18.4E"},
	};
	char text[TELL_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		assert_string_equal(tell_size(row[i].n, text), row[i].text);
}

static void is_short_about_times(void **state)
{
	static const struct {
		double s;
		const char *text;
	} row[] = {
		{-1, "0.0 ms"},
		{0.0004, "0.4 ms"},
		{0.051, "51 ms"},
		{1.234, "1.23 s"},
		{59.994, "59.99 s"},
		{125, "2m05s"},
		{2e6, "23 d"},
		{1e300, "0 d"},
	};
	char text[TELL_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		assert_string_equal(tell_span(row[i].s, text), row[i].text);
}

/* A response with a name's A and AAAA, and what breaks off in it. */
static void finds_addresses_in_an_answer(void **state)
{
	static const uint8_t msg[] = {0, 1, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0, /* header */
		1, 'a', 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0,
		4, 203, 0, 113, 9, /* A */
		0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 60, 0, 16, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 9};
	struct addr a[4];
	char text[ADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(tell_answers(msg, sizeof(msg), a, 4), 2);
	assert_string_equal(addr_format(&a[0], false, text), "203.0.113.9");
	assert_string_equal(addr_format(&a[1], false, text), "2001:db8::9");
	assert_int_equal(tell_answers(msg, sizeof(msg), a, 1), 1);
	assert_int_equal(tell_answers(msg, sizeof(msg) - 1, a, 4), 1);
	assert_int_equal(tell_answers(msg, 11, a, 4), 0);
	assert_int_equal(tell_answers(msg, 0, a, 4), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_a_word_for_each_verdict),
		cmocka_unit_test(has_ports_where_there_are_any),
		cmocka_unit_test(tells_a_target_that_is_another),
		cmocka_unit_test(tells_a_failure_in_the_dialers_words),
		cmocka_unit_test(tells_why_a_script_ended_it),
		cmocka_unit_test(is_short_about_sizes),
		cmocka_unit_test(is_short_about_times),
		cmocka_unit_test(finds_addresses_in_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
