/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lauxlib.h>
#include <sys/wait.h>
#include <time.h>

#include "lua/budget.h"
#include "spec/lua/rig.h"
#include "spec/support/stage.h"

#define PUBLIC "198.51.100.7:443"

static void what_is_not_safe_is_not_there(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	/* Walks everything that can be reached: tables, metatables, and finds no way out. */
	rig_run(&r,
		"for _, name in ipairs { 'ffi', 'jit', 'io', 'package', 'dofile', 'loadfile',\n"
		"    'setfenv', 'getfenv', 'newproxy', 'gcinfo', 'module' } do\n"
		"  assert(rawget(_G, name) == nil, name)\n"
		"end\n"
		"local allowed = { os = { clock = 1, date = 1, difftime = 1, time = 1, getenv = 1 "
		"},\n"
		"  debug = { traceback = 1 } }\n"
		"for lib, names in pairs(allowed) do\n"
		"  for name in pairs(_G[lib]) do assert(names[name], lib .. '.' .. name) end\n"
		"end\n"
		"assert(string.dump == nil)\n"
		"local seen = {}\n"
		"local function walk(v, path)\n"
		"  if type(v) ~= 'table' or seen[v] then return end\n"
		"  seen[v] = true\n"
		"  for k, e in next, v do\n"
		"    local name = path .. '.' .. tostring(k)\n"
		"    assert(not name:find('ffi') and not name:find('loadlib') and k ~= 'execute'\n"
		"      and k ~= 'getupvalue' and k ~= 'sethook' and k ~= 'dump' and k ~= 'popen', "
		"name)\n"
		"    walk(e, name)\n"
		"  end\n"
		"  local mt = getmetatable(v)\n"
		"  walk(mt, path .. '<meta>')\n"
		"end\n"
		"walk(_G, '_G')\n"
		"assert(getmetatable('') == 'strings')\n"
		"for _, name in ipairs { 'ffi', 'jit', 'string.buffer', 'nsnet.boot', 'io' } do\n"
		"  local ok, err = pcall(require, name)\n"
		"  assert(not ok and err:find('was not found'), name)\n"
		"end\n");
	rig_close(&r);
}

static void only_text_is_loaded(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"local fn, err = load('\\27LJ\\2\\0')\n"
		"assert(not fn and err:find '^load: this is compiled code', err)\n"
		"assert(loadstring('return 1 + 1')() == 2)\n"
		"local n = 0\n"
		"local parts = { 'return ', '40 + 2', nil }\n"
		"assert(load(function() n = n + 1 return parts[n] end)() == 42)\n"
		"assert(load('return x', 'x', 't', { x = 7 })() == 7)\n"
		"local none, message = load('return =', '=code')\n"
		"assert(none == nil and message:find '^code:1:', message)\n");
	rig_close(&r);
}

