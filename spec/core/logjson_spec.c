/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sample.h"

#include <cjson/cJSON.h>

#include "core/logjson.h"

static struct policy policy;
static struct logjson json;
static char path[32];
static cJSON *line[16]; /* of the log that was closed */
static size_t lines;

static int setup(void **state)
{
	static char *const command[] = {(char *)"curl", (char *)"a\"b\n\xff", NULL};

	(void)state;
	sample_path(path);
	policy = (struct policy){.loop = ev_default_loop(0)};
	assert_int_equal(logjson_open(&json, &policy, path, command), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	logjson_close(&json, 0);
	assert_null(policy.observers);
	unlink(path);
	while (lines)
		cJSON_Delete(line[--lines]);
	return 0;
}

/* Ends the log and reads it, each line by itself. */
static void finish(int status)
{
	char *text, *rest, *one;

	logjson_close(&json, status);
	rest = text = sample_text(path);
	while ((one = strsep(&rest, "\n")) && *one) {
		assert_true(lines < ARRAY_LEN(line));
		line[lines] = cJSON_Parse(one);
		assert_non_null(line[lines]);
		lines++;
	}
	free(text);
}

/* What is at "t.opened" in @o. */
static const cJSON *at(const cJSON *o, const char *where)
{
	char copy[64], *rest = copy, *key;

	snprintf(copy, sizeof(copy), "%s", where);
	while ((key = strsep(&rest, ".")))
		o = cJSON_GetObjectItemCaseSensitive(o, key);
	return o;
}

static void text_is(size_t i, const char *where, const char *want)
{
	const char *got = cJSON_GetStringValue(at(line[i], where));

	if (!want)
		assert_null(got);
	else
		assert_string_equal(got ? got : "(nothing)", want);
}

static void number_is(size_t i, const char *where, double want)
{
	const cJSON *n = at(line[i], where);

	assert_true(cJSON_IsNumber(n));
	assert_float_equal(n->valuedouble, want, 1e-6);
}

static void begins_and_ends(void **state)
{
	(void)state;
	finish(7);
	assert_int_equal(lines, 2);
	text_is(0, "type", "start");
	number_is(0, "v", 1);
	number_is(0, "pid", getpid());
	assert_string_equal(cJSON_GetArrayItem(at(line[0], "command"), 0)->valuestring, "curl");
	assert_string_equal(cJSON_GetArrayItem(at(line[0], "command"), 1)->valuestring,
		"a\"b\n\xef\xbf\xbd");
	text_is(1, "type", "end");
	number_is(1, "status", 7);
	number_is(1, "lines", 1);
	number_is(1, "lost", 0);
}

static void has_all_of_a_flow(void **state)
{
	struct process curl = sample_process("curl");
	struct flow f = sample_flow(IPPROTO_TCP, "[2001:db8::9]:443");

	(void)state;
	curl.exe = (char *)"/usr/bin/curl";
	curl.argv = (char *)"curl\0-s\0";
	curl.argv_len = 8;
	curl.parent_count = 1;
	curl.parents[0] = (struct process_parent){12, "make"};
	f.process = &curl;
	f.host = (char *)"example.com";
	f.decision.rule = (char *)"rules.lua:12";
	f.decision.target = sample_addr("203.0.113.9:8443");
	observe_ended(policy.observers, &f);
	finish(0);
	assert_int_equal(lines, 3);
	text_is(1, "type", "flow");
	number_is(1, "time", 1.5);
	number_is(1, "id", 7);
	text_is(1, "network", "tcp");
	text_is(1, "src", "10.0.0.1:40000");
	text_is(1, "dst", "[2001:db8::9]:443");
	text_is(1, "host", "example.com");
	text_is(1, "target", "203.0.113.9:8443");
	text_is(1, "verdict", "allow");
	text_is(1, "would", NULL);
	text_is(1, "rule", "rules.lua:12");
	text_is(1, "reason", NULL);
	text_is(1, "end", "closed");
	text_is(1, "error", NULL);
	number_is(1, "up", 517);
	number_is(1, "down", 34100);
	number_is(1, "t.opened", 0.25);
	number_is(1, "t.ended", 2);
	assert_null(at(line[1], "t.judged"));
	number_is(1, "process.pid", 4712);
	text_is(1, "process.name", "curl");
	text_is(1, "process.exe", "/usr/bin/curl");
	text_is(1, "process.cwd", NULL);
	assert_int_equal(cJSON_GetArraySize(at(line[1], "process.argv")), 2);
	assert_int_equal(cJSON_GetArraySize(at(line[1], "process.parents")), 1);
}

static void has_what_failed(void **state)
{
	struct flow f = sample_flow(IPPROTO_TCP, "203.0.113.9:443");

	(void)state;
	f.cause = FLOW_CAUSE_DIAL_FAILED;
	f.error = ECONNREFUSED;
	f.decision.would = VERDICT_DENY;
	observe_ended(policy.observers, &f);
	finish(0);
	text_is(1, "end", "dial failed");
	text_is(1, "error", "Connection refused");
	text_is(1, "would", "deny");
	assert_null(at(line[1], "process"));
}

static void has_questions_and_refusals(void **state)
{
	static const uint8_t refused[12] = {0, 1, 0x81, 0x85};
	struct dnsquery q = {.asked_at = 1.5,
		.took = 0.051,
		.src = sample_addr("10.0.0.1:5000"),
		.dst = sample_addr("10.0.0.53:53"),
		.decision = {.verdict = VERDICT_DENY}};
	const struct flow_key key = {.src = sample_addr("10.0.0.1:40001"),
		.dst = sample_addr("203.0.113.9:443"),
		.proto = IPPROTO_TCP};

	(void)state;
	strcpy(q.name, "no.example");
	q.m.type = DNSMSG_TYPE_A;
	observe_question(policy.observers, &q, refused, sizeof(refused));
	observe_question(policy.observers, &q, NULL, 0);
	observe_refused(policy.observers, &key, "too many connections");
	finish(0);
	assert_int_equal(lines, 5);
	text_is(1, "type", "dns");
	text_is(1, "name", "no.example");
	text_is(1, "qtype", "A");
	text_is(1, "rcode", "REFUSED");
	number_is(1, "took", 0.051);
	text_is(2, "rcode", NULL);
	text_is(3, "type", "refused");
	text_is(3, "why", "too many connections");
	text_is(3, "dst", "203.0.113.9:443");
	number_is(4, "lines", 4);
}

static void is_valid_whatever_strangers_say(void **state)
{
	struct process evil = sample_process("\033\"\\\n\xc3");
	struct flow f = sample_flow(IPPROTO_TCP, "203.0.113.9:443");

	(void)state;
	f.process = &evil;
	f.host = (char *)"a\"\\\x01\xed\xa0\x80z";
	observe_ended(policy.observers, &f);
	finish(0);
	assert_int_equal(lines, 3);
	text_is(1, "process.name", "\033\"\\\n\xef\xbf\xbd");
	assert_non_null(strstr(cJSON_GetStringValue(at(line[1], "host")), "a\"\\\x01\xef\xbf\xbd"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(begins_and_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(has_all_of_a_flow, setup, teardown),
		cmocka_unit_test_setup_teardown(has_what_failed, setup, teardown),
		cmocka_unit_test_setup_teardown(has_questions_and_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(is_valid_whatever_strangers_say, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
