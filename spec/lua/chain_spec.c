/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/tell.h"
#include "spec/lua/rig.h"

#define PUBLIC "198.51.100.7:443"

/* What a hook must not return, and how the message calls it. */
static const struct {
	const char *value, *kind;
} wrong[] = {
	{"true", "a boolean"},
	{"false", "a boolean"},
	{"1", "a number"},
	{"0", "a number"},
	{"'allow'", "a string"},
	{"{}", "a table"},
	{"print", "a function"},
	{"nsnet.allow, nsnet.deny", "2 values"},
	{"nil, 'no'", "2 values"},
	{"conn", "a userdata"},
	{"coroutine.create(print)", "a thread"},
};

static void a_wrong_answer_denies(void **state)
{
	(void)state;
	static const struct {
		const char *hook;
		uint32_t proto;
		enum verdict v;
	} hooks[] = {
		{"guard", IPPROTO_TCP, VERDICT_DENY},
		{"guard", IPPROTO_UDP, VERDICT_DROP},
		{"on_connect", IPPROTO_TCP, VERDICT_DENY},
		{"on_flow", IPPROTO_UDP, VERDICT_DROP},
		{"on_flow", IPPROTO_ICMP, VERDICT_DROP},
	};
	for (size_t h = 0; h < ARRAY_LEN(hooks); h++) {
		for (size_t w = 0; w < ARRAY_LEN(wrong); w++) {
			struct rig r;
			char code[256], text[256];
			rig_open(&r);
			snprintf(code, sizeof(code),
				"nsnet.default(nsnet.allow)\n\nnsnet.%s(function(conn) return %s "
				"end)",
				hooks[h].hook, wrong[w].value);
			rig_run(&r, code);
			assert_int_equal(
				rig_verdict(&r, hooks[h].proto,
					hooks[h].proto == IPPROTO_ICMP ? "198.51.100.7" : PUBLIC),
				hooks[h].v);
			snprintf(text, sizeof(text), "rules.lua:3: %s returned %s; return nsnet.",
				hooks[h].hook, wrong[w].kind);
			assert_has(rig_log(&r), text);
			rig_close(&r);
		}
	}
}

static void nil_or_nothing_is_no_opinion(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"nsnet.guard(function() end)\n"
		"nsnet.on_connect(function() return nil end)\n"
		"nsnet.on_connect(function() end)\n"
		"nsnet.on_flow(function() end)\n");
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, PUBLIC), VERDICT_ALLOW);
	assert_int_equal(rig_verdict(&r, IPPROTO_UDP, PUBLIC), VERDICT_ALLOW);
	assert_string_equal(rig_log(&r), "");
	rig_close(&r);
	rig_open(&r);
	rig_run(&r, "nsnet.default(nsnet.deny) nsnet.on_connect(function() end)");
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, PUBLIC), VERDICT_DENY);
	assert_int_equal(rig_verdict(&r, IPPROTO_UDP, PUBLIC), VERDICT_DENY);
	rig_close(&r);
}