static void a_script_that_does_not_load_stops_the_start(void **state)
{
	(void)state;
	static const char *const bad[][2] = {
		{"local x = = 1", "rules.lua:1: unexpected symbol near '='"},
		{"\n\nnsnet.on_conect(function() end)",
			"rules.lua:3: there is no nsnet.on_conect; did you mean 'on_connect'?"},
		{"x = 1", "rules.lua:1: assignment to global 'x' (missing local?"},
		{"print(y)", "rules.lua:1: undefined global 'y'"},
		{"nsnet.on_connect({ prot = 'tcp' }, print)",
			"nsnet.on_connect: unknown option 'prot'; there are: port, cidr, network, "
			"observe"},
		{"nsnet.on_connect({ port = 65536 }, print)",
			"port=65536 is not within 1 and 65535"},
		{"nsnet.on_connect({ port = 0 }, print)", "port=0 is not within"},
		{"nsnet.on_connect({ port = 1.5 }, print)", "port=1.5 is not within"},
		{"nsnet.on_connect({ port = '80-' }, print)", "port=\"80-\" is no port"},
		{"nsnet.on_connect({ port = '90-80' }, print)", "is not within"},
		{"nsnet.on_connect({ port = '123456' }, print)", "port=\"123456\" is no port"},
		{"nsnet.on_connect({ port = '80-123456' }, print)", "is no port"},
		{"nsnet.on_connect({ port = '80x90' }, print)", "is no port"},
		{"nsnet.on_connect({ port = ' 80' }, print)", "port=\" 80\" is no port"},
		{"nsnet.on_connect({ port = {} }, print)", "port={} is empty"},
		{"nsnet.on_connect({ process = 'fifteen-bytes-xx' }, print)",
			"process=\"fifteen-bytes-xx\" is longer than the 15 bytes of a short name; "
			"give the executable's path"},
		{"nsnet.on_connect({ process = 'curl\\0' }, print)", "process= has a zero byte"},
		{"nsnet.on_connect({ port = true }, print)", "port= must be a number"},
		{"nsnet.on_connect({ cidr = '10.0.0.1/8' }, print)", "host bits must be zero"},
		{"nsnet.on_connect({ cidr = '10.0.0.0/33' }, print)", "is no address or network"},
		{"nsnet.on_connect({ network = 'sctp' }, print)",
			"network=\"sctp\" is not one of: tcp, udp"},
		{"nsnet.on_connect({ observe = 1 }, print)", "observe= must be true or false"},
		{"nsnet.on_connect(1)", "the last argument is a number"},
		{"nsnet.on_connect()", "nsnet.on_connect takes ([filter,] function)"},
		{"nsnet.on_packet({ network = 'tcp' }, print)",
			"unknown option 'network'; there are: port"},
		{"nsnet.rules { { port = 1 } }",
			"rule 1 ends with nil; it must end with a verdict"},
		{"nsnet.rules { { port = 1, true } }", "rule 1 ends with a boolean"},
		{"nsnet.rules { { prt = 1, nsnet.allow } }", "rule 1: unknown option 'prt'"},
		{"nsnet.rules { { nsnet.allow, nsnet.deny } }", "rule 1: unknown option '2'"},
		{"nsnet.rules { port = 1, nsnet.deny }", "'port' is outside of a rule"},
		{"nsnet.default(nsnet.drop)",
			"nsnet.default takes nsnet.allow or nsnet.deny, not drop"},
		{"nsnet.default 'deny'",
			"nsnet.default takes nsnet.allow or nsnet.deny, not a string"},
		{"nsnet.allow = nsnet.deny", "nsnet.allow cannot be set"},
		{"nsnet.cidrs { '10.0.0.0/8', 'x' }",
			"nsnet.cidrs: \"x\" is no address or network"},
		{"nsnet.domains { 'a b' }", "nsnet.domains: \"a b\" is no domain name"},
		{"nsnet.domains 'no/such/list.txt'", "no/such/list.txt: No such file"},
		{"require 'no.such'", "rules.lua:1: module 'no.such' was not found:"},
		{"require 'nsnet.socks'",
			"no built-in module nsnet.socks; did you mean "
			"'nsnet.socks5'?"},
		{"tostrng(1)", "undefined global 'tostrng'; did you mean 'tostring'?"},
		{"require '../x'", "no module name"},
		{"while true do end", "CPU budget of 1000 ms exceeded"},
		{"os.getenv 'HOME'", "os.getenv(\"HOME\") is not allowed; start with --env=HOME"},
		{"collectgarbage()", "collectgarbage can only \"count\""},
		{"error('x', 0)", "rules.lua:1: x"},
		{"nsnet.require_api(2)", "version 2 of the Lua API"},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct rig r;
		rig_open(&r);
		assert_int_equal(rig_load(&r, bad[i][0]), 70);
		const char *log = rig_log(&r);
		assert_has(log, bad[i][1]);
		assert_has(log, "nsnet-host: ");
		rig_close(&r);
	}
}

/* The kernel's clock may tick less often than a budget would like. It is CPU time: no matter what
 * else the machine does. */
static void a_budget_is_as_long_as_it_says(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	const clock_t from = clock();
	assert_int_equal(rig_load(&r, "while true do end"), 70);
	const double s = (double)(clock() - from) / CLOCKS_PER_SEC;
	assert_has(rig_log(&r), "CPU budget of 1000 ms exceeded");
	if (!stage_is_valgrind()) /* where all takes longer */
		assert_true(s >= 1 && s < 1.5);
	rig_close(&r);
}

static void a_file_that_cannot_be_read_is_66(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	assert_int_equal(lua_host_add_file(r.host, "/nonexistent/rules.lua"), 0);
	assert_int_equal(lua_host_load(r.host), 66);
	assert_string_equal(rig_log(&r),
		"nsnet-host: /nonexistent/rules.lua: No such file or directory\n");
	rig_close(&r);
	rig_open(&r);
	assert_int_equal(lua_host_add_file(r.host, "/tmp"), 0);
	assert_int_equal(lua_host_load(r.host), 66);
	assert_has(rig_log(&r), "/tmp: Is a directory");
	rig_close(&r);
}

