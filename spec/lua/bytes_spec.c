/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spec/lua/rig.h"

#define PUBLIC "198.51.100.7:443"

/* Opens a flow that was allowed, as the core would. */
static void open_flow(struct rig *r, struct rig_flow *f)
{
	assert_true(rig_ask(r, f, IPPROTO_TCP, PUBLIC));
	assert_int_equal(f->flow.decision.verdict, VERDICT_ALLOW);
	flow_set_state(&f->flow, FLOW_STATE_DIALING);
	flow_set_state(&f->flow, FLOW_STATE_OPEN);
}

static enum verdict show(struct rig *r, struct rig_flow *f, const char *bytes, bool more)
{
	return policy_first_bytes(&r->policy, &f->flow, bytes, strlen(bytes), more);
}

static void first_bytes_decide(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	rig_open(&r);
	rig_run(&r,
		"nsnet.on_first_bytes({ port = 443, observe = true }, function(c, b) "
		"print(c.dst_port, #b) end)\n"
		"nsnet.on_first_bytes({ port = 443 }, function(_, b)\n"
		"  if b:find '^GET ' then return nsnet.deny 'plain' end end)\n");
	open_flow(&r, &f);
	assert_true(f.flow.decision.first_bytes);
	assert_false(f.flow.decision.data);
	assert_int_equal(show(&r, &f, "GET / HTTP/1.1\r\n", true), VERDICT_DENY);
	assert_string_equal(f.flow.decision.reason, "plain");
	assert_string_equal(f.flow.decision.rule, "rules.lua:2");
	rig_end(&r, &f, FLOW_CAUSE_DENIED);
	open_flow(&r, &f);
	assert_int_equal(show(&r, &f, "\x16\x03", true), VERDICT_ALLOW);
	rig_end(&r, &f, FLOW_CAUSE_CLOSED);
	const char *log = rig_log(&r);
	assert_has(log, "nsnet-host: 443\t16\n");
	assert_has(log, "nsnet-host: 443\t2\n");
	/* Nobody wants those of another port. */
	assert_true(rig_ask(&r, &f, IPPROTO_TCP, "198.51.100.7:80"));
	assert_false(f.flow.decision.first_bytes);
	rig_end(&r, &f, FLOW_CAUSE_CLOSED);
	rig_close(&r);
}

static void peek_waits_for_more_and_consumes_nothing(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	rig_open(&r);
	rig_run(&r,
		"nsnet.on_first_bytes(function(c, b)\n"
		"  assert(b == 'a' and c:peek() == 'a' and c:peek(1) == 'a')\n"
		"  assert(not pcall(c.peek, c, 3, 0.3))\n"
		"  local p = c:peek(3)\n"
		"  if p == 'abc' then p = c:peek(5) end\n"
		"  print(p)\n"
		"  nsnet.sleep(0.001)\n"
		"  assert(c:peek(2) == p)\n"
		"  local ok, err = pcall(c.peek, c, 100)\n"
		"  assert(#p == 4 or not ok and err:find 'before any other waiting', err)\n"
		"  if p ~= 'abcde' then return nsnet.deny 'short' end\n"
		"end)\n"
		"nsnet.on_connect(function(c) local ok, err = pcall(c.peek, c)\n"
		"  assert(not ok and err:find 'conn:peek is for on_first_bytes', err) end)\n");
	open_flow(&r, &f);
	assert_int_equal(show(&r, &f, "a", true), VERDICT_MORE);
	assert_int_equal(show(&r, &f, "ab", true), VERDICT_MORE);
	assert_int_equal(show(&r, &f, "abc", true), VERDICT_MORE);
	assert_int_equal(show(&r, &f, "abcde", true), VERDICT_PENDING);
	rig_wait(&r, &f);
	assert_int_equal(f.flow.decision.verdict, VERDICT_ALLOW);
	rig_end(&r, &f, FLOW_CAUSE_CLOSED);
	/* No more come: peek gives what there is. */
	open_flow(&r, &f);
	assert_int_equal(show(&r, &f, "a", true), VERDICT_MORE);
	assert_int_equal(show(&r, &f, "abcd", false), VERDICT_PENDING);
	rig_wait(&r, &f);
	assert_int_equal(f.flow.decision.verdict, VERDICT_DENY);
	rig_end(&r, &f, FLOW_CAUSE_DENIED);
	/* Abandoned while it waits for bytes. */
	open_flow(&r, &f);
	assert_int_equal(show(&r, &f, "a", true), VERDICT_MORE);
	rig_end(&r, &f, FLOW_CAUSE_CHILD_RESET);
	const char *log = rig_log(&r);
	assert_has(log, "nsnet-host: abcde\n");
	assert_has(log, "nsnet-host: abcd\n");
	rig_close(&r);
}

