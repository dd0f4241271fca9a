/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lua/named.h"
#include "lua/scripts.h"
#include "spec/lua/rig.h"

/* Each line: the rules, a name, and what the rules say of it. */
static const struct {
	const char *rules, *name;
	enum named named;
} cases[] = {
	{"{ port = 443, nsnet.allow }", "a.test", NAMED_NOT},
	{"{ port = 443, nsnet.deny }", "a.test", NAMED_NOT},
	{"{ nsnet.deny }", "a.test", NAMED_CLOSED},
	{"{ nsnet.allow }", "a.test", NAMED_OPEN},
	{"{ network = 'tcp', nsnet.deny }", "a.test", NAMED_NOT},
	{"{ when = function() end, nsnet.deny }", "a.test", NAMED_NOT},
	{"{ domain = 'a.test', nsnet.allow }, { nsnet.deny }", "a.test", NAMED_OPEN},
	{"{ domain = 'a.test', nsnet.allow }, { nsnet.deny }", "b.test", NAMED_CLOSED},
	{"{ domain = 'a.test', nsnet.allow }", "a.test", NAMED_OPEN},
	{"{ domain = 'a.test', nsnet.allow }", "b.test", NAMED_NOT},
	{"{ domain = 'a.test', nsnet.allow }", "x.a.test", NAMED_NOT},
	{"{ domain = '.a.test', nsnet.allow }", "x.a.test", NAMED_OPEN},
	{"{ domain = '*.a.test', nsnet.allow }", "a.test", NAMED_NOT},
	{"{ domain = nsnet.domains { 'b.test', 'a.test' }, port = 443, nsnet.allow }", "a.test",
		NAMED_OPEN},
	{"{ domain = 'a.test', nsnet.redirect '192.0.2.1' }", "a.test", NAMED_OPEN},
	{"{ domain = 'a.test', nsnet.via(function() end) }", "a.test", NAMED_OPEN},
	{"{ domain = 'a.test', when = function() return false end, nsnet.allow }", "a.test",
		NAMED_OPEN},
	{"{ domain = 'a.test', nsnet.deny }", "a.test", NAMED_CLOSED},
	{"{ domain = 'a.test', nsnet.drop }", "a.test", NAMED_CLOSED},
	{"{ domain = 'a.test', port = 25, nsnet.deny }", "a.test", NAMED_NOT},
	{"{ domain = 'a.test', network = 'udp', nsnet.deny }", "a.test", NAMED_NOT},
	{"{ domain = 'a.test', cidr = '192.0.2.0/24', nsnet.deny }", "a.test", NAMED_NOT},
	{"{ domain = 'a.test', when = function() return true end, nsnet.deny }", "a.test",
		NAMED_NOT},
	{"{ domain = 'x.a.test', nsnet.deny }, { domain = '.a.test', nsnet.allow }", "x.a.test",
		NAMED_CLOSED},
	{"{ domain = 'x.a.test', nsnet.deny }, { domain = '.a.test', nsnet.allow }", "y.a.test",
		NAMED_OPEN},
	{"{ domain = 'a.test', port = 25, nsnet.deny }, { domain = '.a.test', nsnet.allow }",
		"a.test", NAMED_OPEN},
	{"{ sni = 'a.test', nsnet.allow }", "a.test", NAMED_NOT},
	{"{ network = 'dns', domain = 'a.test', nsnet.allow }", "a.test", NAMED_OPEN},
	{"{ network = 'dns', domain = 'a.test', nsnet.deny }", "a.test", NAMED_CLOSED},
	{"{ network = 'dns', nsnet.allow }", "a.test", NAMED_OPEN},
	{"{ network = 'dns', nsnet.deny }", "a.test", NAMED_CLOSED},
	{"{ network = { 'dns', 'tcp' }, domain = 'a.test', port = 443, nsnet.deny }", "a.test",
		NAMED_CLOSED},
};

