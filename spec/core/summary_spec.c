/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sample.h"

#include "core/summary.h"

static struct policy policy;
static struct summary summary;

static int setup(void **state)
{
	(void)state;
	policy = (struct policy){0};
	summary_init(&summary, &policy);
	assert_non_null(policy.observers);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	summary_fini(&summary);
	summary_fini(&summary); /* once more does no harm */
	assert_null(policy.observers);
	return 0;
}

static char *written(void)
{
	static char *text;
	static size_t len;
	FILE *f = open_memstream(&text, &len);

	summary_write(&summary, f);
	fclose(f);
	return text;
}

static void says(const char *what)
{
	char *text = written();

	if (!strstr(text, what))
		print_error("not in the summary: %s\n%s\n", what, text);
	assert_non_null(strstr(text, what));
	free(text);
}

static void is_empty_at_first(void **state)
{
	(void)state;
	says("  all together                                 -                     0        0    "
	     "    0\n");
}

static void adds_up_by_destination_and_process(void **state)
{
	struct process curl = sample_process("curl"), wget = sample_process("wget");
	struct flow f = sample_flow(IPPROTO_TCP, "203.0.113.9:443");

	(void)state;
	f.host = (char *)"example.com";
	f.process = &curl;
	observe_ended(policy.observers, &f);
	observe_ended(policy.observers, &f);
	f.process = &wget;
	observe_ended(policy.observers, &f);
	f = sample_flow(IPPROTO_UDP, "203.0.113.9:53");
	observe_ended(policy.observers, &f);
	f = sample_flow(IPPROTO_ICMP, "203.0.113.9");
	observe_ended(policy.observers, &f);
	says("  tcp example.com:443                          curl                  2     1.0k    "
	     "68.2k\n");
	says("  tcp example.com:443                          wget                  1      517    "
	     "34.1k\n");
	says("  udp 203.0.113.9:53                           -                     1      517    "
	     "34.1k\n");
	says("  icmp 203.0.113.9                             -                     1      517    "
	     "34.1k\n");
	says("  all together                                 -                     5     2.6k   "
	     "170.5k\n");
}

static void tells_denials_with_their_rule_and_failures(void **state)
{
	struct flow f = sample_flow(IPPROTO_TCP, "203.0.113.9:25");

	(void)state;
	f.decision.verdict = VERDICT_DENY;
	f.decision.rule = (char *)"rules.lua:12";
	observe_ended(policy.observers, &f);
	f.decision.verdict = VERDICT_ALLOW; /* --dry-run */
	f.decision.would = VERDICT_DROP;
	f.decision.rule = (char *)"rules.lua:13";
	observe_ended(policy.observers, &f);
	f.decision.would = VERDICT_NONE;
	f.decision.verdict = VERDICT_DROP;
	f.decision.rule = (char *)"rules.lua:14";
	observe_ended(policy.observers, &f);
	says("  1 denied  1 dropped  1 would be denied by rules.lua:14\n");
	f = sample_flow(IPPROTO_TCP, "203.0.113.9:26");
	f.cause = FLOW_CAUSE_DIAL_FAILED;
	observe_ended(policy.observers, &f);
	says("1 failed\n");
}

static void shows_the_slowest_dials(void **state)
{
	char where[32], *text, *last = NULL;

	(void)state;
	for (int i = 1; i <= 2 * SUMMARY_SLOWEST; i++) {
		struct flow f;

		snprintf(where, sizeof(where), "203.0.113.%d:80", i * 7 % 11); /* 1 to 10, mixed */
		f = sample_flow(IPPROTO_TCP, where);
		f.times.opened = f.times.dialing + i * 7 % 11;
		observe_ended(policy.observers, &f);
	}
	text = written();
	last = strstr(text, "slowest to connect:");
	for (int i = 10; i > 10 - SUMMARY_SLOWEST; i--) {
		char *at;

		assert_non_null(last);
		snprintf(where, sizeof(where), "to tcp 203.0.113.%d:80\n", i);
		at = strstr(last, where);
		assert_non_null(at);
		last = at;
	}
	assert_null(strstr(last + 1, "to tcp 203.0.113.5:80"));
	free(text);
}