/* Writes @text to a new file in @dir. */
static void put_bytes(const char *dir, const char *name, const void *bytes, size_t len, mode_t mode)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	fclose(file);
	assert_int_equal(chmod(path, mode), 0);
}

static void put(const char *dir, const char *name, const char *text, mode_t mode)
{
	put_bytes(dir, name, text, strlen(text), mode);
}

static void files_find_their_neighbors(void **state)
{
	(void)state;
	struct rig r;
	char dir[] = "/tmp/nsnet-spec-XXXXXX", path[64], command[64];
	assert_non_null(mkdtemp(dir));
	put(dir, "main.lua",
		"#!/usr/bin/env nsnet-host\nlocal m = require 'helper'\n"
		"assert(m == require 'helper' and m.n == 1)\n"
		"assert(nsnet.domains('list.txt').count == 2)\n"
		"nsnet.on_connect(function() error 'here' end)\n",
		0600);
	put(dir, "helper.lua", "local n = 0\nn = n + 1\nreturn { n = n }\n", 0600);
	put(dir, "list.txt", "# comment\n example.com # x\n\n.example.org\r\n", 0600);
	put(dir, "open.lua", "", 0666);
	snprintf(path, sizeof(path), "%s/main.lua", dir);
	rig_open(&r);
	assert_int_equal(lua_host_add_file(r.host, path), 0);
	rig_run(&r, "");
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, PUBLIC), VERDICT_DENY);
	assert_has(rig_log(&r), "/main.lua:5: here");
	rig_close(&r);
	snprintf(path, sizeof(path), "%s/open.lua", dir);
	rig_open(&r);
	assert_int_equal(lua_host_add_file(r.host, path), 0);
	assert_int_equal(lua_host_load(r.host), 70);
	assert_has(rig_log(&r), "open.lua is writable by everybody");
	rig_close(&r);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

static void no_line_of_a_list_goes_unread(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t len;
		const char *complaint;
	} cases[] = {
		{"a.test\nb.test # \0\nc.test\n", 25, "list.txt has a NUL in it"},
		{"a.test\n\0", 8, "list.txt has a NUL in it"},
		{"a.test\nb.test\rc.test\r", 21, "list.txt:2: a carriage return within a line"},
		{"# all\ra.test\r\n", 14, "list.txt:1: a carriage return within a line"},
		{"a.test\nb c.test", 15, "list.txt:2: \"b c.test\" is no domain name"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig r;
		char dir[] = "/tmp/nsnet-spec-XXXXXX", path[64], command[64];
		assert_non_null(mkdtemp(dir));
		put_bytes(dir, "list.txt", cases[i].text, cases[i].len, 0600);
		put(dir, "main.lua", "nsnet.domains('list.txt')", 0600);
		snprintf(path, sizeof(path), "%s/main.lua", dir);
		rig_open(&r);
		assert_int_equal(lua_host_add_file(r.host, path), 0);
		int rc = lua_host_load(r.host);
		char *said = strdup(rig_log(&r));
		rig_close(&r);
		snprintf(command, sizeof(command), "rm -r %s", dir);
		assert_int_equal(system(command), 0);
		assert_has(said, cases[i].complaint);
		assert_int_equal(rc, 70);
		free(said);
	}
}

