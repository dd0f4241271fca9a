/* SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lua.h>

#include "lua/stream.h"
#include "spec/lua/rig.h"

#include "spec/lua/dial.h"

/* What went wrong in other programs with Lua inside, where no other spec tries it. */

static unsigned refusals; /* of foreign memory, as on machines with long pointers */

lua_State *lua_newstate(lua_Alloc f, void *ud)
{
	lua_State *(*real)(lua_Alloc, void *) = NULL;
	void *symbol = dlsym(RTLD_NEXT, "lua_newstate");
	if (refusals && refusals--)
		return NULL;
	memcpy(&real, &symbol, sizeof(real));
	return real(f, ud);
}

/* Where the library does not take our allocator, the limit is looked at after each entry. */
static void memory_has_a_limit_without_an_allocator(void **state)
{
	(void)state;
	struct rig r;
	refusals = 1;
	rig_open(&r);
	rig_run(&r,
		"local keep, s = {}, ('x'):rep(1e6)\n"
		"nsnet.on_connect({ port = 1 }, function() return nsnet.allow end)\n"
		"nsnet.on_connect({ port = 2 }, function(c)\n"
		"  keep[#keep + 1] = s .. c.src_port return nsnet.allow end)\n"
		"nsnet.on_connect({ port = 3 }, function() keep = {} return nsnet.allow end)\n");
	assert_int_equal(refusals, 0);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:1"), VERDICT_ALLOW);
	int passed = 0;
	while (passed < 200 && rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:2") == VERDICT_ALLOW)
		passed++;
	assert_in_range(passed, 30, 67);
	assert_has(rig_log(&r), "not enough memory");
	rig_close(&r);
}

/* The budget is of one entry: what came before is no debt. */
static void packets_do_not_add_up(void **state)
{
	(void)state;
	struct rig r;
	struct packet p;
	uint8_t bytes[28] = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, IPPROTO_UDP, 0, 0, 10, 0, 0, 1, 198,
		51, 100, 7, 0, 9, 0, 9, 0, 8};
	uint16_t sum = packet_sum_fold(packet_sum(bytes, 20, 0));
	memcpy(bytes + 10, &sum, 2);
	assert_int_equal(packet_parse(&p, bytes, sizeof(bytes)), 0);
	rig_open(&r);
	rig_run(&r,
		"nsnet.on_packet(function() local from = os.clock()\n"
		"  repeat until os.clock() - from >= 0.0003 end)");
	for (int i = 0; i < 300; i++)
		assert_true(r.policy.hooks->packet(r.policy.hooks->arg, HOOK_DIR_OUT, &p));
	assert_string_equal(rig_log(&r), "");
	rig_close(&r);
}

/* A module whose own body waits, required from a hook. */
static void a_module_may_wait_while_it_loads(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	char dir[] = "/tmp/nsnet-spec-XXXXXX", path[64], main_path[64];
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/slow.lua", dir);
	snprintf(main_path, sizeof(main_path), "%s/main.lua", dir);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs("nsnet.sleep(0.001) return { ready = true }", file);
	fclose(file);
	file = fopen(main_path, "w");
	assert_non_null(file);
	fputs("nsnet.on_connect(function() return require 'slow'.ready and nsnet.deny 'ready' end)",
		file);
	fclose(file);
	assert_int_equal(chmod(path, 0600) | chmod(main_path, 0600), 0);
	rig_open(&r);
	assert_int_equal(lua_host_add_file(r.host, main_path), 0);
	rig_run(&r, "");
	for (int i = 0; i < 2; i++) {
		if (!rig_ask(&r, &f, IPPROTO_TCP, "198.51.100.7:1"))
			rig_wait(&r, &f);
		assert_int_equal(f.flow.decision.verdict, VERDICT_DENY);
		assert_string_equal(f.flow.decision.reason, "ready");
		rig_end(&r, &f, FLOW_CAUSE_DENIED);
	}
	assert_string_equal(rig_log(&r), "");
	rig_close(&r);
	assert_int_equal(unlink(path) | unlink(main_path) | rmdir(dir), 0);
}

/* A stream that a connection opened ends with it, and whoever kept it is told so. One that was
 * given to another connection's relay before lives with that. */
static void a_stream_is_of_one_connection(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow a, b;
	int type;
	socklen_t len = sizeof(type);
	rig_open(&r);
	rig_run(&r,
		"nsnet.on_flow({ port = 1 }, function()\n"
		"  nsnet.state.s = nsnet.dial('udp', '127.0.0.1:9') end)\n"
		"nsnet.on_flow({ port = 2 }, function() nsnet.state.s:write 'x' end)\n"
		"nsnet.dialer({ network = 'udp', port = 3 }, function() return nsnet.state.s end)");
	assert_true(rig_ask(&r, &a, IPPROTO_UDP, "198.51.100.7:1"));
	assert_int_equal(rig_verdict(&r, IPPROTO_UDP, "198.51.100.7:2"), VERDICT_ALLOW);
	rig_end(&r, &a, FLOW_CAUSE_CLOSED);
	assert_int_equal(stream_count(), 0);
	assert_int_equal(rig_verdict(&r, IPPROTO_UDP, "198.51.100.7:2"), VERDICT_DROP);
	assert_has(rig_log(&r), "stream:write: stream belongs to connection #1, which ended");
	/* Not for another one's relay either. */
	assert_int_equal(dial(&r, &b, IPPROTO_UDP, "198.51.100.7:3"), -ECONNREFUSED);
	assert_has(rig_log(&r), "a stream that cannot be used: stream belongs to connection #1");
	rig_end(&r, &b, FLOW_CAUSE_DIAL_FAILED);

	assert_true(rig_ask(&r, &a, IPPROTO_UDP, "198.51.100.7:1"));
	assert_true(dial(&r, &b, IPPROTO_UDP, "198.51.100.7:3") >= 0);
	rig_end(&r, &a, FLOW_CAUSE_CLOSED);
	assert_int_equal(getsockopt(b.fd, SOL_SOCKET, SO_TYPE, &type, &len), 0);
	close(b.fd);
	rig_end(&r, &b, FLOW_CAUSE_CLOSED);
	assert_string_equal(rig_log(&r), "");
	rig_close(&r);
}

/* Streams in every state that the collector may find them in: never connected, closed, given
 * away, read from. */
static void streams_of_every_state_are_collected(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"nsnet.on_flow(function()\n"
		"  for i = 1, 10 do\n"
		"    nsnet.dial('unix', '/nonexistent')\n"
		"    nsnet.dial('udp', '127.0.0.1:9')\n"
		"    local s = nsnet.dial('udp', '127.0.0.1:9') s:write 'x' s:close()\n"
		"    pcall(nsnet.dial, 'tcp', 'nonsense')\n"
		"    pcall(nsnet.dial, 'tcp', '127.0.0.1:1', { bind = '::1' })\n"
		"  end\n"
		"  for i = 1, 40 do local t = {} for k = 1, 100 do t[k] = {} end end\n"
		"end)");
	for (int i = 0; i < 100; i++)
		assert_int_equal(rig_verdict(&r, IPPROTO_UDP, "198.51.100.7:1"), VERDICT_ALLOW);
	assert_int_equal(stream_count(), 0);
	assert_string_equal(rig_log(&r), "");
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(memory_has_a_limit_without_an_allocator),
		rig_test(packets_do_not_add_up),
		rig_test(a_module_may_wait_while_it_loads),
		rig_test(a_stream_is_of_one_connection),
		rig_test(streams_of_every_state_are_collected),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
