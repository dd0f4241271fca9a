/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lua/lines.h"
#include "spec/lua/rig.h"

/* The lines of the @n entries of the call in line @at, as "3 4 7"; "-": not told. */
static const char *lines(const char *text, unsigned at, size_t n)
{
	static char out[128];
	unsigned line[16];
	assert_true(n <= ARRAY_LEN(line));
	/* On the heap and without a NUL behind it: what reads on is found. */
	size_t len = strlen(text);
	char *copy = malloc(len + 1);
	assert_non_null(copy);
	memcpy(copy, text, len);
	bool found = lines_of_entries(copy, len, "rules", at, line, n);
	free(copy);
	out[0] = 0;
	for (size_t i = 0; found && i < n; i++)
		sprintf(out + strlen(out), "%s%u", i ? " " : "", line[i]);
	return found ? out : "-";
}

static void entries_have_the_lines_in_which_they_begin(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		unsigned at;
		size_t n;
		const char *lines;
	} cases[] = {
		{"nsnet.rules { {}, {} }", 1, 2, "1 1"},
		{"nsnet.rules {\n {},\n\n {} }", 1, 2, "2 4"},
		{"nsnet.rules {\n {};\n {},\n}", 1, 2, "2 3"},
		{"nsnet.rules({\n {},\n {},\n})", 1, 2, "2 3"},
		{"nsnet.rules(\n{\n {},\n {},\n})", 1, 2, "3 4"},
		{"nsnet.rules {\r\n {},\r\n {}\r\n}", 1, 2, "2 3"},
		{"\n\nnsnet.rules { {\n 1 }, f(1,\n2), {} }", 3, 3, "3 4 5"},
		{"local r = nsnet.rules\nr { a,\n b }", 2, 2, "2 3"},
		{"nsnet['rules'] {\n {} }", 1, 1, "2"},
		/* What only looks like brackets, commas and lines. */
		{"nsnet.rules { -- { {\n {}, --[[ {\n{ ]] {} }", 1, 2, "2 3"},
		{"nsnet.rules { { name = '},{' },\n { [[\n},{]] }, [==[\n]] ]==] }", 1, 3, "1 2 3"},
		{"nsnet.rules { { '\\'}\\\\' },\n { \"\\\n\" },\n {} }", 1, 3, "1 2 4"},
		{"nsnet.rules { { when = function(c) if c then return 1, 2 end end },\n {} }", 1, 2,
			"1 2"},
		{"nsnet.rules { function() for i = 1, 2 do f(1, 2) end end,\n {} }", 1, 2, "1 2"},
		{"nsnet.rules { function() repeat local a, b = 1, 2 until a == b end,\n {} }", 1, 2,
			"1 2"},
		{"nsnet.rules { a == b and {} or c,\n d <= e and {} }", 1, 2, "1 2"},
		{"nsnet.rules { { 0x1p4, 1e3, 2 .. 3 }, {} }", 1, 2, "1 1"},
		/* Two calls in a line. */
		{"f { {} } nsnet.rules { {\n}, {} }", 1, 2, "1 2"},
		{"nsnet.rules { { cidr = nsnet.cidrs { 1, 2 } },\n {} }", 1, 2, "1 2"},
		{"f { {} } g {\n {} }", 1, 1, "-"},
		{"nsnet.rules { {} } nsnet.rules {\n {} }", 1, 1, "-"},
		{"nsnet.rules { {} } nsnet.rules {\n {}, {} }", 1, 2, "2 2"},
		/* Tables that are not written out, or not of these entries. */
		{"nsnet.rules(list)", 1, 2, "-"},
		{"nsnet.rules { unpack(list) }", 1, 2, "-"},
		{"nsnet.rules { [1] = {}, [2] = {} }", 1, 2, "-"},
		{"nsnet.rules { x = {}, {} }", 1, 1, "1"},
		{"local t = { {}, {} } f(t)", 1, 2, "-"},
		{"return { {}, {} }, nsnet.rules(t)", 1, 2, "-"},
		{"nsnet.rules { {} }", 2, 1, "-"},
		{"nsnet.rules {}", 1, 0, ""},
		/* Texts that never compiled. */
		{"", 1, 1, "-"},
		{"nsnet.rules {", 1, 1, "-"},
		{"nsnet.rules { {", 1, 1, "-"},
		{"nsnet.rules { {} '", 1, 1, "-"},
		{"nsnet.rules { {}, [[", 1, 1, "-"},
		{"nsnet.rules { {}, [==", 1, 1, "-"},
		{"nsnet.rules { '\\", 1, 1, "-"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *got = lines(cases[i].text, cases[i].at, cases[i].n);
		if (strcmp(got, cases[i].lines) != 0)
			print_error("%s\n", cases[i].text);
		assert_string_equal(got, cases[i].lines);
	}
}

