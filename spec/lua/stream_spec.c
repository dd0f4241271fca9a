/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <malloc.h>
#include <netinet/in.h>

#include "lua/stream.h"
#include "spec/lua/island.h"
#include "spec/lua/peer.h"
#include "spec/lua/rig.h"

#define PUBLIC "198.51.100.7:443"

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Runs @body in on_connect against a peer with @steps, PEER in it. Returns the log. */
static const char *run(struct rig *r, const char *const *steps, const char *body)
{
	static char code[4096], log[4096];
	struct peer p = {0};
	struct rig_flow f;
	int fds = count_fds();
	peer_start(&p, steps);
	snprintf(code, sizeof(code),
		"local PEER = '127.0.0.1:%d'\n"
		"nsnet.on_connect(function(conn)\n%s\nreturn nsnet.allow end)\n",
		p.port, body);
	rig_open(r);
	rig_run(r, code);
	if (!rig_ask(r, &f, IPPROTO_TCP, PUBLIC))
		rig_wait(r, &f);
	bool allowed = f.flow.decision.verdict == VERDICT_ALLOW;
	rig_end(r, &f, FLOW_CAUSE_CLOSED);
	/* What the script left open was its connection's. */
	assert_int_equal(stream_count(), 0);
	if (!peer_stop(&p, false))
		print_error("peer saw: %s\n", p.seen);
	assert_true(p.ok);
	snprintf(log, sizeof(log), "%.4000s%s", rig_log(r), allowed ? "" : "(denied)");
	rig_close(r);
	assert_int_equal(count_fds(), fds);
	return log;
}

#define steps(...) ((const char *const[]){__VA_ARGS__, NULL})

static void every_read_in_every_rhythm(void **state)
{
	(void)state;
	static const char *const body =
		"local s = assert(nsnet.dial('tcp', PEER))\n"
		"assert(s:write('hello'))\n"
		"assert(s:read_exact(3) == 'abc')\n"
		"assert(s:read_line() == 'line one')\n"
		"assert(s:read_line() == '')\n"
		"assert(s:read_until('\\r\\n\\r\\n') == 'head: x\\r\\n\\r\\n')\n"
		"local rest = {}\n"
		"while true do\n"
		"  local b, err, code = s:read(4)\n"
		"  if not b then assert(code == 'closed' and err == 'closed') break end\n"
		"  assert(#b >= 1 and #b <= 4)\n"
		"  rest[#rest + 1] = b\n"
		"end\n"
		"assert(table.concat(rest) == 'the rest of it')\n"
		"local b, _, code = s:read_exact(1)\n"
		"assert(b == nil and code == 'closed')\n"
		"s:close() s:close()\n"
		"assert(not pcall(s.read, s, 1))";
	struct rig r;
	const char *all = "<abcline one\r\n\nhead: x\r\n\r\nthe rest of it";
	assert_string_equal(run(&r, steps(">hello", all), body), "");
	assert_string_equal(run(&r, steps(">hello", ".", all), body), "");
	assert_string_equal(run(&r, steps(all, ">hello", "F", "S"), body), "");
}

static void a_timeout_loses_nothing(void **state)
{
	(void)state;
	struct rig r;
	assert_string_equal(run(&r, steps("<abc", ">go", "<de"),
				    "local s = nsnet.dial('tcp', PEER)\n"
				    "s:set_timeout(0.05)\n"
				    "local b, err, code = s:read_exact(5)\n"
				    "assert(b == nil and err == 'timeout' and code == 'timeout')\n"
				    "s:set_timeout(10)\n"
				    "assert(s:write('go'))\n"
				    "assert(s:read_exact(5) == 'abcde')"),
		"");
}

