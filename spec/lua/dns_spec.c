/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spec/lua/rig.h"

#include "spec/lua/asking.h"
#include "spec/support/stage.h"

#define ASKED (-2)
#define SILENCE (-1)

static void handlers_see_the_question_and_decide(void **state)
{
	(void)state;
	struct rig r;
	asking_open(&r,
		"nsnet.on_dns(function(q)\n"
		"  print(q, q.name, q.type, q.src_ip, q.network, q.server, q.src_port > 0)\n"
		"  if q.name == 'refused.example' then return nsnet.deny 'because' end\n"
		"  if q.name == 'absent.example' then\n"
		"    return nsnet.deny { style = 'unreachable' } end\n"
		"  if q.name == 'silent.example' then return nsnet.drop end\n"
		"  if q.name == 'plain.example' then return q:forward() end\n"
		"  if q.name == 'allowed.example' then return nsnet.allow end\n"
		"  if q.name == 'other.example' then return q:forward '192.0.2.53' end\n"
		"  if q.name == 'port.example' then return q:forward '[2001:db8::53]:5353' end\n"
		"end)");
	char text[ADDR_TEXT_MAX];
	assert_int_equal(ask(&r, "Refused.Example"), DNSMSG_RCODE_REFUSED);
	const char *log = rig_log(&r);
	assert_has(log,
		"dns refused.example A\trefused.example\tA\t10.0.0.1\tudp\t10.0.0.53"
		"\ttrue");
	assert_has(log, "dns: refused.example A denied (REFUSED) by rules.lua:1: because");
	assert_int_equal(ask(&r, "absent.example"), DNSMSG_RCODE_NXDOMAIN);
	assert_int_equal(ask(&r, "silent.example"), SILENCE);
	assert_int_equal(ask(&r, "plain.example"), ASKED);
	assert_int_equal(asked_server.v, 0);
	assert_int_equal(ask(&r, "allowed.example"), ASKED);
	assert_int_equal(ask(&r, "nobody.cares.example"), ASKED);
	assert_int_equal(ask(&r, "other.example"), ASKED);
	assert_string_equal(addr_format(&asked_server, true, text), "192.0.2.53:53");
	assert_int_equal(ask(&r, "port.example"), ASKED);
	assert_string_equal(addr_format(&asked_server, true, text), "[2001:db8::53]:5353");
	assert_int_equal(lua_host_errors(r.host), 0);
	asking_close(&r);
}

static void a_script_answers_itself(void **state)
{
	(void)state;
	struct rig r;
	asking_open(&r,
		"local table = { a = { '192.0.2.1', '192.0.2.2' }, aaaa = '2001:db8::1', ttl = 7 "
		"}\n"
		"nsnet.on_dns({ domain = 'a.example' }, function(q) return q:answer(table) end)\n"
		"nsnet.on_dns({ domain = 'c.example' }, function(q)\n"
		"  return q:answer { cname = 'Target.Example.', a = '192.0.2.3' } end)\n"
		"nsnet.on_dns({ domain = 't.example' }, function(q)\n"
		"  return q:answer { txt = { 'hello', ('x'):rep(300) }, ttl = 0 } end)\n"
		"nsnet.on_dns({ domain = 'none.example' }, function(q) return q:answer {} end)\n");
	assert_int_equal(ask(&r, "a.example"), 0);
	assert_string_equal(records(), "a.example A 7 192.0.2.1; a.example A 7 192.0.2.2; ");
	assert_int_not_equal(answered.opt, 0);
	assert_int_equal(answered.id, 0x1234);
	assert_int_equal(ask_type(&r, "a.example", DNSMSG_TYPE_AAAA), 0);
	assert_string_equal(records(), "a.example AAAA 7 2001:db8::1; ");
	assert_int_equal(ask_type(&r, "a.example", DNSMSG_TYPE_HTTPS), 0);
	assert_string_equal(records(), "");
	assert_int_equal(ask_type(&r, "a.example", 255), 0);
	assert_int_equal(answered.answers, 3);
	assert_int_equal(ask(&r, "c.example"), 0);
	assert_string_equal(records(),
		"c.example CNAME 60 target.example; target.example A 60 192.0.2.3; ");
	assert_int_equal(ask_type(&r, "t.example", DNSMSG_TYPE_TXT), 0);
	assert_string_equal(records(), "t.example TXT 0 6 bytes; t.example TXT 0 302 bytes; ");
	assert_int_equal(ask(&r, "none.example"), 0);
	assert_string_equal(records(), "");
	assert_int_equal(asked_total, 0);
	assert_int_equal(lua_host_errors(r.host), 0);
	asking_close(&r);
}