/* Rules are numbered by LuaJIT itself: the reason of each is the line that its verdict was made in,
 * and must be the line of its label. */
static void luajit_counts_alike(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	static const char code[] =
		"local function here() -- { line } of the caller\n"
		"  return nsnet.deny((debug.traceback('', 2):match(':(%d+): in')))\n"
		"end\n"
		"local list = { { port = 1, here() } }\n"
		"nsnet.rules { { port = 2, here() },\n"
		"\n"
		"  { name = [[}\n"
		"]], port = 3, network = 'tcp', nsnet.deny '7' }, --[==[ {,\n"
		"  ]==] { port = 4, here() };\r\n"
		"  { port = { 5, 6 }, domain = nil, here() }, { port = 7, when = function(c)\n"
		"    if c then return true end return 1, 2\n"
		"  end, nsnet.deny '10' },\n"
		"  { name = 'it\\\n"
		"self', port = 8, nsnet.deny '13' },\n"
		"  { port = 9, here() },\n"
		"}\n"
		"nsnet.rules(list)\n";
	rig_open(&r);
	rig_run(&r, code);
	for (int port = 2; port <= 9; port++) {
		char dst[32], want[32];
		snprintf(dst, sizeof(dst), "198.51.100.7:%d", port);
		assert_true(rig_ask(&r, &f, IPPROTO_TCP, dst));
		assert_non_null(f.flow.decision.reason);
		snprintf(want, sizeof(want), "(rules.lua:%s)", f.flow.decision.reason);
		assert_has(f.flow.decision.rule, want);
		rig_end(&r, &f, FLOW_CAUSE_DENIED);
	}
	/* A list from elsewhere: which one, of the call. */
	assert_true(rig_ask(&r, &f, IPPROTO_TCP, "198.51.100.7:1"));
	assert_string_equal(f.flow.decision.reason, "4");
	assert_string_equal(f.flow.decision.rule, "rule 1 (rules.lua:17 #1)");
	rig_end(&r, &f, FLOW_CAUSE_DENIED);
	rig_close(&r);
}

static void an_error_in_a_rule_has_its_line(void **state)
{
	(void)state;
	static const struct {
		const char *code, *log;
	} cases[] = {
		{"nsnet.rules {\n  { nsnet.allow },\n  { port = 0, nsnet.deny },\n}",
			"rules.lua:3: port=0 is not within"},
		{"nsnet.rules {\n  { nsnet.allow },\n  { prot = 1, nsnet.deny },\n}",
			"rules.lua:3: nsnet.rules: rule 2: unknown option 'prot'"},
		{"nsnet.rules {\n\n  { nsnet.alow },\n}", "rules.lua:3: there is no nsnet.alow"},
		{"nsnet.rules {\n\n  { true },\n}", "rules.lua:3: nsnet.rules: rule 1 ends with a"},
		{"nsnet.rules {\n\n  7,\n}", "rules.lua:3: nsnet.rules: rule 1 must be a table"},
		{"local r = { { true } }\nnsnet.rules(r)",
			"rules.lua:2: nsnet.rules: rule 1 ends with a"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rig r;
		rig_open(&r);
		assert_int_equal(rig_load(&r, cases[i].code), 70);
		assert_has(rig_log(&r), cases[i].log);
		rig_close(&r);
	}
}

/* Codes of one name, as several -e, are told apart; of chunks that a script calls as itself neither
 * text is asked. */
static void texts_of_one_name_are_not_mixed_up(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	rig_open(&r);
	assert_int_equal(lua_host_add_code(r.host, "rules.lua", "-- {\n"), 0);
	rig_run(&r, "nsnet.rules {\n { nsnet.deny } }");
	assert_true(rig_ask(&r, &f, IPPROTO_TCP, "198.51.100.7:1"));
	assert_string_equal(f.flow.decision.rule, "rule 1 (rules.lua#2:2)");
	rig_end(&r, &f, FLOW_CAUSE_DENIED);
	rig_close(&r);

	rig_open(&r);
	rig_run(&r, "load('-- {', '=rules.lua')\nnsnet.rules {\n { nsnet.deny } }");
	assert_true(rig_ask(&r, &f, IPPROTO_TCP, "198.51.100.7:1"));
	assert_string_equal(f.flow.decision.rule, "rule 1 (rules.lua:2 #1)");
	rig_end(&r, &f, FLOW_CAUSE_DENIED);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(entries_have_the_lines_in_which_they_begin),
		rig_test(luajit_counts_alike),
		rig_test(an_error_in_a_rule_has_its_line),
		rig_test(texts_of_one_name_are_not_mixed_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