static void tells_of_connects_that_took_long_to_fail(void **state)
{
	struct flow f = sample_flow(IPPROTO_TCP, "203.0.113.9:80");

	(void)state;
	f.cause = FLOW_CAUSE_DIAL_FAILED;
	f.times.opened = 0;
	f.times.ended = f.times.dialing + 127;
	observe_ended(policy.observers, &f);
	f.times.dialing = 0; /* a script failed before */
	observe_ended(policy.observers, &f);
	says("slowest to connect:\n     2m07s to tcp 203.0.113.9:80, failed\n");
}

/* Who was denied moved nothing, and is not to get lost among many who did. */
static void shows_denials_behind_the_busiest(void **state)
{
	struct flow f = sample_flow(IPPROTO_TCP, "203.0.113.9:80");
	char host[32], *text;

	(void)state;
	f.host = host;
	for (int i = 0; i < 100; i++) {
		snprintf(host, sizeof(host), "h%d.example", i);
		observe_ended(policy.observers, &f);
	}
	f.decision.verdict = VERDICT_DENY;
	f.decision.rule = (char *)"rules.lua:12";
	f.bytes_up = f.bytes_down = 0;
	for (int i = 0; i < 100; i++) {
		snprintf(host, sizeof(host), "evil%d.example", i);
		observe_ended(policy.observers, &f);
	}
	text = written();
	assert_non_null(strstr(text, "\n  tcp evil0.example:80 "));
	assert_non_null(strstr(text, "  1 denied by rules.lua:12\n"));
	assert_null(strstr(text, "evil99.example")); /* there is an end to it */
	assert_non_null(strstr(text, "  others  "));
	assert_non_null(strstr(text, "  70 denied\n"));
	assert_non_null(strstr(text, "  100 denied\n"));
	free(text);
}

static void counts_questions_and_refusals(void **state)
{
	const struct dnsquery allowed = {.decision = {.verdict = VERDICT_ALLOW}};
	const struct dnsquery denied = {.decision = {.verdict = VERDICT_DENY}};
	const struct dnsquery would = {
		.decision = {.verdict = VERDICT_ALLOW, .would = VERDICT_DENY}};
	const struct flow_key key = {.proto = IPPROTO_TCP};

	(void)state;
	observe_question(policy.observers, &allowed, NULL, 0);
	observe_question(policy.observers, &denied, NULL, 0);
	observe_refused(policy.observers, &key, "too many connections");
	says("2 questions for names, 1 of them denied\n");
	observe_question(policy.observers, &would, NULL, 0);
	says("3 questions for names, 1 of them denied, 1 would be\n");
	says("1 refused for want of room or by protocol\n");
}

static void is_bounded_and_cannot_be_steered(void **state)
{
	struct process evil = sample_process("\033[31m\n\xff");
	struct flow f = sample_flow(IPPROTO_TCP, "203.0.113.9:443");
	char host[32], *text;

	(void)state;
	f.process = &evil;
	for (int i = 0; i < SUMMARY_ROWS + 100; i++) {
		snprintf(host, sizeof(host), "h%d.example", i);
		f.host = host;
		f.bytes_up = i == 0 ? 1000000 : 1;
		observe_ended(policy.observers, &f);
	}
	assert_int_equal(summary.count, SUMMARY_ROWS);
	text = written();
	assert_non_null(strstr(text, "\\x1b[31m\\x0a\\xff"));
	assert_null(strchr(text, '\033'));
	assert_non_null(strstr(text, "others "));
	assert_non_null(strstr(text, " 4196     1.0M   143.1M\n")); /* none is missing */
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(is_empty_at_first, setup, teardown),
		cmocka_unit_test_setup_teardown(adds_up_by_destination_and_process, setup,
			teardown),
		cmocka_unit_test_setup_teardown(tells_denials_with_their_rule_and_failures, setup,
			teardown),
		cmocka_unit_test_setup_teardown(shows_the_slowest_dials, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_of_connects_that_took_long_to_fail, setup,
			teardown),
		cmocka_unit_test_setup_teardown(shows_denials_behind_the_busiest, setup, teardown),
		cmocka_unit_test_setup_teardown(counts_questions_and_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(is_bounded_and_cannot_be_steered, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