static void what_goes_wrong_has_a_name(void **state)
{
	(void)state;
	struct rig r;
	assert_string_equal(run(&r, steps("<ab", "F", "S"),
				    "local s = nsnet.dial('tcp', PEER)\n"
				    "local b, err, code = s:read_exact(3)\n"
				    "assert(b == nil and code == 'closed', code)\n"
				    "assert(err == 'closed before all was there', err)\n"
				    "assert(s:read(9) == 'ab')"),
		"");
	assert_string_equal(run(&r, steps(">x", "R"),
				    "local s = nsnet.dial('tcp', PEER)\n"
				    "s:write('x')\n"
				    "local b, err, code = s:read(1)\n"
				    "assert(b == nil and code == 'reset', code)"),
		"");
	assert_string_equal(
		run(&r, steps("<0123456789", "S"),
			"local s = nsnet.dial('tcp', PEER)\n"
			"local b, err, code = s:read_line(8)\n"
			"assert(b == nil and code == 'limit' and err:find 'too long', err)\n"
			"assert(s:read_exact(10) == '0123456789')"),
		"");
	assert_string_equal(run(&r, steps("S"),
				    "local s = nsnet.dial('tcp', PEER)\n"
				    "local other = nsnet.spawn(function() s:read(1) end)\n"
				    "nsnet.sleep(0.01)\n"
				    "local b, err, code = s:read(1)\n"
				    "assert(b == nil and code == 'busy', code)\n"
				    "s:close()\n"
				    "assert(other:join())"),
		"");
	assert_string_equal(run(&r, steps("S"),
				    "local s = nsnet.dial('tcp', PEER)\n"
				    "for _, bad in ipairs { 0, -1, 65537, 0 / 0 } do\n"
				    "  local ok, err = pcall(s.read, s, bad)\n"
				    "  assert(not ok and err:find 'must ask for 1 to 65536', err)\n"
				    "end\n"
				    "assert(not pcall(s.read_until, s, ''))\n"
				    "assert(not pcall(s.set_timeout, s, 0))\n"
				    "assert(not pcall(s.write, s, { 1 }))\n"
				    "assert(not pcall(s.write, s))"),
		"");
}

static void dial_tells_why_not(void **state)
{
	(void)state;
	struct rig r;
	/* The peer itself is only there to be talked to at the end. */
	assert_string_equal(
		run(&r, steps("S"),
			"local s, err, code = nsnet.dial('tcp', '127.0.0.1:1')\n"
			"assert(s == nil and code == 'refused' and err == 'Connection refused', "
			"err)\n"
			"s, err, code = nsnet.dial('unix', '/nonexistent/socket')\n"
			"assert(s == nil and code == 'unreachable', code)\n"
			"s, err, code = nsnet.dial('tcp', 'name.invalid:80')\n"
			"assert(s == nil and code == 'resolve', code)\n"
			"for _, bad in ipairs { '127.0.0.1', 'x', ':80', 'a b:80', 'x:0', "
			"'x:65536', 'x:8a' } do\n"
			"  local ok, why = pcall(nsnet.dial, 'tcp', bad)\n"
			"  assert(not ok and why:find('nsnet.dial: \"' .. bad, 1, true), why)\n"
			"end\n"
			"assert(not pcall(nsnet.dial, 'sctp', PEER))\n"
			"assert(not pcall(nsnet.dial, 'tcp', PEER, { time = 1 }))\n"
			"assert(not pcall(nsnet.dial, 'tcp', PEER, { timeout = -1 }))\n"
			"for _, bad in ipairs { 'x', '', 1, '::1', '127.0.0.1/8' } do\n"
			"  assert(not pcall(nsnet.dial, 'tcp', PEER, { bind = bad }), bad)\n"
			"end\n"
			"assert(not pcall(nsnet.dial, 'tcp', PEER, { bind = '127.0.0.1', family = "
			"6 "
			"}))\n"
			"assert(not pcall(nsnet.dial, 'unix', '/x', { bind = '127.0.0.1' }))\n"
			"s, err, code = nsnet.dial('tcp', PEER, { bind = '192.0.2.1' })\n"
			"assert(s == nil and err:find 'assign requested address', err)\n"
			"local ok = nsnet.dial('tcp', (PEER:gsub('127.0.0.1', 'localhost')), { "
			"family = 4 })\n"
			"assert(ok and ok.peer == PEER, ok and ok.peer)\n"
			"assert(ok.local_address:find '^127%.0%.0%.1:%d+$')\n"
			"local from = nsnet.dial('tcp', PEER, { bind = '127.0.0.8' })\n"
			"assert(from.local_address:find '^127%.0%.0%.8:%d+$')"),
		"");
}

