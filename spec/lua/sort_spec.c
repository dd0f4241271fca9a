/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spec/lua/rig.h"

static void lists_are_sorted_as_the_plain_way_does(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"local function plain(list, less)\n" /* insertion: stable, and easy to believe */
		"  local out = {}\n"
		"  for _, v in ipairs(list) do\n"
		"    local at = #out + 1\n"
		"    while at > 1 and less(v, out[at - 1]) do at = at - 1 end\n"
		"    table.insert(out, at, v)\n"
		"  end\n"
		"  return out\n"
		"end\n"
		"local function up(a, b) return a < b end\n"
		"local function down(a, b) return a > b end\n"
		"local function key(a, b) return a.k < b.k end\n"
		"local function same(got, want)\n"
		"  assert(#got == #want)\n"
		"  for i = 1, #want do assert(got[i] == want[i], i) end\n"
		"end\n"
		"for n = 0, 70 do\n"
		"  local a, b, c, d = {}, {}, {}, {}\n"
		"  for i = 1, n do\n"
		"    local v = math.random(n)\n"
		"    a[i], b[i], c[i], d[i] = v, v, { k = v }, 's' .. v\n"
		"  end\n"
		"  local wa, wb, wc = plain(a, up), plain(b, down), plain(c, key)\n"
		"  local wd = plain(d, up)\n"
		"  assert(select('#', table.sort(a)) == 0)\n"
		"  table.sort(b, down) table.sort(c, key) table.sort(d, nil)\n"
		"  same(a, wa) same(b, wb) same(c, wc) same(d, wd)\n"
		"end\n");
	assert_string_equal(rig_log(&r), "");
	rig_close(&r);
}

static void an_error_leaves_the_list_as_it_was(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"local function fails(want, ...)\n"
		"  local ok, err = pcall(table.sort, ...)\n"
		"  assert(not ok and tostring(err):find(want, 1, true), err)\n"
		"end\n"
		"local list = { 3, 'x', 1, 2 }\n"
		"fails('attempt to compare', list)\n"
		"assert(list[1] == 3 and list[2] == 'x' and list[3] == 1 and list[4] == 2)\n"
		"local n, t = 0, { 3, 2, 1, 0 }\n"
		"fails('enough', t, function() n = n + 1 if n == 3 then error 'enough' end "
		"return true end)\n"
		"assert(t[1] == 3 and t[4] == 0)\n"
		"fails('attempt to yield', { 2, 1 }, coroutine.yield)\n"
		"fails('table expected', 'x')\n"
		"fails('table expected')\n"
		"fails('function expected', { 1 }, 5)\n"
		/* A comparison that contradicts itself is nobody's end. */
		"table.sort({ 5, 4, 3, 2, 1 }, function() return true end)\n"
		"local meta = { __lt = function(a, b) return a[1] < b[1] end }\n"
		"local m = { setmetatable({ 2 }, meta), setmetatable({ 1 }, meta) }\n"
		"table.sort(m) assert(m[1][1] == 1)\n");
	assert_string_equal(rig_log(&r), "");
	rig_close(&r);
}

/* Made in many turns, sorted in one: a call of C that nothing but itself can end. */
static void a_long_list_is_not_sorted_for_ever(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"local list = {}\n"
		"nsnet.on_start(function()\n"
		"  for i = 1, 100 do\n"
		"    for k = 1, 2000 do list[#list + 1] = (i * k * 7919) % 100003 end\n"
		"    nsnet.sleep(0)\n"
		"  end\n"
		"end)\n"
		"nsnet.on_connect({ port = 1 }, function() pcall(table.sort, list) end)\n"
		"nsnet.on_connect({ port = 2 }, function() assert(list[1] == 7919) end)\n");
	assert_int_equal(lua_host_start(r.host), 0);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:1"), VERDICT_DENY);
	assert_has(rig_log(&r), "CPU budget of 10 ms exceeded");
	/* It was given up, not finished. */
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:2"), VERDICT_ALLOW);
	rig_close(&r);
}

/* Sets are not in Lua's memory: a script that makes one for each connection, and keeps it, comes to
 * its limit all the same; one that drops them never does. */
static void sets_count_as_memory(void **state)
{
	static const char *const scripts[] = {
		"local keep = {}\n%s"
		"  keep[#keep + 1] = nsnet.cidrs(nets) keep[#keep + 1] = nsnet.domains(names)\n"
		"end)",
		"%s local a, b = nsnet.cidrs(nets), nsnet.domains(names)\nend)",
	};
	static const char lists[] =
		"local nets, names = {}, {}\n"
		"for i = 1, 200 do nets[i] = ('2001:db8:%x::/48'):format(i * 300 % 65536) end\n"
		"for i = 1, 200 do names[i] = 'name' .. i .. '.example' end\n"
		"nsnet.on_connect(function()\n";
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
		struct rig r;
		char code[1024];
		int denied = 0;
		snprintf(code, sizeof(code), scripts[i], lists);
		rig_open(&r);
		rig_run(&r, code);
		for (int k = 0; k < 1500 && !denied; k++)
			denied += rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:1") == VERDICT_DENY;
		const char *log = rig_log(&r);
		if (i)
			assert_string_equal(log, "");
		else
			assert_has(log, "not enough memory for sets; make them while the script");
		assert_int_equal(denied, i ? 0 : 1);
		rig_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(lists_are_sorted_as_the_plain_way_does),
		rig_test(an_error_leaves_the_list_as_it_was),
		rig_test(a_long_list_is_not_sorted_for_ever),
		rig_test(sets_count_as_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
