/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lua/jsonread.h"
#include "spec/lua/rig.h"

static const char *on_event(void *arg, enum jsonread_event e, const char *text, size_t len,
	double number)
{
	(void)e, (void)text, (void)len, (void)number;
	++*(int *)arg;
	return NULL;
}

static bool always(void)
{
	return true;
}

/* Reads a text from memory of exactly its size. */
static int read_json(struct jsonread *r, const char *text, size_t len)
{
	char *copy = malloc(len + 1);
	memcpy(copy, text, len);
	copy[len] = 0;
	int rc = jsonread(r, copy, len);
	free(copy);
	return rc;
}

static void what_is_no_json_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"", " ", "nul", "nulls", "True", "[1,]", "[,1]", "[1 2]",
		"[", "]", "{", "}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{1:1}",
		"{\"a\" 1}", "\"", "\"a", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u123g\"",
		"\"\\ud800\"", "\"\\ud800x\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\t\"",
		"\"\n\"", "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x10", "1e999", "-1e999",
		"NaN", "Infinity", "1 1", "[1]]", "\xef\xbb\xbf[]", "\"\xff\"", "\"\xc0\x80\"",
		"\"\xe0\x80\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xc3\"",
		"// x\n1", "'a'", "[1,,2]"};
	int events = 0;
	struct jsonread r = {.fn = on_event, .arg = &events};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (!read_json(&r, bad[i], strlen(bad[i])))
			print_error("accepted: %s\n", bad[i]);
		assert_int_equal(read_json(&r, bad[i], strlen(bad[i])), -EINVAL);
		assert_non_null(r.error);
		assert_in_range(r.at, 0, strlen(bad[i]));
	}
	/* Bytes behind a NUL are bytes. */
	assert_int_equal(read_json(&r, "1\0", 2), -EINVAL);
	assert_int_equal(read_json(&r, "\"a\0b\"", 5), -EINVAL);
}

/* Every text cut off anywhere is none, and no byte behind it is looked at. */
static void a_part_of_a_text_is_none(void **state)
{
	(void)state;
	static const char text[] = "[{\"a\\u00e9\\ud83d\\ude00\":[true,null,\"\xc3\xa9\"]},false]";
	int events = 0;
	struct jsonread r = {.fn = on_event, .arg = &events};
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		assert_int_equal(read_json(&r, text, n), -EINVAL);
	events = 0;
	assert_int_equal(read_json(&r, text, sizeof(text) - 1), 0);
	assert_int_equal(events, 11);
}

static void size_is_bounded(void **state)
{
	(void)state;
	int events = 0;
	struct jsonread r = {.fn = on_event, .arg = &events};
	char text[4096];
	memset(text, '[', JSONREAD_DEPTH_MAX);
	memset(text + JSONREAD_DEPTH_MAX, ']', JSONREAD_DEPTH_MAX);
	assert_int_equal(read_json(&r, text, 2 * JSONREAD_DEPTH_MAX), 0);
	memset(text, '[', sizeof(text));
	assert_int_equal(read_json(&r, text, sizeof(text)), -EINVAL);
	assert_string_equal(r.error, "nested too deeply");
	memset(text, '1', sizeof(text));
	assert_int_equal(read_json(&r, text, sizeof(text)), -EINVAL);
	assert_string_equal(r.error, "a number of too many digits");
	/* One that takes too long is stopped, in a string too. */
	text[0] = text[sizeof(text) - 1] = '"';
	assert_int_equal(read_json(&r, text, sizeof(text)), 0);
	r.stop = always;
	assert_int_equal(read_json(&r, text, sizeof(text)), -EINVAL);
	assert_string_equal(r.error, "the CPU budget is spent");
}