static void rules_speak_of_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig r;
		char code[512];
		const char *rule = "?";
		snprintf(code, sizeof(code), "nsnet.rules { %s }", cases[i].rules);
		rig_open(&r);
		rig_run(&r, code);
		enum named n = named_ask(r.host->current, cases[i].name, &rule);
		rig_close(&r);
		if (n != cases[i].named)
			fail_msg("%s: %s is %d", code, cases[i].name, n);
	}
}

static enum named ask(const char *code, const char *name, char *label, bool *any)
{
	struct rig r;
	const char *rule = NULL;
	rig_open(&r);
	rig_run(&r, code);
	enum named n = named_ask(r.host->current, name, &rule);
	snprintf(label, 64, "%s", rule ? rule : "none");
	*any = r.host->current->has_names;
	rig_close(&r);
	return n;
}

static void a_handler_for_a_name_opens_it(void **state)
{
	char rule[64];
	bool any;
	(void)state;
	assert_int_equal(ask("nsnet.on_connect({ domain = 'a.test' }, function() end)", "a.test",
				 rule, &any),
		NAMED_OPEN);
	assert_string_equal(rule, "rules.lua:1");
	assert_true(any);
	/* but one that only looks does not */
	assert_int_equal(ask("nsnet.on_connect({ domain = 'a.test', observe = true }, function() "
			     "end)",
				 "a.test", rule, &any),
		NAMED_NOT);
	assert_string_equal(rule, "none");
	/* and one for all names says nothing of any */
	assert_int_equal(ask("nsnet.on_connect(function() end)", "a.test", rule, &any), NAMED_NOT);
	assert_false(any);
}

static void the_rule_is_named(void **state)
{
	char rule[64];
	bool any;
	(void)state;
	ask("nsnet.rules { { port = 1, nsnet.deny },\n"
	    "{ name = 'ads', domain = 'a.test', nsnet.deny } }",
		"a.test", rule, &any);
	assert_has(rule, "ads (rules.lua:");
	assert_true(any);
}

static void what_cannot_be_meant_is_refused(void **state)
{
	static const struct {
		const char *code, *why;
	} bad[] = {
		{"nsnet.rules { { domain = '10.0.0.1', nsnet.allow } }", "use cidr="},
		{"nsnet.rules { { domain = 'a b', nsnet.allow } }", "is no name"},
		{"nsnet.rules { { domain = 'b\xc3\xbc"
		 "cher.test', nsnet.allow } }",
			"xn--"},
		{"nsnet.rules { { domain = {}, nsnet.allow } }", "is empty"},
		{"nsnet.rules { { domain = 1, nsnet.allow } }", "domain= must be a name"},
		{"nsnet.rules { { sni = { 'a.test', true }, nsnet.allow } }", "sni= must be"},
		{"nsnet.rules { { domain = 'a.test\\0b', nsnet.allow } }", "is no name"},
		{"nsnet.rules { { host = 'a.test', nsnet.allow } }", "host"},
		{"nsnet.domains { 'a.test\\0b' }", "NUL"},
		{"nsnet.domains { '10.0.0.1' }", "nsnet.cidrs"},
		{"nsnet.on_connect({ sni = 'a.test' }, function() end)", "sni"},
		{"nsnet.guard({ http_host = 'a.test' }, function() end)", "http_host"},
		{"nsnet.on_connect({ network = 'dns' }, function() end)", "dns"},
		{"nsnet.rules { { network = 'dns', when = function() end, nsnet.allow } }",
			"when="},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct rig r;
		rig_open(&r);
		if (rig_load(&r, bad[i].code) != 70)
			print_error("loaded: %s\n", bad[i].code);
		assert_has(rig_log(&r), bad[i].why);
		rig_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(rules_speak_of_names),
		rig_test(a_handler_for_a_name_opens_it),
		rig_test(the_rule_is_named),
		rig_test(what_cannot_be_meant_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
