/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spec/lua/rig.h"

#define PUBLIC "198.51.100.7:443"

/* Runs the loop until the script has printed @word, and returns the log. */
static const char *run_until(struct rig *r, const char *word)
{
	static char text[65536];
	text[0] = 0;
	for (int i = 0; i < 10000 && !strstr(text, word); i++) {
		ev_run(r->loop, EVRUN_ONCE);
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.8191s", rig_log(r));
	}
	assert_has(text, word);
	return text;
}

static void spawned_tasks_run_beside_the_rest(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"nsnet.spawn(function(a, b)\n"
		"  print('first', a, b)\n"
		"  local t = nsnet.spawn(function() nsnet.sleep(0.001) print('inner') end)\n"
		"  print('joined', t:join())\n"
		"  print('again', t:join())\n"
		"  local bad = nsnet.spawn(function() error 'oops' end)\n"
		"  print('failed', bad:join())\n"
		"  local late = nsnet.spawn(function() nsnet.sleep(100) end)\n"
		"  late:cancel() late:cancel()\n"
		"  print('cancelled', late:join())\n"
		"  local slow = nsnet.spawn(function() nsnet.sleep(100) end)\n"
		"  nsnet.after(0.001, function() slow:cancel() end)\n"
		"  print('slow', slow:join())\n"
		"  print 'end'\n"
		"end, 1, 'x')\n"
		"print 'loaded'\n");
	const char *log = run_until(&r, "nsnet-host: end\n");
	assert_has(log, "loaded\nnsnet-host: first\t1\tx\n");
	assert_has(log, "inner\nnsnet-host: joined\ttrue\n");
	assert_has(log, "again\ttrue\n");
	assert_has(log, "rules.lua:6: oops (in spawn)\n");
	assert_has(log, "failed\tnil\tthe task failed\tproto\n");
	assert_has(log, "cancelled\tnil\tthe task was cancelled\tcancelled\n");
	assert_has(log, "slow\tnil\tthe task was cancelled\tcancelled\n");
	rig_close(&r);
}

static void timers_fire_and_are_cancelled(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"local n = 0\n"
		"local every\n"
		"every = nsnet.every(0.001, function()\n"
		"  n = n + 1\n"
		"  if n == 1 then error 'once' end\n"
		"  nsnet.sleep(0.002)\n"
		"  if n < 3 then return end\n"
		"  every:cancel()\n"
		"  print 'three'\n"
		"  nsnet.after(0.01, function() print('end', n) end)\n"
		"end)\n"
		"nsnet.after(0, function() print 'after' end)\n"
		"nsnet.after(0.001, function() print 'never' end):cancel()\n");
	const char *log = run_until(&r, "end\t3\n");
	assert_has(log, "after\n");
	assert_has(log, "rules.lua:5: once (in every)\n");
	assert_has(log, "three\n");
	assert_null(strstr(log, "never"));
	rig_close(&r);
}

static void too_many_are_refused(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"for i = 1, 128 do nsnet.spawn(function() nsnet.sleep(100) end) end\n"
		"local ok, err = pcall(nsnet.spawn, print)\n"
		"assert(not ok and err:find 'nsnet.spawn: more than 128 at a time', err)\n"
		"for i = 1, 1024 do nsnet.after(100, print) end\n"
		"ok, err = pcall(nsnet.every, 1, print)\n"
		"assert(not ok and err:find 'more than 1024', err)\n"
		"for _, bad in ipairs { -1, 0 / 0, 1e10 } do\n"
		"  assert(not pcall(nsnet.after, bad, print))\n"
		"end\n"
		"assert(not pcall(nsnet.every, 0, print))\n"
		"assert(not pcall(nsnet.after, 1))\n");
	rig_close(&r);
}

/* A chain whose handlers wait holds the flow; each flow waits for itself. */
static void handlers_wait_and_the_chain_goes_on(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow a, b;
	rig_open(&r);
	rig_run(&r,
		"nsnet.default(nsnet.deny)\n"
		"local other = false\n"
		"nsnet.on_connect(function(c)\n"
		"  repeat nsnet.sleep(0.001) until other or c.dst_port == 1\n"
		"end)\n"
		"nsnet.rules { { port = 2, nsnet.allow },\n"
		"  { port = 1, when = function() nsnet.sleep(0.001) other = true return true end,\n"
		"    nsnet.allow } }\n"
		"nsnet.on_connect(function(c) nsnet.sleep(0.001) return nsnet.deny 'last' end)\n");
	assert_false(rig_ask(&r, &a, IPPROTO_TCP, "198.51.100.7:20"));
	assert_false(rig_ask(&r, &b, IPPROTO_TCP, "198.51.100.7:1"));
	rig_wait(&r, &b);
	assert_int_equal(b.flow.decision.verdict, VERDICT_ALLOW);
	assert_int_equal(a.decided, 0);
	rig_wait(&r, &a);
	assert_int_equal(a.flow.decision.verdict, VERDICT_DENY);
	assert_string_equal(a.flow.decision.reason, "last");
	rig_end(&r, &a, FLOW_CAUSE_DENIED);
	rig_end(&r, &b, FLOW_CAUSE_CLOSED);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:2"), VERDICT_ALLOW);
	rig_close(&r);
}

static void on_start_may_wait_and_may_refuse(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"nsnet.on_start(function() nsnet.sleep(0.001) print 'one' end)\n"
		"nsnet.on_start(function() print 'two' end)\n"
		"nsnet.on_exit(function(status) print('exit', status) end)\n"
		"nsnet.on_exit(function(status) error 'ignored' end)\n"
		"nsnet.on_exit(function(status) print('last', status) end)\n");
	assert_int_equal(lua_host_start(r.host), 0);
	assert_string_equal(rig_log(&r), "nsnet-host: one\nnsnet-host: two\n");
	lua_host_exit(r.host, 3);
	const char *log = rig_log(&r);
	assert_has(log, "exit\t3\n");
	assert_has(log, "last\t3\n");
	rig_close(&r);
	static const char *const bad[][2] = {
		{"return nil, 'the license server is down'",
			"rules.lua:1: on_start: the license server"},
		{"nsnet.sleep(0.001) return nil, 'later'", "on_start: later"},
		{"return false",
			"on_start returned a boolean; return nothing, or nil and the reason"},
		{"return 1, 2", "on_start returned several values"},
		{"error 'boom'", "rules.lua:1: boom"},
		{"nsnet.sleep(0.001) error 'late'", "rules.lua:1: late"},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char code[256];
		rig_open(&r);
		snprintf(code, sizeof(code), "nsnet.on_start(function() %s end)", bad[i][0]);
		rig_run(&r, code);
		assert_int_equal(lua_host_start(r.host), 70);
		assert_has(rig_log(&r), bad[i][1]);
		rig_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(spawned_tasks_run_beside_the_rest),
		rig_test(timers_fire_and_are_cancelled),
		rig_test(too_many_are_refused),
		rig_test(handlers_wait_and_the_chain_goes_on),
		rig_test(on_start_may_wait_and_may_refuse),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