static void an_error_denies_and_names_the_line(void **state)
{
	(void)state;
	static const char *const errors[][2] = {
		{"local x = conn.sni_name.y", "rules.lua:2: conn has no field 'sni_name'"},
		{"error('boom')", "rules.lua:2: boom"},
		{"error({})", "rules.lua:2: (error object is a table value)"},
		{"error(setmetatable({}, { __tostring = function() return 'mine' end }))",
			"rules.lua:2: mine (in on_connect, tcp"},
		{"error(setmetatable({}, { __tostring = function() while true do end end }))",
			"rules.lua:2: (error object is a table value)"},
		{"error(setmetatable({}, { __tostring = function() error('x') end }))",
			"rules.lua:2: (error object is a table value)"},
		{"error(setmetatable({}, { __tostring = function() return 7 end }))",
			"rules.lua:2: (error object is a table value)"},
		{"error(setmetatable({}, { __tostring = function() nsnet.sleep(1) end }))",
			"rules.lua:2: (error object is a table value)"},
		{"error()", "rules.lua:2: (error object is a nil value)"},
		{"local t = nil; t.x = 1", "rules.lua:2: attempt to index local 't' (a nil value)"},
		{"undefined()", "rules.lua:2: undefined global 'undefined'"},
		{"count = 1", "rules.lua:2: assignment to global 'count' (missing local?"},
		{"local x = conn.dstport", "no field 'dstport'; did you mean 'dst_port'?"},
		{"return nsnet.alow", "rules.lua:2: there is no nsnet.alow"},
		{"conn.dst_port = 1", "rules.lua:2: conn.dst_port cannot be set; use conn.ctx"},
		{"conn.tag('x')",
			"conn.tag was called on a string; use conn:tag(...), with a colon"},
		{"nsnet.on_connect(print)",
			"rules.lua:2: nsnet.on_connect must be called while the script"},
		{"coroutine.yield(1)", "coroutine.yield outside of a coroutine of your own"},
		{"return nsnet.redirect('example.com:80')", "is no IP address with a port"},
		{"return nsnet.redirect('127.0.0.1:80', { host_lopback = true })",
			"redirect: unknown option 'host_lopback'"},
		{"return nsnet.deny(true)",
			"nsnet.deny takes a reason (a string) or a table, not a boolean"},
		{"return nsnet.deny { style = 'silent' }",
			"style=\"silent\" is not one of: refuse"},
		{"local function f() return f() + 1 end f()", "stack overflow"},
	};
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		struct rig r;
		char code[256];
		rig_open(&r);
		snprintf(code, sizeof(code), "nsnet.on_connect(function(conn)\n%s\nend)",
			errors[i][0]);
		rig_run(&r, code);
		assert_int_equal(rig_verdict(&r, IPPROTO_TCP, PUBLIC), VERDICT_DENY);
		const char *log = rig_log(&r);
		assert_has(log, errors[i][1]);
		assert_has(log, "(in on_connect, tcp 10.0.0.1:40000 -> 198.51.100.7:443)");
		rig_close(&r);
	}
}

static void every_verdict_arrives_with_its_parts(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	rig_open(&r);
	rig_run(&r,
		"nsnet.on_connect({ port = 1 }, function() return nsnet.allow end)\n"
		"nsnet.on_connect({ port = 2 }, function() return nsnet.deny 'telemetry' end)\n"
		"nsnet.on_connect({ port = 3 }, function() return nsnet.drop end)\n"
		"nsnet.on_connect({ port = 4 }, function()\n"
		"  return nsnet.redirect('127.0.0.1:8080', { host_loopback = true }) end)\n"
		"nsnet.on_connect({ port = 5 }, function() return nsnet.redirect('127.0.0.1:8080') "
		"end)\n"
		"nsnet.on_connect({ port = 6 }, function()\n"
		"  return nsnet.deny { style = 'unreachable', reason = 'maintenance' } end)\n"
		"nsnet.on_connect({ port = 7 }, function() return nsnet.deny { style = 'drop' } "
		"end)\n"
		"nsnet.on_connect({ port = 8 }, function() return nsnet.redirect('198.51.100.8') "
		"end)\n");
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:1"), VERDICT_ALLOW);

	assert_true(rig_ask(&r, &f, IPPROTO_TCP, "198.51.100.7:2"));
	assert_int_equal(f.flow.decision.verdict, VERDICT_DENY);
	assert_int_equal(f.flow.decision.style, DENY_STYLE_REFUSE);
	assert_string_equal(f.flow.decision.reason, "telemetry");
	assert_string_equal(f.flow.decision.rule, "rules.lua:2");
	rig_end(&r, &f, FLOW_CAUSE_DENIED);

	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:3"), VERDICT_DROP);

	char text[ADDR_TEXT_MAX];
	assert_true(rig_ask(&r, &f, IPPROTO_TCP, "198.51.100.7:4"));
	assert_int_equal(f.flow.decision.verdict, VERDICT_REDIRECT);
	assert_true(f.flow.decision.named);
	assert_string_equal(addr_format(&f.flow.decision.target, true, text), "127.0.0.1:8080");
	rig_end(&r, &f, FLOW_CAUSE_CLOSED);

	/* The host's loopback is closed unless it is asked for in so many words. */
	assert_true(rig_ask(&r, &f, IPPROTO_TCP, "198.51.100.7:5"));
	assert_int_equal(f.flow.decision.verdict, VERDICT_DENY);
	assert_string_equal(f.flow.decision.rule, "guard");
	rig_end(&r, &f, FLOW_CAUSE_DENIED);

	assert_true(rig_ask(&r, &f, IPPROTO_TCP, "198.51.100.7:6"));
	assert_int_equal(f.flow.decision.style, DENY_STYLE_UNREACHABLE);
	assert_string_equal(f.flow.decision.reason, "maintenance");
	rig_end(&r, &f, FLOW_CAUSE_DENIED);

	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:7"), VERDICT_DROP);

	assert_true(rig_ask(&r, &f, IPPROTO_TCP, "198.51.100.7:8"));
	assert_string_equal(addr_format(&f.flow.decision.target, true, text), "198.51.100.8:8");
	rig_end(&r, &f, FLOW_CAUSE_CLOSED);
	rig_close(&r);
}

