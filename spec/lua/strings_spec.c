/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "lua/strings.h"

/* The stock library is the reference: `stock` is its table, `ours` ours. One difference is meant: a
 * capture that is not closed is always an error, not only where somebody looks at it. */
static lua_State *reference(void)
{
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	lua_getglobal(L, "string");
	lua_setglobal(L, "stock");
	lua_newtable(L);
	strings_open(L);
	lua_setglobal(L, "ours");
	return L;
}

static void run(lua_State *L, const char *code)
{
	if (luaL_dostring(L, code))
		print_error("%s\n", lua_tostring(L, -1));
	assert_int_equal(lua_gettop(L), 0);
}

#define COMPARE                                                                                    \
	"local function pack(...) return { n = select('#', ...), ... } end\n"                      \
	"local function show(t) local r = {} for i = 1, t.n do r[i] = tostring(t[i]) end\n"        \
	"  return table.concat(r, '|') end\n"                                                      \
	"function compare(name, ...)\n"                                                            \
	"  local a, b = pack(pcall(stock[name], ...)), pack(pcall(ours[name], ...))\n"             \
	"  local sa = a[1] and show(a) or 'error'\n"                                               \
	"  local sb = b[1] and show(b) or 'error'\n"                                               \
	"  if not b[1] and tostring(b[2]):find('unfinished capture', 1, true) then return end\n"   \
	"  if sa ~= sb then error(('%s %q %q: %s / %s (%s)'):format(name, tostring((...)),\n"      \
	"    tostring((select(2, ...))), sa, sb, tostring(b[2]))) end\n"                           \
	"end\n"                                                                                    \
	"function all(text, pat, ...)\n"                                                           \
	"  compare('find', text, pat, ...) compare('match', text, pat, ...)\n"                     \
	"  for _, r in ipairs { 'x', '<%0>', '%1', '%%', '%2', { a = 1 }, function(c) return c "   \
	"and 'f' end,\n"                                                                           \
	"    function() end, function() return {} end } do\n"                                      \
	"    compare('gsub', text, pat, r) compare('gsub', text, pat, r, 2)\n"                     \
	"  end\n"                                                                                  \
	"  local function list(lib)\n"                                                             \
	"    local out = {}\n"                                                                     \
	"    local ok = pcall(function() for a, b in lib.gmatch(text, pat) do\n"                   \
	"      out[#out + 1] = tostring(a) .. ',' .. tostring(b) if #out > 300 then error() end "  \
	"end end)\n"                                                                               \
	"    return tostring(ok) .. table.concat(out, ';')\n"                                      \
	"  end\n"                                                                                  \
	"  local unfinished = not pcall(ours.match, text, pat) and\n"                              \
	"    select(2, pcall(ours.match, text, pat)):find('unfinished', 1, true)\n"                \
	"  if not unfinished and list(stock) ~= list(ours) then error(('gmatch %q %q: %s / "       \
	"%s'):format(text, pat,\n"                                                                 \
	"    list(stock), list(ours))) end\n"                                                      \
	"end\n"

static void the_manual_holds(void **state)
{
	(void)state;
	lua_State *L = reference();
	run(L,
		COMPARE
		"for _, pat in ipairs { '', '^', '$', '^$', 'a', '^a', 'a$', '.', '.*', '.-', "
		"'.+', 'a*b',\n"
		"  'a-b', 'a+b', 'a?b', '(a)', '()', '(()a)', '((a)(b))', '(a', 'a)', '%', '[', "
		"'[a', '[]', '[]a]',\n"
		"  '[^a]', '[^]]', '[a-c]', '[%a_]', '[%]]', '[a-]', '[-a]', '[%d-z]', '%a', '%A', "
		"'%d+', '%s*',\n"
		"  '%w+', '%x', '%p', '%c', '%z', '%g', '%b()', '%b', '%b(', '%f[%w]%w+', '%f', "
		"'%fa', '%1', '(a)%1',\n"
		"  '(.)%1', '%0', '(a)(%1)', '(.-)b', '^(.-)%s*$', '[^,]*', '%%', '%.', '%-', "
		"'x*$', '$x', 'a^',\n"
		"  '()a()', '(%w+) (%w+)', '^^a', '[%', '[a-%', '%u%l', '[z-a]', "
		"'((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))',\n"
		"  '(((((((((((((((((((((((((((((((((a)))))))))))))))))))))))))))))))))' } do\n"
		"  for _, text in ipairs { '', 'a', 'ab', 'aab', 'hello world', 'f(a(b)c)d)', '  "
		"trim  ', 'a,b,,c',\n"
		"    'THE (quick) fox', 'x]y[z', 'a\\0b\\0\\0', 'aa', 'abab', '1234 abcd', '^a$', "
		"'a-b' } do\n"
		"    all(text, pat)\n"
		"    for _, init in ipairs { 0, 1, 2, 3, -1, -2, 100, -100 } do all(text, pat, "
		"init) end\n"
		"    all(text, pat, 1, true)\n"
		"  end\n"
		"end\n"
		"for _, n in ipairs { -1, 0, 1, 2, 3.9, 10 } do\n"
		"  for _, s in ipairs { '', 'a', 'abc' } do\n"
		"    compare('rep', s, n) compare('rep', s, n, ',') compare('rep', s, n, '')\n"
		"  end\n"
		"end\n");
	lua_close(L);
}

static void random_patterns_agree(void **state)
{
	(void)state;
	lua_State *L = reference();
	run(L,
		COMPARE "math.randomseed(20220320)\n"
			"local parts = { 'a', 'b', '.', '%a', '%d', '[ab]', '[^a]', '(', ')', "
			"'()', '%1', '%f[a]', '%bab', '$',\n"
			"  '^', 'a-', 'b*', '.-', '.+', 'a?', '[a-b]+', '%s', '-', '*', '%' }\n"
			"local chars = { 'a', 'b', 'a', 'b', ' ', '1', '(', ')' }\n"
			"local function pick(list, most)\n"
			"  local t = {}\n"
			"  for i = 1, math.random(0, most) do t[i] = list[math.random(#list)] end\n"
			"  return table.concat(t)\n"
			"end\n"
			"for i = 1, 30000 do all(pick(chars, 12), pick(parts, 6)) end\n");
	lua_close(L);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_manual_holds),
		cmocka_unit_test(random_patterns_agree),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