/* An answer counts only if it is the verdict; otherwise it was never given. */
static void an_answer_that_is_not_returned_is_none(void **state)
{
	(void)state;
	struct rig r;
	asking_open(&r,
		"nsnet.on_dns({ domain = 'a.example' }, function(q) q:answer { a = '192.0.2.1' } "
		"end)\n"
		"nsnet.on_dns({ domain = 'a.example' }, function(q) return q:forward() end)\n"
		"local kept\n"
		"nsnet.on_dns({ domain = 'b.example' }, function(q)\n"
		"  kept = kept or q:answer { a = '192.0.2.1' } return kept end)\n"
		"nsnet.on_dns({ domain = 'c.example' }, function(q)\n"
		"  local first = q:answer { a = '192.0.2.1' } q:answer { a = '192.0.2.2' }\n"
		"  return first end)\n"
		"nsnet.on_dns({ domain = 'd.example' }, function(q)\n"
		"  q:answer { a = '192.0.2.1' } return kept end)\n"
		"nsnet.on_connect(function() return kept end)\n");
	assert_int_equal(ask(&r, "a.example"), ASKED);
	assert_int_equal(ask(&r, "b.example"), 0);
	assert_int_equal(lua_host_errors(r.host), 0);
	assert_int_equal(ask(&r, "c.example"), DNSMSG_RCODE_SERVFAIL);
	assert_has(rig_log(&r), "rules.lua:6: on_dns returned an answer to another question");
	assert_int_equal(ask(&r, "d.example"), DNSMSG_RCODE_SERVFAIL);
	asking_close(&r);
}