static void large_writes_wait_and_arrive(void **state)
{
	(void)state;
	struct rig r;
	/* More than the socket buffers hold. */
	assert_string_equal(run(&r, steps("S"),
				    "local s = nsnet.dial('tcp', PEER)\n"
				    "local piece = ('x'):rep(100000)\n"
				    "for i = 1, 40 do assert(s:write { piece, 'y', piece }) end\n"
				    "assert(s:shutdown())\n"
				    "local b, _, code = s:read(1)\n"
				    "assert(b == nil and code == 'closed')\n"
				    "local ok, err, c = s:write('z')\n"
				    "assert(ok == nil and c == 'reset', c)\n"
				    "assert(err:find '0 of 1 bytes were sent', err)\n"
				    "local fine, why = pcall(s.read, s, 1)\n"
				    "assert(not fine and why:find 'a write failed', why)"),
		"");
}

/* What waits to be written is the script's own string, within its memory, and no copy. (A
 * sanitizer's allocator tells no figures.) */
static void writes_that_wait_take_no_memory_of_ours(void **state)
{
	(void)state;
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);
	char code[512];
	struct rig r;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* accepts nobody */
	assert_int_equal(bind(fd, (struct sockaddr *)&in, len) | listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	rig_open(&r);
	snprintf(code, sizeof(code),
		"local text = ('x'):rep(8000000)\n"
		"for i = 1, 30 do nsnet.spawn(function()\n"
		"  local s = nsnet.dial('tcp', '127.0.0.1:%d')\n"
		"  print 'begins' s:write(text) end) end\n",
		ntohs(in.sin_port));
	const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
	rig_run(&r, code);
	assert_int_equal(lua_host_start(r.host), 0);
	for (int i = 0; i < 1000 && stream_count() < 30; i++)
		ev_run(r.loop, EVRUN_ONCE);
	for (int i = 0; i < 50; i++)
		ev_run(r.loop, EVRUN_NOWAIT);
	size_t begun = 0;
	for (const char *at = rig_log(&r); (at = strstr(at, "begins")); at++)
		begun++;
	assert_int_equal(begun, 30);
	assert_true(mallinfo2().uordblks + mallinfo2().hblkhd < before + (32 << 20));
	rig_close(&r);
	close(fd);
}

static void waiting_works_inside_coroutines(void **state)
{
	(void)state;
	struct rig r;
	assert_string_equal(
		run(&r, steps(">a", ".", "<1", "<2", "<3", "S"),
			"local s = nsnet.dial('tcp', PEER)\n"
			"local outer = coroutine.wrap(function()\n"
			"  local bytes = coroutine.wrap(function()\n"
			"    assert(s:write('a'))\n"
			"    for i = 1, 3 do coroutine.yield(s:read_exact(1)) nsnet.sleep(0.001) "
			"end\n"
			"    return 'end'\n"
			"  end)\n"
			"  for i = 1, 4 do coroutine.yield(bytes()) end\n"
			"end)\n"
			"local got = {}\n"
			"for i = 1, 4 do got[i] = outer() end\n"
			"assert(table.concat(got, ' ') == '1 2 3 end', table.concat(got, ' '))\n"
			"local co = coroutine.create(function() nsnet.sleep(0.001) error 'inside' "
			"end)\n"
			"local ok, err = coroutine.resume(co)\n"
			"assert(not ok and err:find 'rules.lua:%d+: inside', err)\n"
			"assert(coroutine.status(co) == 'dead')\n"
			"assert(select('#', coroutine.resume(coroutine.create(function() return "
			"nil, nil end))) == 3)\n"
			"assert(select('#', coroutine.wrap(function() end)()) == 0)\n"
			"local fine, value = pcall(function() nsnet.sleep(0.001) return 7 end)\n"
			"assert(fine and value == 7)\n"
			"local mt = setmetatable({}, { __index = function() nsnet.sleep(0.001) "
			"return 8 end })\n"
			"assert(mt.x == 8)\n"
			"local no, why = pcall(table.sort, { 1, 2 }, function() nsnet.sleep(1) "
			"end)\n"
			"assert(not no and why:find 'cannot wait inside table.sort', why)"),
		"");
}

static void waiting_is_refused_where_it_cannot_be(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r, "nsnet.guard(function() nsnet.sleep(1) end)");
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, PUBLIC), VERDICT_DENY);
	assert_has(rig_log(&r),
		"rules.lua:1: nsnet.sleep cannot be used in guard (it would wait); "
		"use nsnet.spawn");
	rig_close(&r);
	rig_open(&r);
	assert_int_equal(rig_load(&r, "nsnet.dial('tcp', '127.0.0.1:1')"), 70);
	assert_has(rig_log(&r), "nsnet.dial cannot be used in the script's top level");
	rig_close(&r);
}