static void a_wrong_answer_to_first_bytes_resets(void **state)
{
	(void)state;
	static const char *const wrong[][2] = {{"true", "a boolean"}, {"1", "a number"},
		{"'x'", "a string"}, {"{}", "a table"},
		{"nsnet.redirect '198.51.100.8:1'", "nsnet.redirect"},
		{"nsnet.via(print)", "nsnet.via"}, {"nil, 1", "2 values"}, {"error 'boom'", NULL}};
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct rig r;
		struct rig_flow f;
		char code[128], text[128];
		rig_open(&r);
		snprintf(code, sizeof(code), "nsnet.on_first_bytes(function() return %s end)",
			wrong[i][0]);
		rig_run(&r, code);
		open_flow(&r, &f);
		assert_int_equal(show(&r, &f, "x", true), VERDICT_DENY);
		snprintf(text, sizeof(text), "on_first_bytes returned %s; return nsnet.allow",
			wrong[i][1]);
		assert_has(rig_log(&r), wrong[i][1] ? text : "boom");
		rig_end(&r, &f, FLOW_CAUSE_DENIED);
		rig_close(&r);
	}
}

static int pass(struct rig *r, struct rig_flow *f, enum hook_dir dir, const char *in, char *out)
{
	void *other = NULL;
	size_t len = 0;
	int rc = policy_data(&r->policy, &f->flow, dir, in, strlen(in), &other, &len);
	snprintf(out, 64, "%.*s", (int)len, other ? (char *)other : "");
	free(other);
	return rc;
}

static void data_is_seen_and_replaced(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	char out[64];
	rig_open(&r);
	rig_run(&r,
		"nsnet.on_data({ port = 443, dir = 'up' }, function(c, dir, b)\n"
		"  assert(dir == 'up')\n"
		"  if b == 'stop' then return nsnet.deny end\n"
		"  if b == 'bad' then return 7 end\n"
		"  if b == 'eat' then return '' end\n"
		"  return (b:gsub('cat', 'dog')) end)\n"
		"nsnet.on_data(function(_, dir, b) if dir == 'up' then return b .. '!' end end)\n");
	open_flow(&r, &f);
	assert_true(f.flow.decision.data);
	assert_int_equal(pass(&r, &f, HOOK_DIR_OUT, "a cat", out), 1);
	assert_string_equal(out, "a dog!");
	assert_int_equal(pass(&r, &f, HOOK_DIR_OUT, "eat", out), 1);
	assert_string_equal(out, "!");
	assert_int_equal(pass(&r, &f, HOOK_DIR_IN, "a cat", out), 0);
	assert_string_equal(rig_log(&r), "");
	assert_int_equal(pass(&r, &f, HOOK_DIR_OUT, "stop", out), -ECONNABORTED);
	assert_string_equal(rig_log(&r), "");
	assert_int_equal(pass(&r, &f, HOOK_DIR_OUT, "bad", out), -ECONNABORTED);
	assert_has(rig_log(&r), "on_data returned a number; return nil, a string or nsnet.deny");
	rig_end(&r, &f, FLOW_CAUSE_ABORTED);
	rig_close(&r);
}

static void limits_are_numbers_for_the_relay(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f, g;
	rig_open(&r);
	rig_run(&r,
		"local shared = nsnet.bucket { rate = 1000, burst = 50 }\n"
		"nsnet.on_connect(function(c)\n"
		"  c:limit { up = 2000, down = shared, latency = 0.15, jitter = 0.05 }\n"
		"  c:limit { reset_after = 4096, seed = 7 }\n"
		"  for _, bad in ipairs { { up = 0 }, { up = 'x' }, { latency = -1 }, { speed = 1 "
		"},\n"
		"    { latency = 61 }, { reset_after = 0 } } do\n"
		"    assert(not pcall(c.limit, c, bad))\n"
		"  end\n"
		"end)\n"
		"nsnet.on_close(function(c) local ok, err = pcall(c.limit, c, { up = 1 })\n"
		"  assert(not ok and err:find 'before the connection is made', err) end)\n"
		"nsnet.on_flow(function(c) c:limit { up = 1 } end)\n");
	open_flow(&r, &f);
	open_flow(&r, &g);
	assert_non_null(f.flow.shape);
	assert_true(f.flow.shape->up->rate == 2000 && f.flow.shape->up->burst == 16384);
	assert_true(f.flow.shape->down->rate == 1000 && f.flow.shape->down->burst == 50);
	assert_ptr_equal(f.flow.shape->down, g.flow.shape->down);
	assert_ptr_not_equal(f.flow.shape->up, g.flow.shape->up);
	assert_true(f.flow.shape->latency_s == 0.15 && f.flow.shape->jitter_s == 0.05);
	assert_int_equal(f.flow.shape->reset_after, 4096);
	assert_int_equal(f.flow.shape->random, 7);
	assert_string_equal(rig_log(&r), "");
	rig_end(&r, &f, FLOW_CAUSE_CLOSED);
	rig_end(&r, &g, FLOW_CAUSE_CLOSED);
	assert_int_equal(rig_verdict(&r, IPPROTO_UDP, PUBLIC), VERDICT_DROP);
	assert_has(rig_log(&r), "conn:limit is for TCP");
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(first_bytes_decide),
		rig_test(peek_waits_for_more_and_consumes_nothing),
		rig_test(a_wrong_answer_to_first_bytes_resets),
		rig_test(data_is_seen_and_replaced),
		rig_test(limits_are_numbers_for_the_relay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