static void values_go_there_and_back(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"local json = nsnet.json\n"
		"for _, text in ipairs {\n"
		"  'null', 'true', 'false', '0', '-0', '1', '-1.5', '1e+300', '0.1', "
		"'9007199254740993',\n"
		"  '\"\"', '\"a\"', '[]', '{}', '[[]]', '[1,\"a\",null,{\"x\":[]}]',\n"
		"  '{\"a\":1,\"b\":{\"c\":[true,false]},\"z\":null}', "
		"'\"\\\\\"\\\\\\\\\\\\n\\\\u0001\"',\n"
		"} do\n"
		"  local value, err = json.decode(text)\n"
		"  assert(value ~= nil, err)\n"
		"  local again = json.encode(value)\n"
		"  assert(again == text or (text == '9007199254740993' and again == "
		"'9.00719925474099e+15' or again == '9007199254740992'), again)\n"
		"end\n"
		"local v = assert(json.decode ' { \"a\" : [ 1 , 2 ] , \"\\\\u00e9\" : "
		"\"\\\\ud83d\\\\ude00\\\\u0000\" } ')\n"
		"assert(#v.a == 2 and v.a[2] == 2 and v['\\195\\169'] == "
		"'\\240\\159\\152\\128\\0')\n"
		"assert(json.decode 'null' == json.null and json.encode { json.null } == "
		"'[null]')\n"
		"assert(json.encode {} == '{}' and json.encode(json.list {}) == '[]')\n"
		"assert(json.encode('x\\255\\192\\128y') == '\"x\\239\\191\\189\\239\\191\\189"
		"\\239\\191\\189y\"')\n"
		"assert(json.encode(setmetatable({}, { __index = { a = 1 } })) == '{}')\n");
	assert_string_equal(rig_log(&r), "");
	rig_close(&r);
}

static void what_cannot_be_written_raises(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r,
		"local function no(what, value)\n"
		"  local ok, why = pcall(nsnet.json.encode, value)\n"
		"  assert(not ok and why:find(what, 1, true), why)\n"
		"end\n"
		"no('nothing for a function', print)\n"
		"no('nothing for a userdata', { nsnet.allow })\n"
		"no('no number for nan', 0 / 0)\n"
		"no('no number for inf', -1 / 0)\n"
		"no('without holes', { 1, nil, 3, x = 1 })\n"
		"no('without holes', { [2] = 1 })\n"
		"no('without holes', { [true] = 1 })\n"
		"no('is no string', { a = 1, [true] = 1 })\n"
		"no('without holes', nsnet.json.list { a = 1 })\n"
		"local circle = {} circle[1] = circle\n"
		"no('in a circle', circle)\n"
		"no('too long', ('x'):rep(16 * 1024 * 1024))\n"
		"assert(not pcall(nsnet.json.encode))\n"
		"local v, err, code = nsnet.json.decode '[1,2'\n"
		"assert(v == nil and code == 'proto' and err == \"json: no ',' or ']' at byte 5\", "
		"err)\n"
		"v, err = nsnet.json.decode '{\"a\":1,\"a\":2}'\n"
		"assert(v == nil and err:find 'there already', err)\n"
		"assert(not pcall(nsnet.json.decode, {}))\n");
	assert_string_equal(rig_log(&r), "");
	rig_close(&r);
}

/* Work that no hook can interrupt looks at the budget itself. */
static void too_much_json_costs_one_flow(void **state)
{
	(void)state;
	static const char *const bombs[] = {
		"nsnet.json.decode(state.list)",
		"nsnet.json.decode(state.text)",
		"nsnet.json.encode(state.value)",
		"while true do pcall(nsnet.json.encode, state.value) end",
	};
	for (size_t i = 0; i < ARRAY_LEN(bombs); i++) {
		struct rig r;
		char code[1024];
		rig_open(&r);
		snprintf(code, sizeof(code),
			"local state = nsnet.state\n"
			"state.list = '[' .. ('1,'):rep(1e6) .. '1]'\n"
			"state.text = '\"' .. ('x'):rep(4e6) .. '\"'\n"
			"state.value = {} for k = 1, 5e5 do state.value[k] = 'value' end\n"
			"nsnet.on_connect({ port = 80 }, function()\n"
			"  for _ = 1, 50 do %s end return nsnet.allow end)\n",
			bombs[i]);
		rig_run(&r, code);
		assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:80"), VERDICT_DENY);
		assert_has(rig_log(&r), "CPU budget");
		assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:81"), VERDICT_ALLOW);
		rig_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_json_is_refused),
		cmocka_unit_test(a_part_of_a_text_is_none),
		cmocka_unit_test(size_is_bounded),
		rig_test(values_go_there_and_back),
		rig_test(what_cannot_be_written_raises),
		rig_test(too_much_json_costs_one_flow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