static void a_runaway_costs_one_flow(void **state)
{
	(void)state;
	static const char *const runaways[] = {
		"while true do end",
		"local x = 0 while true do x = x + 1 end",
		"while true do pcall(function() while true do end end) end",
		"while true do pcall(error) end",
		"table.sort({ 1, 2, 3 }, function() while true do end end)",
		"('x'):gsub('x', function() while true do end end)",
		"coroutine.wrap(function() while true do end end)()",
		"local function f() coroutine.wrap(f)() end while true do pcall(f) end",
		"while true do local co = coroutine.create(function() while true do end end) "
		"coroutine.resume(co) end",
		"setmetatable({}, { __index = function() while true do end end }).x()",
		"for _ in function() return 1 end do end",
		"local t = {} while true do t[#t + 1] = {} end",
		"local s = 'x' while true do s = s .. s end",
		"local _ = ('x'):rep(1e9)",
		"local _ = ('a'):rep(200):find('.-.-.-.-.-b')",
		"local _ = ('a'):rep(200):match('.-.-.-.-.-b')",
		"local _ = ('a'):rep(200):gsub('.-.-.-.-.-b', '')",
		"for _ in ('a'):rep(200):gmatch('.-.-.-.-.-b') do end",
		"pcall(string.find, ('a'):rep(200), '.-.-.-.-.-b') while true do end",
		"local t = {} for i = 1, 1e6 do t[i] = coroutine.create(print) end",
		"while true do coroutine.wrap(function() coroutine.yield() end)() end",
		"xpcall(error, function() while true do end end)",
		"while true do xpcall(error, error) end",
		"while true do pcall(pcall, error, {}) end",
		"while true do pcall(coroutine.wrap(error)) end",
		"pcall(coroutine.wrap(function() while true do end end)) while true do end",
		"local co = coroutine.wrap(function() while true do pcall(coroutine.yield) end "
		"end) "
		"while true do co() end",
		"local co co = coroutine.create(function() coroutine.resume(co) end) "
		"while true do coroutine.resume(co) end",
		"local f f = function() pcall(coroutine.wrap(f)) end while true do f() end",
		"local function f() return 1 + f() end f()",
		"local function f() return f() end f()",
		"local function f(...) return f(1, ...) end f()",
		"local t = setmetatable({}, {}) getmetatable(t).__index = t local _ = t.x",
		"local t = setmetatable({}, { __index = function(t, k) return t[k] end }) local _ "
		"= t.x",
		"local t = {} for i = 1, 1e5 do t = setmetatable({}, { __index = t }) end local _ "
		"= t.x",
		"local t = setmetatable({}, { __call = function(t) return t() end }) t()",
		"local t = setmetatable({}, { __lt = function() while true do end end }) local _ = "
		"t < t",
		"local t = setmetatable({}, { __concat = function() while true do end end }) t = t "
		".. 1",
		"print(setmetatable({}, { __tostring = function() while true do end end }))",
		"for i = 1, 1e9 do local t = setmetatable({}, { __gc = function() end }) end",
		"local t = setmetatable({}, { __mode = 'k' }) while true do t[{}] = {} end",
		"table.sort({ 1, 2, 3 }, function() error {} end)",
		"local t = {} while true do t[#t + 1] = #t % 7 table.sort(t) end",
		"local t = {} for i = 1, 1e3 do t[i] = ('x'):rep(1e6) end table.concat(t)",
		"local s, t = ('x'):rep(1e6), {} for i = 1, 1e3 do t[i] = s end table.concat(t)",
		"table.concat({}, 'x', 1, 2 ^ 31 - 1)",
		"table.move({}, 1, 2 ^ 31 - 1, 2)",
		"unpack({}, 1, 1e8)",
		"string.format('%99999999d', 1)",
		"local s = ('x'):rep(1e6) while true do s:upper() end",
		"('a'):rep(1e7):gsub('a', '%0%0%0%0')",
		"('a'):rep(1e7):gsub('', function() end)",
		"('('):rep(1e6):find '%b()'",
		"os.date(('%c'):rep(1e6))",
		"while true do os.time { year = 1e9, month = 1e9, day = 1e9 } end",
		"while true do debug.traceback() end",
		"while true do collectgarbage 'count' end",
		"load(function() while true do end end)",
		"load(function() return 'x = 1 ' end)",
		"while true do load 'return 1' end",
		"while true do pcall(require, 'no.such.module') end",
		"while true do nsnet.state.t = nsnet.cidrs { '2001:db8::1' } end",
		"local t = {} while true do t[#t + 1] = nsnet.domains { 'a.test' } end",
		"local t = {} while true do t[#t + 1] = nsnet.deny(tostring(#t)) end",
		"while true do pcall(nsnet.redirect, 'x') end",
		"while true do nsnet.spawn(print) end",
		"while true do nsnet.after(9e6, print) end",
		"while true do c:tag 'x' end",
		"while true do c:close() end",
		"while true do nsnet.resolve '127.0.0.1' end",
		"while true do nsnet.dial('udp', '127.0.0.1:9'):close() end",
		"while true do nsnet.sleep(0) local _ = ('a'):rep(200):find '.-.-.-.-.-b' end",
	};
	struct rig r;
	rig_open(&r);
	char code[8192] = "local run = {\n";
	for (size_t i = 0; i < ARRAY_LEN(runaways); i++)
		snprintf(code + strlen(code), sizeof(code) - strlen(code), "function(c) %s end,\n",
			runaways[i]);
	strcat(code,
		"}\nnsnet.on_connect(function(c)\n"
		"if c.dst_port == 443 then return nsnet.allow end\n"
		"run[c.dst_port](c) return nsnet.allow end)");
	rig_run(&r, code);
	for (size_t i = 0; i < ARRAY_LEN(runaways); i++) {
		char dst[32];
		snprintf(dst, sizeof(dst), "198.51.100.7:%zu", i + 1);
		assert_int_equal(rig_verdict(&r, IPPROTO_TCP, dst), VERDICT_DENY);
		/* Told with the line, and the next flow is served. */
		assert_has(rig_log(&r), "rules.lua:");
		assert_int_equal(rig_verdict(&r, IPPROTO_TCP, PUBLIC), VERDICT_ALLOW);
	}
	rig_close(&r);
}

