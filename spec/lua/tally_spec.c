/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lua/rules.h"
#include "lua/scripts.h"
#include "lua/trace.h"
#include "spec/lua/rig.h"

/* What is told, one line each. */
static char told[2048];

static void tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *fmt, ...)
{
	size_t n = strlen(told);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(told + n, sizeof(told) - n, fmt, ap);
	va_end(ap);
}

static void on_rule(void *arg, const struct lua_rule *r)
{
	assert_ptr_equal(arg, told);
	tell("%s|%s|%s|%llu|%d\n", r->kind, r->name ? r->name : "-", r->where, r->hits,
		r->last > 0);
}

static const char *tally(struct rig *r)
{
	told[0] = 0;
	lua_host_each_rule(r->host, on_rule, told);
	return told;
}

static void a_host_without_rules_lists_none(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	assert_string_equal(tally(&r), "");
	rig_run(&r, "");
	assert_string_equal(tally(&r), "");
	rig_close(&r);
}

static void each_rule_and_handler_counts_its_own(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"nsnet.on_connect({ port = 99 }, function() end)\n"
		"nsnet.rules {\n"
		"  { name = 'web', port = 80, nsnet.allow },\n"
		"  { port = 81, when = function() return false end, nsnet.allow },\n"
		"  { port = 81, nsnet.deny },\n"
		"}\n"
		"nsnet.on_flow(function() end)\n"
		"nsnet.guard(function() end)\n"
		"nsnet.on_close(function() end)\n");
	for (int i = 0; i < 3; i++)
		rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:80");
	rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:81");
	rig_verdict(&r, IPPROTO_UDP, "198.51.100.7:82");
	/* What decides comes in the order of the chain; a rule counts when it decided. */
	assert_string_equal(tally(&r),
		"guard|-|rules.lua:8|5|0\n"
		"on_connect|-|rules.lua:1|0|0\n"
		"rule|web (rules.lua:3)|rules.lua:3|3|1\n"
		"rule|rule 2 (rules.lua:4)|rules.lua:4|0|0\n"
		"rule|rule 3 (rules.lua:5)|rules.lua:5|1|1\n"
		"on_flow|-|rules.lua:7|1|0\n"
		"on_close|-|rules.lua:9|5|0\n");
	rig_close(&r);
}

static void on_trace(void *arg, const struct flow *f, const struct handler *h, const struct rule *r,
	enum trace_event e, enum verdict v, const struct decision *d)
{
	static const char *const names[] = {"skipped", "later", "silent", "verdict", "failed"};
	(void)arg;
	(void)f;
	tell("%s %s %s %d %s\n", h->name, r ? r->label : h->where, names[e], v,
		d && d->reason ? d->reason : "-");
}

static void a_trace_tells_who_was_asked_and_what_each_said(void **state)
{
	(void)state;
	struct rig r;
	static const struct trace trace = {.fn = on_trace};
	rig_open(&r);
	rig_run(&r,
		"nsnet.guard({ port = 1 }, function() end)\n"
		"nsnet.on_connect(function() nsnet.sleep(0.001) end)\n"
		"nsnet.rules {\n"
		"  { name = 'a', port = 81, nsnet.allow },\n"
		"  { name = 'b', when = function() nsnet.sleep(0.001) end, nsnet.allow },\n"
		"  { name = 'c', port = 82, nsnet.allow },\n"
		"}\n"
		"nsnet.on_connect({ observe = true }, function() error 'seen' end)\n"
		"nsnet.on_connect(function() return nsnet.deny 'no' end)\n"
		"nsnet.on_connect(function() end)\n");
	r.host->current->trace = &trace;
	told[0] = 0;
	rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:80");
	assert_string_equal(told,
		"guard rules.lua:1 skipped 0 -\n"
		"on_connect rules.lua:2 silent 0 -\n"
		"rules a (rules.lua:4) skipped 0 -\n"
		"rules b (rules.lua:5) silent 0 -\n"
		"rules c (rules.lua:6) skipped 0 -\n"
		"on_connect rules.lua:8 failed 0 -\n"
		"on_connect rules.lua:9 verdict 2 no\n");
	rig_close(&r);
}

static void a_trace_tells_errors_from_verdicts(void **state)
{
	(void)state;
	struct rig r;
	static const struct trace trace = {.fn = on_trace};
	rig_open(&r);
	rig_run(&r,
		"nsnet.rules {\n"
		"  { name = 'a', port = 80, when = function() error 'x' end, nsnet.allow },\n"
		"}\n"
		"nsnet.on_flow(function() return true end)\n");
	r.host->current->trace = &trace;
	told[0] = 0;
	rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:80");
	rig_verdict(&r, IPPROTO_UDP, "198.51.100.7:81");
	assert_string_equal(told,
		"rules a (rules.lua:2) failed 2 error in a script\n"
		"rules a (rules.lua:2) skipped 0 -\n"
		"on_flow rules.lua:4 failed 3 wrong answer of a script\n");
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(a_host_without_rules_lists_none),
		rig_test(each_rule_and_handler_counts_its_own),
		rig_test(a_trace_tells_who_was_asked_and_what_each_said),
		rig_test(a_trace_tells_errors_from_verdicts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
