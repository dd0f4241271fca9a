/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lua/scripts.h"
#include "spec/lua/rig.h"

static char *said;

/* Evaluates @line; what it says is in @said until the next one. */
static int eval(struct rig *r, const char *line)
{
	free(said);
	return lua_host_eval(r->host, line, &said);
}

#define says(r, line, text)                                                                        \
	do {                                                                                       \
		assert_int_equal(eval(r, line), 0);                                                \
		assert_string_equal(said, text);                                                   \
	} while (0)

#define errs(r, line, text)                                                                        \
	do {                                                                                       \
		assert_int_equal(eval(r, line), -EINVAL);                                          \
		assert_string_equal(said, text);                                                   \
	} while (0)

static int setup(void **state)
{
	static struct rig r;
	rig_open(&r);
	rig_run(&r,
		"nsnet.default(nsnet.deny)\n"
		"nsnet.state.count = 3\n"
		"nsnet.on_connect({ port = 80 }, function() return nsnet.allow end)\n");
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	free(said);
	said = NULL;
	rig_close(*state);
	return 0;
}

static void a_line_is_an_expression_or_statements(void **state)
{
	struct rig *r = *state;
	says(r, "1 + 1", "2");
	says(r, "1, nil, 'x'", "1\nnil\nx");
	says(r, "", "");
	says(r, "x = 7", "");
	says(r, "x * 6", "42");
	says(r, "for i = 1, 3 do print(i, i * i) end", "1  1\n2  4\n3  9");
	says(r, "print('a') return 'b' -- c", "a\nb");
	says(r, "nsnet.state.count", "3");
	says(r, "nsnet.state.count = 4", "");
	says(r, "nsnet.state.count", "4");
	says(r, "nsnet.deny 'why'", "nsnet.deny \"why\"");
	says(r, "nsnet.domains { '.a.example' }:match 'b.a.example'", "true");
	says(r, "require 'nsnet' == nsnet", "true");
}

static void tables_are_told_one_level_deep(void **state)
{
	struct rig *r = *state;
	says(r, "{}", "{}");
	says(r, "{ 1, 'b\\n\"', x = true, ['a b'] = 2, [2.5] = nsnet.allow, [true] = 1 }",
		"{\n  [1] = 1,\n  [2] = \"b\\x0a\\\"\",\n  [2.5] = nsnet.allow,\n"
		"  [true] = 1,\n  [\"a b\"] = 2,\n  x = true,\n}");
	assert_int_equal(eval(r, "{ { 1 } }"), 0);
	assert_has(said, "{\n  [1] = table: 0x");
	says(r, "setmetatable({}, { __tostring = function() return 'me' end })", "me");
}

/* The output is text for a terminal, and no more than a screen or three. */
static void output_is_bounded_and_clean(void **state)
{
	struct rig *r = *state;
	says(r, "'\\27[2J\\0\\200'", "\\x1b[2J\\x00\\xc8");
	assert_int_equal(eval(r, "('x'):rep(100000)"), 0);
	assert_int_equal(strlen(said), 403);
	assert_int_equal(eval(r, "local t = {} for i = 1, 5000 do t[i] = i end return t"), 0);
	assert_true(strlen(said) < 10000);
	assert_has(said, "\n... (no more is shown)");
	assert_int_equal(eval(r, "for i = 1, 300 do print(('y'):rep(500)) end"), 0);
	assert_true(strlen(said) < 100000);
	assert_int_equal(eval(r, "{ ('z'):rep(1000) }"), 0);
	assert_true(strlen(said) < 200);
}

static void errors_are_told_and_cost_nothing(void **state)
{
	struct rig *r = *state;
	errs(r, "1 +", "console:1: unexpected symbol near '1'");
	errs(r, "error 'boom'", "boom");
	errs(r, "do error 'boom' end", "console:1: boom");
	assert_int_equal(eval(r, "error({})"), -EINVAL);
	assert_has(said, "table: 0x");
	errs(r, "nope", "console:1: undefined global 'nope'");
	errs(r, "nsnet.nope", "console:1: there is no nsnet.nope");
	errs(r, "nsnet.sleep(1)",
		"nsnet.sleep cannot be used in console (it would wait); use nsnet.spawn");
	errs(r, "io.open 'x'", "console:1: undefined global 'io'");
	errs(r, "nsnet.on_connect(function() end)",
		"nsnet.on_connect must be called while the script loads, not from a hook");
	errs(r, "setmetatable({}, { __tostring = function() error 'no' end })", "console:1: no");
	assert_int_equal(lua_host_errors(r->host), 0);
	assert_string_equal(rig_log(r), "");
}