/* Each turn is within its budget; together they would keep the host busy for half a minute. */
static void many_little_runs_have_a_budget_together(void **state)
{
	(void)state;
	static const char *const frames[] = {
		"nsnet.on_connect({ port = 80 }, busy)",
		"nsnet.dialer({ port = 80 }, busy)",
	};
	if (stage_is_valgrind()) /* there the budget is longer than a connection may wait */
		skip();
	for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
		struct rig r;
		struct rig_flow f;
		char code[1024];
		rig_open(&r);
		snprintf(code, sizeof(code),
			"local function busy()\n"
			"  while true do\n"
			"    local from = os.clock()\n"
			"    repeat until os.clock() - from >= 0.004\n"
			"    nsnet.sleep(0)\n"
			"  end\n"
			"end\n%s\n",
			frames[i]);
		rig_run(&r, code);
		if (i == 0) {
			assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:80"),
				VERDICT_DENY);
		} else {
			assert_true(rig_ask(&r, &f, IPPROTO_TCP, "198.51.100.7:80"));
			flow_set_state(&f.flow, FLOW_STATE_DIALING);
			assert_int_equal(policy_dial(&r.policy, &f.flow), -EINPROGRESS);
			while (!f.dialed)
				ev_run(r.loop, EVRUN_ONCE);
			assert_int_equal(f.fd, -ECONNREFUSED);
			rig_end(&r, &f, FLOW_CAUSE_DIAL_FAILED);
		}
		assert_has(rig_log(&r), "the CPU budget for one connection or question is spent");
		assert_int_equal(rig_verdict(&r, IPPROTO_TCP, PUBLIC), VERDICT_ALLOW);
		rig_close(&r);
	}
}

/* What neither the hook nor a check inside can stop ends the process, and with it the network. */
static void a_stuck_c_function_ends_the_process(void **state)
{
	(void)state;
	int status, out[2];
	char text[128] = "";
	assert_int_equal(pipe(out), 0);
	pid_t pid = fork();
	if (!pid) {
		lua_State *L = luaL_newstate();
		dup2(out[1], 2);
		/* A test that failed before has left a user of the timer, which fork() does not
		 * copy: without a new one this would spin for ever. */
		for (int i = 0; i < 100; i++)
			budget_stop();
		alarm(60);
		budget_set_last(50);
		if (budget_start())
			_exit(1);
		budget_enter(L, 2, "on_connect");
		for (;;)
			;
	}
	close(out[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(read(out[0], text, sizeof(text) - 1) > 0);
	close(out[0]);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 70);
	assert_string_equal(text,
		"nsnet-host: Lua is stuck in a function that cannot be stopped, called "
		"in on_connect; ending\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(what_is_not_safe_is_not_there),
		rig_test(only_text_is_loaded),
		rig_test(a_script_that_does_not_load_stops_the_start),
		rig_test(a_budget_is_as_long_as_it_says),
		rig_test(a_file_that_cannot_be_read_is_66),
		rig_test(files_find_their_neighbors),
		rig_test(no_line_of_a_list_goes_unread),
		rig_test(a_runaway_costs_one_flow),
		rig_test(many_little_runs_have_a_budget_together),
		rig_test(a_stuck_c_function_ends_the_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
