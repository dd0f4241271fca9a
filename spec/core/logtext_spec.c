/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sample.h"

#include <time.h>

#include "core/logtext.h"

static struct policy policy;
static struct logtext text;
static char path[32];

static int setup(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	sample_path(path);
	policy = (struct policy){.loop = ev_default_loop(0)};
	assert_int_equal(logtext_open(&text, &policy, path, false), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	logtext_close(&text);
	logtext_close(&text);
	assert_null(policy.observers);
	unlink(path);
	return 0;
}

/* All of it is @lines. */
static void says(const char *lines)
{
	char *got;

	logtext_close(&text);
	got = sample_text(path);
	assert_string_equal(got, lines);
	free(got);
}

static void has_a_line_for_each(void **state)
{
	struct process curl = sample_process("curl");
	struct flow f = sample_flow(IPPROTO_TCP, "203.0.113.9:443");

	(void)state;
	f.host = (char *)"example.com";
	f.process = &curl;
	f.decision.rule = (char *)"rules.lua:12";
	observe_decided(policy.observers, &f); /* only its end is asked for */
	observe_ended(policy.observers, &f);
	says("00:00:01.500 curl[4712]           tcp  example.com 203.0.113.9:443                  "
	     "allow by rules.lua:12       517 up  34.1k down 2.00 s  closed\n");
}

static void has_the_start_if_asked(void **state)
{
	struct flow f = sample_flow(IPPROTO_UDP, "[2001:db8::9]:443");

	(void)state;
	logtext_close(&text);
	assert_int_equal(logtext_open(&text, &policy, path, true), 0);
	observe_decided(policy.observers, &f);
	f.decision.verdict = VERDICT_DENY; /* its end comes at once */
	observe_decided(policy.observers, &f);
	says("00:00:01.500 -                    udp  [2001:db8::9]:443                            "
	     "allow                    begins\n");
}

static void tells_denials_without_figures(void **state)
{
	struct flow f = sample_flow(IPPROTO_TCP, "203.0.113.9:25");

	(void)state;
	f.cause = FLOW_CAUSE_DENIED;
	f.decision.verdict = VERDICT_DENY;
	f.decision.rule = (char *)"rules.lua:3";
	f.decision.reason = (char *)"no mail";
	f.times.opened = 0;
	observe_ended(policy.observers, &f);
	says("00:00:01.500 -                    tcp  203.0.113.9:25                               "
	     "deny by rules.lua:3: no mail\n");
}

static void tells_a_dry_run_and_a_failed_dial(void **state)
{
	struct flow f = sample_flow(IPPROTO_TCP, "203.0.113.9:25");

	(void)state;
	f.cause = FLOW_CAUSE_DIAL_FAILED;
	f.error = ECONNREFUSED;
	f.decision.would = VERDICT_DROP;
	f.decision.target = sample_addr("203.0.113.8:26");
	f.times.opened = 0;
	observe_ended(policy.observers, &f);
	says("00:00:01.500 -                    tcp  203.0.113.9:25 -> 203.0.113.8:26             "
	     "allow (would drop)       2.00 s  dial failed Connection refused\n");
}

static void has_questions_and_refusals(void **state)
{
	static const uint8_t nxdomain[12] = {0, 1, 0x81, 0x83};
	struct dnsquery q = {.asked_at = 1.5,
		.took = 0.051,
		.decision = {.verdict = VERDICT_ALLOW}};
	const struct flow_key key = {.dst = sample_addr("203.0.113.9"), .proto = 132};
	char *got;

	(void)state;
	strcpy(q.name, "no.example");
	q.m.type = DNSMSG_TYPE_AAAA;
	observe_question(policy.observers, &q, nxdomain, sizeof(nxdomain));
	observe_question(policy.observers, &q, NULL, 0);
	observe_refused(policy.observers, &key, "protocol is not carried");
	logtext_close(&text);
	got = sample_text(path);
	assert_non_null(strstr(got, " dns  no.example AAAA "));
	assert_non_null(strstr(got, "allow                    51 ms   NXDOMAIN\n"));
	assert_non_null(strstr(got, "allow                    51 ms   no answer\n"));
	assert_non_null(strstr(got, " refused: protocol is not carried\n"));
	free(got);
}

static void cannot_be_steered(void **state)
{
	struct process evil = sample_process("\033[2J\nx\xff");
	struct flow f = sample_flow(IPPROTO_TCP, "203.0.113.9:443");
	char host[2000], *got;

	(void)state;
	memset(host, '\n', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	f.process = &evil;
	f.host = host;
	f.decision.reason = host;
	f.decision.rule = host;
	observe_ended(policy.observers, &f);
	logtext_close(&text);
	got = sample_text(path);
	assert_non_null(strstr(got, "\\x1b[2J\\x0ax\\xff[4712]"));
	for (const char *c = got; *c; c++)
		assert_true((*c >= ' ' && *c < 0x7f) || (*c == '\n' && !c[1]));
	free(got);
}

static void says_what_cannot_be_written(void **state)
{
	struct logtext other;

	(void)state;
	assert_int_equal(logtext_open(&other, &policy, "/dev/null/x", false), -ENOTDIR);
	assert_ptr_equal(policy.observers, &text.observer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(has_a_line_for_each, setup, teardown),
		cmocka_unit_test_setup_teardown(has_the_start_if_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_denials_without_figures, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_a_dry_run_and_a_failed_dial, setup, teardown),
		cmocka_unit_test_setup_teardown(has_questions_and_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(cannot_be_steered, setup, teardown),
		cmocka_unit_test_setup_teardown(says_what_cannot_be_written, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
