/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/dnsquery.h"
#include "core/learn.h"

static struct policy policy;
static struct cage cage;
static struct learn learn;
static char dir[64], path[96];
static const struct flow_ops tcp = {.network = "tcp"}, udp = {.network = "udp"};

static int setup(void **state)
{
	(void)state;
	memset(&policy, 0, sizeof(policy));
	strcpy(dir, "/tmp/nsnet-learn.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/rules.lua", dir);
	return learn_start(&learn, &policy, &cage, path, NULL);
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	learn_finish(&learn, stderr);
	cage_fini(&cage);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* A flow of @who to @dst, which was given as @host, ends. */
static void sees(const struct flow_ops *ops, const char *dst, const char *host, const char *who,
	enum verdict v)
{
	struct process p = {0};
	struct flow f = {.ops = ops, .host = (char *)host, .decision = {.verdict = v}};

	f.key.proto = ops == &tcp ? IPPROTO_TCP : IPPROTO_UDP;
	assert_int_equal(addr_parse(&f.key.dst, dst), 0);
	snprintf(p.name, sizeof(p.name), "%s", who);
	f.process = *who ? &p : NULL;
	observe_ended(policy.observers, &f);
}

/* The rules so far, without the two lines of comment at their head. */
static const char *rules(void)
{
	static char text[65536];
	FILE *f = fmemopen(text, sizeof(text), "w");

	assert_non_null(f);
	learn_write(&learn, f);
	assert_int_equal(fclose(f), 0);
	return strchr(strchr(text, '\n') + 1, '\n') + 1;
}

static void puts_together_what_differs_in_the_name_alone(void **state)
{
	(void)state;
	sees(&tcp, "203.0.113.1:443", "b.a.co.uk", "curl", VERDICT_ALLOW);
	sees(&tcp, "203.0.113.1:443", "a.co.uk", "curl", VERDICT_VIA);
	sees(&tcp, "203.0.113.1:443", "B.a.co.uk", "curl", VERDICT_ALLOW);
	sees(&tcp, "203.0.113.1:443", "b.co.uk", "curl", VERDICT_ALLOW);
	sees(&udp, "[2001:db8::1]:53", NULL, "", VERDICT_ALLOW);
	assert_string_equal(rules(),
		"\nnsnet.default(nsnet.deny)\n\nnsnet.rules {\n"
		"  -- processes that are not known, and questions for names\n"
		"  { network = \"udp\", port = 53, cidr = \"2001:db8::1\", nsnet.allow },\n\n"
		"  -- \"curl\"\n"
		"  { process = \"curl\", network = \"tcp\", port = 443, "
		"domain = { \"a.co.uk\", \"b.a.co.uk\" }, nsnet.allow },\n"
		"  { process = \"curl\", network = \"tcp\", port = 443, domain = \"b.co.uk\", "
		"nsnet.allow },\n}\n");
}

static void leaves_out_what_was_not_allowed(void **state)
{
	struct flow would = {.ops = &tcp,
		.decision = {.verdict = VERDICT_ALLOW, .would = VERDICT_DENY}};

	(void)state;
	would.key.proto = IPPROTO_TCP;
	assert_int_equal(addr_parse(&would.key.dst, "203.0.113.9:80"), 0);
	observe_ended(policy.observers, &would);
	sees(&tcp, "203.0.113.9:80", NULL, "a", VERDICT_DENY);
	sees(&tcp, "203.0.113.9:80", NULL, "a", VERDICT_DROP);
	sees(&tcp, "203.0.113.9:80", NULL, "a", VERDICT_NONE);
	assert_string_equal(rules(), "\nnsnet.default(nsnet.deny)\n\nnsnet.rules {\n}\n");
}

/* "*" and a leading dot would open more than was seen. */
static void takes_no_pattern_for_a_name(void **state)
{
	static const char *const names[] = {"*.evil.test", ".evil.test", "a b", ""};
	struct dnsquery q = {.decision = {.verdict = VERDICT_ALLOW}};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		sees(&tcp, "203.0.113.1:80", names[i], "a", VERDICT_ALLOW);
		snprintf(q.name, sizeof(q.name), "%s", names[i]);
		observe_question(policy.observers, &q, NULL, 0);
	}
	assert_null(strstr(rules(), "evil"));
	assert_non_null(strstr(rules(), "cidr = \"203.0.113.1\""));
	assert_non_null(strstr(rules(), "-- 4 more are not here"));
}

static void asks_for_a_rule_of_its_own_what_was_only_asked_for(void **state)
{
	struct dnsquery q = {.decision = {.verdict = VERDICT_ALLOW}, .name = "only.test"};

	(void)state;
	observe_question(policy.observers, &q, NULL, 0);
	strcpy(q.name, "dialed.test");
	observe_question(policy.observers, &q, NULL, 0);
	sees(&tcp, "203.0.113.1:80", "dialed.test", "", VERDICT_ALLOW);
	assert_non_null(
		strstr(rules(), "{ network = \"dns\", domain = \"only.test\", nsnet.allow }"));
	assert_null(strstr(rules(), "domain = { \"dialed.test\""));
}

static void has_room_for_so_many_and_says_what_is_missing(void **state)
{
	char to[32];

	(void)state;
	for (int i = 0; i < LEARN_ROWS + 7; i++) {
		snprintf(to, sizeof(to), "203.0.%d.%d:80", i / 256, i % 256);
		sees(&tcp, to, NULL, "a", VERDICT_ALLOW);
	}
	assert_int_equal(learn.count, LEARN_ROWS);
	assert_int_equal(learn.left_out, 7);
}

static void keeps_what_is_there_until_all_is_written(void **state)
{
	char text[65536] = "";
	struct stat st;
	FILE *f;

	(void)state;
	sees(&tcp, "203.0.113.1:80", NULL, "a", VERDICT_ALLOW);
	assert_int_equal(learn_finish(&learn, stderr), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* What cannot be renamed in its place goes to the other one, whole. */
	assert_int_equal(learn_start(&learn, &policy, &cage, path, NULL), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	f = fmemopen(text, sizeof(text), "w");
	assert_non_null(f);
	assert_true(learn_finish(&learn, f) < 0);
	fclose(f);
	assert_non_null(strstr(text, "nsnet.default(nsnet.deny)"));
	strcat(path, ".new");
	assert_int_equal(access(path, F_OK), -1);
}

static void replaces_nobodys_work(void **state)
{
	struct learn other;
	char name[128];
	FILE *f;

	(void)state;
	snprintf(name, sizeof(name), "%s/mine.lua", dir);
	f = fopen(name, "w");
	assert_non_null(f);
	fputs("-- mine", f);
	fclose(f);
	assert_int_equal(learn_start(&other, &policy, &cage, name, NULL), -EEXIST);
	assert_int_equal(learn_start(&other, &policy, &cage, "/no/such/place", NULL), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(puts_together_what_differs_in_the_name_alone),
		TEST(leaves_out_what_was_not_allowed),
		TEST(takes_no_pattern_for_a_name),
		TEST(asks_for_a_rule_of_its_own_what_was_only_asked_for),
		TEST(has_room_for_so_many_and_says_what_is_missing),
		TEST(keeps_what_is_there_until_all_is_written),
		TEST(replaces_nobodys_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