static void only_a_network_that_means_it_names_the_host(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"nsnet.on_connect({ port = 1, cidr = '127.0.0.1' }, function() return nsnet.allow "
		"end)\n"
		"nsnet.on_connect({ port = 2, cidr = '0.0.0.0/0' }, function() return nsnet.allow "
		"end)\n"
		"nsnet.on_connect({ port = 3 }, function() return nsnet.allow end)\n"
		"nsnet.rules { { cidr = { '10.9.0.0/16', '169.254.169.254' }, port = 4, "
		"nsnet.allow } }\n");
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "127.0.0.1:1"), VERDICT_ALLOW);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "[::ffff:127.0.0.1]:1"), VERDICT_ALLOW);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "127.0.0.1:2"), VERDICT_DENY);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "127.0.0.1:3"), VERDICT_DENY);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "169.254.169.254:4"), VERDICT_ALLOW);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "169.254.169.253:4"), VERDICT_DENY);
	rig_close(&r);
}

static void the_first_verdict_wins_and_guards_come_first(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"nsnet.on_connect({ port = { 1, 2 } }, function() return nsnet.allow end)\n"
		"nsnet.rules { { port = '2-3', nsnet.deny 'rule' }, { port = 3, nsnet.allow } }\n"
		"nsnet.on_connect(function(c) if c.dst_port == 3 then error('not asked') end\n"
		"  return nsnet.deny end)\n"
		"nsnet.guard(function(c) if c.dst_port == 1 then return nsnet.deny 'guard' end "
		"end)\n"
		"nsnet.guard({ port = 9 }, function() return nsnet.allow end)\n");
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:1"), VERDICT_DENY);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:2"), VERDICT_ALLOW);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:3"), VERDICT_DENY);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:4"), VERDICT_DENY);
	assert_string_equal(rig_log(&r), "");
	/* A guard that allows is a mistake, and costs the flow. */
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:9"), VERDICT_DENY);
	assert_has(rig_log(&r), "guard returned nsnet.allow; return nsnet.deny, nsnet.drop or nil");
	rig_close(&r);
}

static void an_observer_decides_nothing(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"nsnet.on_connect({ observe = true, port = 1 }, function() return nsnet.deny end)\n"
		"nsnet.on_connect({ observe = true, port = 2 }, function() error 'oops' end)\n"
		"nsnet.on_connect({ observe = true, port = 3 }, nsnet.log.conn)\n");
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:1"), VERDICT_ALLOW);
	assert_has(rig_log(&r), "on_connect returned nsnet.deny; an observer answers nothing");
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:2"), VERDICT_ALLOW);
	assert_has(rig_log(&r), "oops");
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:3"), VERDICT_ALLOW);
	assert_has(rig_log(&r), "tcp 10.0.0.1:40002 -> 198.51.100.7:3");
	rig_close(&r);
}