static void errors_are_servfail_and_name_the_line(void **state)
{
	static const struct {
		const char *code, *message;
	} row[] = {
		{"error 'boom'", "rules.lua:2: boom"},
		{"return true",
			"rules.lua:1: on_dns returned a boolean for a.example; return query:"},
		{"return 'allow'", "returned a string"},
		{"return nsnet.allow, 1", "returned 2 values"},
		{"return nsnet.via(print)", "returned nsnet.via"},
		{"return q", "returned a userdata"},
		{"q.answer { a = '192.0.2.1' }",
			"query.answer was called on a table; use query:answer(...), with a colon"},
		{"q.name = 'x'", "query.name cannot be set; return query:answer{...}"},
		{"return q.sni", "query has no field 'sni'"},
		{"return q:answer { a = 'x' }", "query:answer: \"x\" is no IPv4 address"},
		{"return q:answer { a = '2001:db8::1' }", "is no IPv4 address"},
		{"return q:answer { aaaa = '192.0.2.1' }", "is no IPv6 address"},
		{"return q:answer { a = '192.0.2.1:80' }", "is no IPv4 address"},
		{"return q:answer { a = { 1 } }",
			"a= must be a string or a list of them, not a number"},
		{"return q:answer { cname = 'a..b' }", "cname=\"a..b\" is no name"},
		{"return q:answer { ttl = -1 }", "ttl= must be 0 to"},
		{"return q:answer { ttl = '5' }", "ttl= must be 0 to"},
		{"return q:answer { A = '192.0.2.1' }", "query:answer: unknown option 'A'"},
		{"return q:answer()", "rules.lua:1: query:answer takes a table, not nothing"},
		{"return q:answer { a = '192.0.2.1\\0.9' }", "is no IPv4 address"},
		{"return q:answer { a = { '192.0.2.1', x = '192.0.2.2' } }",
			"a= must be a list; 'x'"},
		{"return q:answer { cname = 'a.test\\0.example' }", "is no name"},
		{"return q:forward {}", "rules.lua:1: query:forward takes a string, not a table"},
		{"local t = {} for i = 1, 500 do t[i] = '192.0.2.1' end return q:answer { a = t }",
			"the answer is longer than 4096 bytes"},
		{"return q:forward 'example.com'",
			"\"example.com\" is no IP address of a name server"},
		{"while true do end", "CPU budget of 10 ms exceeded"},
		{"local function f() return f() + 1 end f()", "stack overflow"},
		/* Each turn is within its budget, all together are not. */
		{"while true do local from = os.clock() repeat until os.clock() - from >= 0.004 "
		 "nsnet.sleep(0) end",
			"the CPU budget for one connection or question is spent"},
	};

	(void)state;
	/* Under valgrind the budget of the last is longer than any question may wait. */
	for (size_t i = 0; i < ARRAY_LEN(row) - (size_t)stage_is_valgrind(); i++) {
		struct rig r;
		char code[512];
		snprintf(code, sizeof(code), "nsnet.on_dns(function(q)\n%s\nend)", row[i].code);
		asking_open(&r, code);
		assert_int_equal(ask(&r, "a.example"), DNSMSG_RCODE_SERVFAIL);
		const char *log = rig_log(&r);
		assert_has(log, row[i].message);
		assert_int_equal(lua_host_errors(r.host), 1);
		asking_close(&r);
	}
}

static void filters_say_which_questions(void **state)
{
	(void)state;
	struct rig r;
	asking_open(&r,
		"local set = nsnet.domains { '*.set.example' }\n"
		"nsnet.on_dns({ domain = { '.a.example', 'b.example' }, type = { 'a', 'TYPE64' } "
		"},\n"
		"  function() return nsnet.deny end)\n"
		"nsnet.on_dns({ domain = set }, function() return nsnet.deny end)\n"
		"nsnet.on_dns({ type = 'TXT' }, function() return nsnet.drop end)\n"
		"nsnet.on_dns({ observe = true }, function(q) print('saw', q.name) error 'x' end)\n"
		"set = nil\n");
	assert_int_equal(ask(&r, "x.A.example"), DNSMSG_RCODE_REFUSED);
	assert_int_equal(ask(&r, "a.example"), DNSMSG_RCODE_REFUSED);
	assert_int_equal(ask(&r, "xa.example"), ASKED);
	assert_int_equal(ask(&r, "b.example"), DNSMSG_RCODE_REFUSED);
	assert_int_equal(ask(&r, "x.b.example"), ASKED);
	assert_int_equal(ask_type(&r, "b.example", DNSMSG_TYPE_AAAA), ASKED);
	assert_int_equal(ask_type(&r, "b.example", 64), DNSMSG_RCODE_REFUSED);
	assert_int_equal(ask(&r, "x.set.example"), DNSMSG_RCODE_REFUSED);
	assert_int_equal(ask(&r, "set.example"), ASKED);
	assert_int_equal(ask_type(&r, "anything", DNSMSG_TYPE_TXT), SILENCE);
	const char *log = rig_log(&r);
	assert_has(log, "saw\txa.example");
	assert_has(log, ": x (in on_dns)");
	asking_close(&r);
}