/* A listener at @ip, port 9, that never accepts. With a queue of 0 it is full: connecting waits. */
static int listener(uint32_t ip, int queue)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
		.sin_port = htons(9),
		.sin_addr.s_addr = htonl(ip)};
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(s, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(s, queue), 0);
	for (int i = 0; !queue && i < 2; i++) {
		int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(c, (struct sockaddr *)&sin, sizeof(sin));
		close(c);
	}
	return s;
}

/* A name server that never answers. */
static int silent_resolver(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
		.sin_port = htons(53),
		.sin_addr.s_addr = htonl(0x7f000035)};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return s;
}

/* Starts a flow whose handler waits with @code, then ends the flow, the host or both. */
static void cancel_at(const char *code, bool flow_first)
{
	struct rig r;
	struct rig_flow f;
	struct peer p = {0};
	char text[1024];
	int fds = count_fds();
	int full = listener(0x7f000002, 0), idle = listener(0x7f000003, 8),
	    silent = silent_resolver();
	peer_start(&p, steps("S"));
	snprintf(text, sizeof(text),
		"local PEER = '127.0.0.1:%d'\n"
		"nsnet.on_connect(function(conn)\n%s\nnsnet.log.error('went on')\nend)\n"
		"nsnet.on_close(function(conn) print('closed', conn.close_reason) end)\n",
		p.port, code);
	rig_open(&r);
	rig_run(&r, text);
	assert_false(rig_ask(&r, &f, IPPROTO_TCP, PUBLIC));
	/* Let it get as far as it can. */
	for (int i = 0; i < 20; i++) {
		ev_run(r.loop, EVRUN_NOWAIT);
		usleep(500);
	}
	if (flow_first) {
		rig_end(&r, &f, FLOW_CAUSE_CHILD_RESET);
		for (int i = 0; i < 5; i++)
			ev_run(r.loop, EVRUN_NOWAIT);
	} else {
		policy_end(&r.policy, &f.flow, FLOW_CAUSE_ABORTED, 0);
		flow_remove(&f.flow);
	}
	const char *log = rig_log(&r);
	assert_has(log, "closed\t");
	assert_null(strstr(log, "went on"));
	assert_int_equal(stream_count(), 0);
	rig_close(&r);
	peer_stop(&p, true);
	close(full);
	close(idle);
	close(silent);
	assert_int_equal(count_fds(), fds);
}

static void a_cancelled_wait_is_never_resumed(void **state)
{
	(void)state;
	static const char *const waits[] = {
		"nsnet.sleep(100)",
		"pcall(nsnet.sleep, 100)",
		"local s = nsnet.dial('tcp', PEER) s:read(1)",
		"local s = nsnet.dial('tcp', PEER) s:read_exact(5)",
		"local s = nsnet.dial('tcp', PEER) s:read_line()",
		"local s = nsnet.dial('tcp', '127.0.0.3:9') while true do "
		"s:write(('x'):rep(300000)) end",
		"nsnet.dial('tcp', '127.0.0.2:9')",
		"nsnet.dial('tcp', 'name.invalid:9')",
		"nsnet.dial('udp', 'name.invalid:9')",
		"nsnet.resolve('name.invalid')",
		"nsnet.spawn(function() nsnet.sleep(100) end):join()",
		"coroutine.wrap(function() nsnet.dial('tcp', PEER):read(1) end)()",
	};
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		cancel_at(waits[i], true);
		cancel_at(waits[i], false);
	}
}

int main(void)
{
	island_enter();
	const struct CMUnitTest tests[] = {
		rig_test(every_read_in_every_rhythm),
		rig_test(a_timeout_loses_nothing),
		rig_test(what_goes_wrong_has_a_name),
		rig_test(dial_tells_why_not),
		rig_test(large_writes_wait_and_arrive),
		rig_test(writes_that_wait_take_no_memory_of_ours),
		rig_test(waiting_works_inside_coroutines),
		rig_test(waiting_is_refused_where_it_cannot_be),
		rig_test(a_cancelled_wait_is_never_resumed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