/* A line that would go on for ever is stopped by its budget; connections are answered as before. */
static void a_runaway_costs_a_line(void **state)
{
	struct rig *r = *state;
	static const char *const lines[] = {
		"while true do end",
		"while true do pcall(function() while true do end end) end",
		"('a'):rep(200):find('.-.-.-.-.-b')",
		"local t = {} while true do t[#t + 1] = {} end",
		"local function f() return f() end f()",
		"coroutine.wrap(function() while true do end end)()",
		"setmetatable({}, { __tostring = function() while true do end end })",
		"x = setmetatable({}, { __index = function() while true do end end }) return x.y",
	};
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		int rc = eval(r, lines[i]);
		if (rc != -EAGAIN)
			print_error("%s: %d %s\n", lines[i], rc, said ? said : "-");
		assert_true(rc == -EAGAIN || (i == 2 && rc == -EINVAL));
		/* The log tells a message once a second, and counts. */
		if (i == 0)
			assert_has(rig_log(r), "console:1: CPU budget of 10 ms exceeded");
		assert_int_equal(rig_verdict(r, IPPROTO_TCP, "198.51.100.7:80"), VERDICT_ALLOW);
		says(r, "1", "1");
	}
	/* Memory: the rules are not held to have run out of it. */
	for (int i = 0; i < 5; i++) {
		int rc = eval(r, "local t = {} for i = 1, 99 do t[i] = ('x'):rep(1e6) .. i end");
		assert_true(rc < 0);
	}
	rig_log(r);
	assert_int_equal(rig_verdict(r, IPPROTO_TCP, "198.51.100.7:80"), VERDICT_ALLOW);
}

static void a_line_sees_the_connections(void **state)
{
	struct rig *r = *state;
	struct rig_flow one, two;
	says(r, "conns()", "{}\n0");
	assert_true(rig_ask(r, &one, IPPROTO_TCP, "198.51.100.7:80"));
	assert_true(rig_ask(r, &two, IPPROTO_TCP, "[2001:db8::7]:80"));
	says(r, "#conns()", "2");
	says(r, "conns(1)[1].address, select(2, conns(1))", "198.51.100.7:80\n2");
	says(r, "conns()[2].ctx.mine", "nil");
	says(r, "conns()[2]:tag 'seen'", "");
	says(r, "conns()[2].tags", "seen");
	says(r, "for _, c in ipairs(conns()) do c:close() end", "");
	ev_run(r->loop, EVRUN_NOWAIT);
	ev_run(r->loop, EVRUN_NOWAIT);
	assert_int_equal(one.aborted + two.aborted, 2);
	flow_remove(&one.flow);
	flow_remove(&two.flow);
	says(r, "conns()", "{}\n0");
}

/* What the console keeps belongs to the rules it looked into. */
static void a_reload_begins_anew(void **state)
{
	struct rig *r = *state;
	says(r, "kept = 1", "");
	assert_int_equal(lua_host_reload(r->host), 0);
	errs(r, "kept", "console:1: undefined global 'kept'");
	says(r, "nsnet.state.count", "3");
}

/* A script's own print, called later, is still the log's. */
static void print_outside_of_a_line_is_the_logs(void **state)
{
	struct rig *r = *state;
	bool heard = false;
	assert_int_equal(eval(r, "nsnet.after(0.001, function() print 'later' end)"), 0);
	assert_has(said, "task: 0x");
	for (int i = 0; i < 1000 && !heard; i++) {
		ev_run(r->loop, EVRUN_ONCE);
		heard = strstr(rig_log(r), "nsnet-host: later\n");
	}
	assert_true(heard);
	says(r, "print 'now'", "now");
	assert_string_equal(rig_log(r), "");
}

int main(void)
{
#define with_rules(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		with_rules(a_line_is_an_expression_or_statements),
		with_rules(tables_are_told_one_level_deep),
		with_rules(output_is_bounded_and_clean),
		with_rules(errors_are_told_and_cost_nothing),
		with_rules(a_runaway_costs_a_line),
		with_rules(a_line_sees_the_connections),
		with_rules(a_reload_begins_anew),
		with_rules(print_outside_of_a_line_is_the_logs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
