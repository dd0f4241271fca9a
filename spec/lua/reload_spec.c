/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>

#include "lua/stream.h"
#include "spec/lua/rig.h"

#define PUBLIC "198.51.100.7:443"

static char path[64];

static void put(const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void open_file(struct rig *r, const char *text)
{
	snprintf(path, sizeof(path), "/tmp/nsnet-spec-%d.lua", (int)getpid());
	put(text);
	rig_open(r);
	assert_int_equal(lua_host_add_file(r->host, path), 0);
	assert_int_equal(lua_host_load(r->host), 0);
	r->policy.hooks = lua_host_hooks(r->host);
}

static void close_file(struct rig *r)
{
	rig_close(r);
	unlink(path);
}

static void new_flows_get_the_new_rules(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow old;
	open_file(&r,
		"assert(not nsnet.reloading)\n"
		"nsnet.on_connect(function() nsnet.sleep(0.001) return nsnet.deny 'old' end)\n"
		"nsnet.on_close(function(c) print('old closed', c.dst_port) end)\n"
		"nsnet.every(0.001, function() print 'tick' end)\n"
		"nsnet.spawn(function() nsnet.sleep(100) end)\n");
	assert_false(rig_ask(&r, &old, IPPROTO_TCP, PUBLIC));
	put("assert(nsnet.reloading)\nnsnet.on_start(function() print 'start' end)\n"
	    "nsnet.default(nsnet.deny)\n"
	    "nsnet.on_connect(function() return nsnet.allow end)\n");
	assert_int_equal(lua_host_reload(r.host), 0);
	assert_string_equal(rig_log(&r), "nsnet-host: start\n");
	assert_true(r.policy.default_deny);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, PUBLIC), VERDICT_ALLOW);
	/* The flow that waits is decided by the rules that were asked. */
	rig_wait(&r, &old);
	assert_string_equal(old.flow.decision.reason, "old");
	rig_end(&r, &old, FLOW_CAUSE_DENIED);
	assert_has(rig_log(&r), "nsnet-host: old closed\t443\n");
	close_file(&r);
}

static void bad_scripts_change_nothing(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"nsnet.on_connect(",
		"error 'no'",
		"nsnet.on_start(function() return nil, 'not now' end)",
		"nsnet.on_start(function() nsnet.sleep(1) end)",
		"while true do end",
	};
	struct rig r;
	open_file(&r, "nsnet.on_connect(function() return nsnet.deny 'first' end)");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct rig_flow f;
		put(bad[i]);
		assert_int_equal(lua_host_reload(r.host), 70);
		assert_has(rig_log(&r), "keeping the rules loaded at ");
		assert_true(rig_ask(&r, &f, IPPROTO_TCP, PUBLIC));
		assert_string_equal(f.flow.decision.reason, "first");
		rig_end(&r, &f, FLOW_CAUSE_DENIED);
	}
	unlink(path);
	assert_int_equal(lua_host_reload(r.host), 66);
	close_file(&r);
}

static void what_is_kept_is_carried_over(void **state)
{
	(void)state;
	struct rig r;
	open_file(&r,
		"local n = nsnet.persist 'n'\nn.count = (n.count or 0) + 1\n"
		"assert(not nsnet.restored.n and not pcall(nsnet.persist, 'n'))\n"
		"local own = { list = nsnet.json.list {}, text = 'a\\0\\195\\169' }\n"
		"assert(nsnet.persist('own', own) == own)\n"
		"nsnet.on_connect(function() n.count = n.count + 10 own.bad = print end)\n"
		"nsnet.on_flow(function() nsnet.persist 'late' end)\n");
	assert_int_equal(rig_verdict(&r, IPPROTO_UDP, PUBLIC), VERDICT_DROP);
	assert_has(rig_log(&r), "nsnet.persist must be called while the script loads");
	put("local n = nsnet.persist 'n'\nassert(n == nsnet.restored.n)\n"
	    "local own = nsnet.restored.own\n"
	    "print(n.count, own and own.text == 'a\\0\\195\\169', own and #own.list)\n"
	    "nsnet.on_connect(function() n.count = n.count + 10 end)\n");
	assert_int_equal(lua_host_reload(r.host), 0);
	assert_string_equal(rig_log(&r), "nsnet-host: 1\ttrue\t0\n");
	/* It is the value of the moment, and a load that fails takes nothing away. */
	rig_verdict(&r, IPPROTO_TCP, PUBLIC);
	put("error 'no'");
	assert_int_equal(lua_host_reload(r.host), 70);
	rig_verdict(&r, IPPROTO_TCP, PUBLIC);
	put("print(nsnet.restored.n.count, nsnet.restored.own)\n"
	    "nsnet.persist('bad', { print }) nsnet.persist('good', { 1 })\n"
	    "nsnet.persist('big', { ('x'):rep(2e6) })\n");
	rig_log(&r);
	assert_int_equal(lua_host_reload(r.host), 0);
	assert_string_equal(rig_log(&r), "nsnet-host: 21\tnil\n");
	/* What is no data is told and left out. */
	put("print(nsnet.restored.bad, nsnet.restored.big, nsnet.restored.good[1])");
	assert_int_equal(lua_host_reload(r.host), 0);
	const char *log = rig_log(&r);
	assert_has(log, "\"bad\" is not kept: json.encode: JSON has nothing for a function");
	assert_has(log, "\"big\" is not kept: all together are more than 1 MiB");
	assert_has(log, "nsnet-host: nil\tnil\t1\n");
	/* Nothing was kept. */
	put("assert(next(nsnet.restored) == nil)");
	assert_int_equal(lua_host_reload(r.host), 0);
	close_file(&r);
}

static void a_thousand_reloads_leave_memory_flat(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow held;
	size_t before = 0;
	open_file(&r,
		"nsnet.persist('kept', { 1, 2, 3 })\nlocal big = {}\nfor i = 1, 1000 do big[i] = "
		"('x'):rep(i) end\n"
		"nsnet.rules { { port = 1, nsnet.via(print) }, { cidr = '10.0.0.0/8', nsnet.deny } "
		"}\n"
		"nsnet.on_connect(function(c) c.ctx.x = big return nsnet.allow end)\n"
		"nsnet.every(1, print)\nnsnet.spawn(function() nsnet.sleep(100) end)\n");
	rig_ask(&r, &held, IPPROTO_TCP, PUBLIC);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(lua_host_reload(r.host), 0);
		rig_verdict(&r, IPPROTO_TCP, PUBLIC);
		if (i == 100)
			before = mallinfo2().uordblks;
	}
	assert_in_range(mallinfo2().uordblks, 0, before + 65536);
	/* The connection of the first rules lives on. */
	assert_int_equal(held.flow.state, FLOW_STATE_ASKED);
	rig_end(&r, &held, FLOW_CAUSE_CLOSED);
	assert_string_equal(rig_log(&r), "");
	close_file(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(new_flows_get_the_new_rules),
		rig_test(bad_scripts_change_nothing),
		rig_test(what_is_kept_is_carried_over),
		rig_test(a_thousand_reloads_leave_memory_flat),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