static void on_close_sees_the_final_values_once(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	rig_open(&r);
	rig_run(&r,
		"local kept\n"
		"nsnet.on_connect(function(c) kept = c; c.ctx.n = 5; c:tag 'a'; c:tag 'b'\n"
		"  assert(c.close_reason == nil and c.verdict == nil)\n"
		"  return nsnet.redirect '198.51.100.9:80' end)\n"
		"nsnet.on_close(function(c)\n"
		"  assert(c == kept)\n"
		"  nsnet.log.info('%s %s %s %d %d %d %s %s %s', c.address, c.verdict, c.rule, "
		"c.ctx.n,\n"
		"    c.bytes_up, c.bytes_down, c.close_reason, c.tags, c.target)\n"
		"end)\n"
		"nsnet.on_flow(function()\n"
		"  nsnet.log.info('later: %s %s %s %d', kept.verdict, kept.tags, tostring(kept), "
		"kept.ctx.n)\n"
		"  kept:tag('x') end)\n");
	assert_true(rig_ask(&r, &f, IPPROTO_TCP, PUBLIC));
	f.flow.bytes_up = 10;
	f.flow.bytes_down = 20;
	rig_end(&r, &f, FLOW_CAUSE_CHILD_RESET);
	assert_string_equal(rig_log(&r),
		"nsnet-host: 198.51.100.7:443 redirect rules.lua:2 5 10 20 reset by child a,b "
		"198.51.100.9:80\n");
	/* The object outlives the flow: fields stay, verbs raise. */
	assert_int_equal(rig_verdict(&r, IPPROTO_UDP, PUBLIC), VERDICT_DROP);
	const char *log = rig_log(&r);
	assert_has(log, "later: redirect a,b tcp 10.0.0.1:40000 -> 198.51.100.7:443 5");
	assert_has(log, "conn:tag: the connection has ended");
	rig_close(&r);
}

static void log_conn_tells_what_is_known_by_then(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	rig_open(&r);
	rig_run(&r,
		"nsnet.on_connect({ observe = true }, nsnet.log.conn)\n"
		"nsnet.on_connect(function(c) if c.dst_port == 25 then return nsnet.deny 'no\\27' "
		"end "
		"end)\n"
		"nsnet.on_close(nsnet.log.conn)\n");
	assert_true(rig_ask(&r, &f, IPPROTO_TCP, PUBLIC));
	assert_string_equal(rig_log(&r), "nsnet-host: tcp 10.0.0.1:40000 -> 198.51.100.7:443\n");
	f.flow.bytes_up = 517;
	f.flow.bytes_down = 34100;
	rig_end(&r, &f, FLOW_CAUSE_CHILD_RESET);
	const char *log = rig_log(&r);
	assert_has(log, "-> 198.51.100.7:443 allow, 517 up, 34.1k down, ");
	assert_has(log, " ms, reset by child\n");
	/* An error's text is another's. */
	assert_true(rig_ask(&r, &f, IPPROTO_TCP, PUBLIC));
	rig_log(&r);
	f.flow.error = ECONNREFUSED;
	rig_end(&r, &f, FLOW_CAUSE_DIAL_FAILED);
	assert_has(rig_log(&r), ", dial failed: Connection refused\n");
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:25"), VERDICT_DENY);
	assert_has(rig_log(&r), "-> 198.51.100.7:25 deny by rules.lua:2: no\\x1b, 0 up, 0 down, ");
	rig_close(&r);
}

static void close_ends_the_flow_from_the_loop(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	rig_open(&r);
	rig_run(&r,
		"nsnet.on_connect(function(c) c:close() c:close() end)\n"
		"nsnet.on_close(function(c) print(c.close_reason) end)\n");
	assert_true(rig_ask(&r, &f, IPPROTO_TCP, PUBLIC));
	assert_int_equal(f.aborted, 0);
	ev_run(r.loop, EVRUN_ONCE);
	assert_int_equal(f.aborted, 1);
	assert_int_equal(f.flow.state, FLOW_STATE_ENDED);
	assert_string_equal(rig_log(&r), "nsnet-host: aborted\n");
	flow_remove(&f.flow);
	rig_close(&r);
}