static void a_wrong_filter_does_not_load(void **state)
{
	static const struct {
		const char *code, *message;
	} row[] = {
		{"nsnet.on_dns({ domian = 'a' }, print)", "nsnet.on_dns: unknown option 'domian'"},
		{"nsnet.on_dns({ domain = {} }, print)", "domain={} is empty"},
		{"nsnet.on_dns({ domain = 'a b' }, print)", "domain=\"a b\" is no domain name"},
		{"nsnet.on_dns({ domain = 1 }, print)", "domain= must be a name like"},
		{"nsnet.on_dns({ type = 'AA' }, print)", "type=\"AA\" is no type of DNS record"},
		{"nsnet.on_dns({ type = 'TYPE65536' }, print)", "is no type of DNS record"},
		{"nsnet.on_dns({ type = 1 }, print)", "type= must be a string"},
		{"nsnet.on_dns 'a'", "the last argument is a string"},
		{"nsnet.on_dns('a', print)", "the filter must be a table, not a string"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct rig r;
		rig_open(&r);
		assert_int_equal(rig_load(&r, row[i].code), 70);
		assert_has(rig_log(&r), row[i].message);
		rig_close(&r);
	}
}

static void handlers_may_wait_and_others_go_on(void **state)
{
	(void)state;
	struct rig r;
	asking_open(&r,
		"nsnet.on_dns({ domain = 'slow.example' }, function(q)\n"
		"  nsnet.sleep(0.01) end)\n"
		"nsnet.on_dns({ domain = '.example' }, function(q)\n"
		"  nsnet.sleep(0.001) return q:answer { a = '192.0.2.9' } end)\n");
	begin(&question, "slow.example", 1);
	put_question(false);
	begin(&question, "quick.example", 1);
	put_question(true);
	for (int i = 0; i < 10000 && heard < 1; i++)
		ev_run(r.loop, EVRUN_ONCE);
	assert_string_equal(records(), "quick.example A 60 192.0.2.9; ");
	for (int i = 0; i < 10000 && heard < 2; i++)
		ev_run(r.loop, EVRUN_ONCE);
	assert_string_equal(records(), "slow.example A 60 192.0.2.9; ");
	assert_int_equal(lua_host_errors(r.host), 0);
	asking_close(&r);
}

static void waiting_has_an_end(void **state)
{
	(void)state;
	struct rig r;
	asking_open(&r, "nsnet.on_dns(function(q) nsnet.sleep(100) end)");
	begin(&question, "a.example", 1);
	put_question(false);
	advance(r.loop, 4);
	assert_int_equal(heard, 0);
	advance(r.loop, 2);
	assert_int_equal(heard, 1);
	assert_int_equal(answered.rcode, DNSMSG_RCODE_SERVFAIL);
	assert_has(rig_log(&r), "rules.lua:1: no verdict about a.example within 5 s (in on_dns)");
	assert_int_equal(asked_total, 0);
	asking_close(&r);
}

/* The front gives up, the object lives on in the script. */
static void a_question_that_is_given_up_is_never_resumed(void **state)
{
	(void)state;
	struct rig r;
	asking_open(&r,
		"local kept\n"
		"nsnet.on_dns({ domain = 'a.example' }, function(q)\n"
		"  kept = q nsnet.sleep(1) print 'resumed' end)\n"
		"nsnet.on_dns({ domain = 'b.example' }, function(q)\n"
		"  print(kept.name, pcall(kept.answer, kept, { a = '192.0.2.1' })) end)\n");
	begin(&question, "a.example", 1);
	put_question(false);
	run_now(r.loop);
	dnsquery_pool_fini(&pool); /* ends it */
	advance(r.loop, 2);
	assert_int_equal(heard, 0);
	assert_null(strstr(rig_log(&r), "resumed"));
	assert_int_equal(ask(&r, "b.example"), ASKED);
	assert_has(rig_log(&r), "a.example\tfalse\tquery:answer: the question was answered");
	asking_close(&r);
}

static void reloads_leave_what_waits_with_its_rules(void **state)
{
	(void)state;
	struct rig r;
	asking_open(&r,
		"nsnet.on_dns(function(q)\n"
		"  if nsnet.reloading then return nsnet.deny end\n"
		"  nsnet.sleep(3) return q:answer { a = '192.0.2.1' } end)\n");
	begin(&question, "a.example", 1);
	put_question(false);
	run_now(r.loop);
	assert_int_equal(heard, 0);
	assert_int_equal(lua_host_reload(r.host), 0);
	assert_int_equal(ask(&r, "b.example"), DNSMSG_RCODE_REFUSED);
	advance(r.loop, 3.1);
	assert_int_equal(heard, 2);
	assert_string_equal(records(), "a.example A 60 192.0.2.1; ");
	asking_close(&r);
}

/* Who may be asked about: rules, the default, a name, what becomes of it. */
static void rules_decide_what_may_be_asked(void **state)
{
	static const char mine[] = "{ domain = '.mine.test', port = 443, nsnet.allow }";
	static const char bad[] = "{ domain = '.bad.test', nsnet.deny 'bad' }";
	static const struct {
		const char *rules;
		bool deny; /* by default */
		const char *name;
		int outcome;
	} row[] = {
		{mine, true, "mine.test", ASKED},
		{mine, true, "X.Mine.TEST", ASKED},
		{mine, true, "yours.test", DNSMSG_RCODE_REFUSED},
		{mine, true, "xmine.test", DNSMSG_RCODE_REFUSED},
		{mine, true, "mine.test.evil", DNSMSG_RCODE_REFUSED},
		{mine, true, "x\\.mine.test", DNSMSG_RCODE_REFUSED},
		{mine, true, "x\\000.mine.test", DNSMSG_RCODE_REFUSED},
		{mine, true, "a b.mine.test", DNSMSG_RCODE_REFUSED},
		{mine, true, "\\195\\164.mine.test", DNSMSG_RCODE_REFUSED},
		{mine, true, ".", DNSMSG_RCODE_REFUSED},
		{mine, false, "yours.test", ASKED},
		{bad, false, "good.test", ASKED},
		{bad, false, "bad.test", DNSMSG_RCODE_REFUSED},
		{bad, false, "a.bad.test", DNSMSG_RCODE_REFUSED},
		{bad, false, "a\\.b.bad.test", DNSMSG_RCODE_REFUSED},
		{bad, false, "a/b.bad.test", DNSMSG_RCODE_REFUSED},
		{bad, true, "good.test", DNSMSG_RCODE_REFUSED},
		{"{ port = 443, nsnet.allow }", true, "a.test", DNSMSG_RCODE_REFUSED},
		{"{ port = 443, nsnet.allow }", false, "a b.test", ASKED},
		{"{ network = 'dns', nsnet.allow }", true, "a.test", ASKED},
		{"{ network = 'dns', nsnet.deny }", false, "a.test", DNSMSG_RCODE_REFUSED},
		{"{ network = 'dns', nsnet.deny { style = 'unreachable' } }", false, "a.test",
			DNSMSG_RCODE_NXDOMAIN},
		{"{ network = 'dns', nsnet.drop }", false, "a.test", SILENCE},
		{"{ network = 'dns', nsnet.redirect '192.0.2.53' }", true, "a.test", ASKED},
		{"{ domain = 'a.test', nsnet.drop }", false, "a.test", DNSMSG_RCODE_REFUSED},
		{"{ domain = 'a.test', nsnet.redirect '192.0.2.1' }", true, "a.test", ASKED},
		{"{ domain = 'a.test', nsnet.allow }, { nsnet.deny }", false, "b.test",
			DNSMSG_RCODE_REFUSED},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		static const unsigned types[] = {DNSMSG_TYPE_A, DNSMSG_TYPE_TXT, DNSMSG_TYPE_HTTPS,
			0xfffe};
		struct rig r;
		char code[512];
		snprintf(code, sizeof(code), "nsnet.default(nsnet.%s) nsnet.rules { %s }",
			row[i].deny ? "deny" : "allow", row[i].rules);
		asking_open(&r, code);
		for (size_t k = 0; k < ARRAY_LEN(types); k++) {
			int outcome = ask_type(&r, row[i].name, types[k]);
			if (outcome != row[i].outcome)
				fail_msg("%s: %s is %d", code, row[i].name, outcome);
		}
		assert_int_equal(lua_host_errors(r.host), 0);
		asking_close(&r);
	}
}

static void rules_and_handlers_are_asked_in_their_order(void **state)
{
	(void)state;
	struct rig r;
	asking_open(&r,
		"nsnet.default(nsnet.deny)\n"
		"nsnet.on_dns({ domain = 'first.test' }, function(q) return nsnet.deny 'early' "
		"end)\n"
		"nsnet.rules { { domain = { 'first.test', 'second.test' }, nsnet.allow },\n"
		"  { name = 'corp', network = 'dns', domain = '.corp.test',\n"
		"    nsnet.redirect '192.0.2.53' } }\n"
		"nsnet.on_dns(function(q)\n"
		"  if q.name == 'second.test' then return nsnet.deny 'late' end\n"
		"  if q.name == 'third.test' then nsnet.sleep(0.001) return nsnet.allow end end)\n"
		"nsnet.on_connect({ domain = 'fourth.test' }, function() end)\n");
	advance(r.loop, 2); /* the limit of lines a second */
	char text[ADDR_TEXT_MAX];
	assert_int_equal(ask(&r, "first.test"), DNSMSG_RCODE_REFUSED);
	assert_has(rig_log(&r), "dns: first.test A denied (REFUSED) by rules.lua:2: early");
	assert_int_equal(ask(&r, "second.test"), ASKED);
	assert_int_equal(ask(&r, "third.test"), ASKED);
	assert_int_equal(ask(&r, "fourth.test"), ASKED);
	assert_int_equal(ask(&r, "a.corp.test"), ASKED);
	assert_string_equal(addr_format(&asked_server, true, text), "192.0.2.53:53");
	assert_int_equal(ask(&r, "fifth.test"), DNSMSG_RCODE_REFUSED);
	assert_int_equal(lua_host_errors(r.host), 0);
	asking_close(&r);
}

static void a_refusal_is_said_once_with_what_would_allow_it(void **state)
{
	(void)state;
	struct rig r;
	asking_open(&r,
		"nsnet.default(nsnet.deny) nsnet.rules { { domain = 'a.test', nsnet.allow } }");
	advance(r.loop, 2); /* the limit of lines a second */
	assert_int_equal(ask(&r, "B.test"), DNSMSG_RCODE_REFUSED);
	assert_string_equal(rig_log(&r),
		"nsnet-host: dns: b.test A denied (REFUSED) by default; { domain = \"b.test\", "
		"nsnet.allow } in a rule would allow it\n");
	assert_int_equal(ask_type(&r, "b.test", DNSMSG_TYPE_AAAA), DNSMSG_RCODE_REFUSED);
	assert_string_equal(rig_log(&r), "");
	assert_int_equal(ask(&r, "c.test"), DNSMSG_RCODE_REFUSED);
	assert_has(rig_log(&r), "dns: c.test A denied");
	advance(r.loop, DNSNEWS_SAID_S + 1);
	assert_int_equal(ask(&r, "b.test"), DNSMSG_RCODE_REFUSED);
	assert_has(rig_log(&r), "dns: b.test A denied");
	assert_int_equal(asked_total, 0);
	asking_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(handlers_see_the_question_and_decide),
		rig_test(a_script_answers_itself),
		rig_test(an_answer_that_is_not_returned_is_none),
		rig_test(errors_are_servfail_and_name_the_line),
		rig_test(filters_say_which_questions),
		rig_test(a_wrong_filter_does_not_load),
		rig_test(handlers_may_wait_and_others_go_on),
		rig_test(waiting_has_an_end),
		rig_test(a_question_that_is_given_up_is_never_resumed),
		rig_test(reloads_leave_what_waits_with_its_rules),
		rig_test(rules_decide_what_may_be_asked),
		rig_test(rules_and_handlers_are_asked_in_their_order),
		rig_test(a_refusal_is_said_once_with_what_would_allow_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