static void close_says_why(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	rig_open(&r);
	rig_run(&r,
		"nsnet.on_connect(function(c)\n"
		"  assert(not pcall(c.close, c, 7) and not pcall(c.close, c, {}))\n"
		"  assert(not pcall(c.close, c, '') and not pcall(c.close, c, ('x'):rep(256)))\n"
		"  c:close('first') c:close('too \\27 late') c:close(nil) end)\n"
		"nsnet.on_close(function(c) print(c.close_reason, c.dial_error) end)\n");
	assert_true(rig_ask(&r, &f, IPPROTO_TCP, PUBLIC));
	ev_run(r.loop, EVRUN_ONCE);
	assert_int_equal(f.aborted, 1);
	assert_string_equal(rig_log(&r), "nsnet-host: too \\x1b late\tnil\n");
	assert_string_equal(tell_error(&f.flow), "too \33 late");
	flow_remove(&f.flow);
	/* The reason of one that ended otherwise is how it ended. */
	assert_true(rig_ask(&r, &f, IPPROTO_TCP, PUBLIC));
	policy_end(&r.policy, &f.flow, FLOW_CAUSE_CHILD_RESET, 0);
	assert_string_equal(rig_log(&r), "nsnet-host: reset by child\tnil\n");
	flow_remove(&f.flow);
	rig_close(&r);
}

static void a_rule_with_when_asks_lua(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"nsnet.default(nsnet.deny)\n"
		"nsnet.rules {\n"
		"  { port = 1, when = function(c) return c.src_port % 2 == 0 end, nsnet.allow },\n"
		"  { port = 2, when = function() error 'pred' end, nsnet.deny },\n"
		"  { port = 2, nsnet.allow },\n"
		"  { port = 3, when = function() return 1 end, nsnet.allow },\n"
		"  { name = 'last', port = 4, when = function() return nil end, nsnet.deny },\n"
		"  { port = 4, nsnet.allow },\n"
		"}\n");
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:1"), VERDICT_ALLOW);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:1"), VERDICT_DENY);
	/* An error in a condition is no "does not match": the chain ends there. */
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:2"), VERDICT_DENY);
	assert_has(rig_log(&r), "rules.lua:4: pred");
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:3"), VERDICT_DENY);
	assert_has(rig_log(&r), "when returned a number; return true or false");
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:4"), VERDICT_ALLOW);
	rig_close(&r);
}

static void hooks_nobody_wants_are_null(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r, "nsnet.default(nsnet.deny)");
	assert_null(r.policy.hooks->connect);
	assert_null(r.policy.hooks->flow);
	assert_null(r.policy.hooks->packet);
	assert_true(r.policy.default_deny);
	rig_close(&r);
	rig_open(&r);
	rig_run(&r, "nsnet.on_flow(function() end)");
	assert_null(r.policy.hooks->connect);
	assert_non_null(r.policy.hooks->flow);
	rig_close(&r);
}

/* What loads without an error is what its writer meant. */
static void a_script_that_contradicts_itself_does_not_load(void **state)
{
	static const char *const scripts[][2] = {
		{"nsnet.default(nsnet.deny)\nnsnet.default(nsnet.allow)",
			"rules.lua:2: nsnet.default(nsnet.allow) contradicts the one at "
			"rules.lua:1; "
			"keep one"},
		{"nsnet.on_connect({ network = 'udp' }, function() end)",
			"nsnet.on_connect is never called for this network; nsnet.on_flow is for"},
		{"nsnet.on_flow({ network = 'tcp' }, function() end)",
			"nsnet.on_flow is never called for this network; nsnet.on_connect is for"},
		{"nsnet.on_first_bytes({ network = 'udp' }, function() end)",
			"nsnet.on_first_bytes is never called for this network"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
		struct rig r;
		rig_open(&r);
		assert_int_not_equal(rig_load(&r, scripts[i][0]), 0);
		assert_has(rig_log(&r), scripts[i][1]);
		rig_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(a_wrong_answer_denies),
		rig_test(nil_or_nothing_is_no_opinion),
		rig_test(an_error_denies_and_names_the_line),
		rig_test(every_verdict_arrives_with_its_parts),
		rig_test(only_a_network_that_means_it_names_the_host),
		rig_test(the_first_verdict_wins_and_guards_come_first),
		rig_test(an_observer_decides_nothing),
		rig_test(on_close_sees_the_final_values_once),
		rig_test(log_conn_tells_what_is_known_by_then),
		rig_test(close_ends_the_flow_from_the_loop),
		rig_test(close_says_why),
		rig_test(a_rule_with_when_asks_lua),
		rig_test(hooks_nobody_wants_are_null),
		rig_test(a_script_that_contradicts_itself_does_not_load),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
