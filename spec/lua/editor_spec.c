/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <lauxlib.h>
#include <lualib.h>

#include "lua/failure.h"
#include "lua/modules.h"
#include "lua/process.h"
#include "lua/ruleset.h"
#include "lua/scripts.h"
#include "lua/verdict.h"
#include "spec/lua/rig.h"

#include "spec/lua/asking.h"

/* What the program has is gathered from its own state, what editors are told is read by
 * spec/lua/definitions.lua: both lists must be the same. */
static char real[65536];

static void __attribute__((format(printf, 1, 2))) add(const char *fmt, ...)
{
	size_t n = strlen(real);
	va_list ap;
	va_start(ap, fmt);
	int len = vsnprintf(real + n, sizeof(real) - n, fmt, ap);
	va_end(ap);
	assert_true(len > 0 && n + (size_t)len < sizeof(real));
}

/* Leaves the table that the functions of the module are in, behind the proxy. */
static void push_module(lua_State *L)
{
	lua_getglobal(L, "nsnet");
	assert_true(lua_getmetatable(L, -1));
	lua_getfield(L, -1, "__index");
	assert_true(lua_istable(L, -1));
}

/* Tables that hold what scripts put there. */
static bool is_open(const char *name)
{
	return !strcmp(name, "nsnet.state") || !strcmp(name, "nsnet.restored") ||
		!strcmp(name, "_G");
}

/* Adds the names of the table on top, and of the tables in it. */
static void add_table(lua_State *L, const char *prefix)
{
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		char name[128];
		snprintf(name, sizeof(name), "%s%s", prefix, lua_tostring(L, -2));
		add("%s\n", name);
		if (lua_istable(L, -1) && !is_open(name) && strcmp(name, "nsnet") != 0) {
			strcat(name, ".");
			add_table(L, name);
		}
		lua_pop(L, 1);
	}
}

/* "conn" is nsnet.Conn, "log file" nsnet.LogFile. */
static void class_name(const char *name, char *out)
{
	out += sprintf(out, "nsnet.");
	for (bool first = true; *name; name++) {
		if (*name != ' ')
			*out++ = first ? (char)toupper((unsigned char)*name) : *name;
		first = *name == ' ';
	}
	*out = 0;
}

/* Fields and methods of each class that the state knows. */
static void add_classes(lua_State *L)
{
	int classes = 0;
	lua_pushnil(L);
	while (lua_next(L, LUA_REGISTRYINDEX)) {
		char name[64];
		if (lua_type(L, -2) == LUA_TLIGHTUSERDATA && lua_istable(L, -1)) {
			lua_getfield(L, -1, "__metatable");
			lua_getfield(L, -2, "__index");
			if (lua_isstring(L, -2) && lua_getupvalue(L, -1, 1)) {
				class_name(lua_tostring(L, -3), name);
				classes++;
				lua_pushnil(L);
				while (lua_next(L, -2)) {
					add("%s%s%s\n", name, lua_isfunction(L, -1) ? ":" : ".",
						lua_tostring(L, -2));
					lua_pop(L, 1);
				}
				lua_pop(L, 1);
			}
			lua_pop(L, 2);
		}
		lua_pop(L, 1);
	}
	assert_true(classes >= 10);
}

static void add_keys(lua_State *L, const char *class)
{
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		add("%s.%s\n", class, lua_tostring(L, -2));
		lua_pop(L, 1);
	}
}

static void add_process(lua_State *L)
{
	char exe[] = "/bin/x", argv[] = "x", parent[] = "sh";
	struct process p = {.pid = 1, .exe = exe, .cwd = exe, .argv = argv, .argv_len = 2};
	strcpy(p.name, "x");
	p.parent_count = 1;
	p.parents[0].pid = 2;
	strcpy(p.parents[0].name, parent);
	process_push(L, &p);
	add_keys(L, "nsnet.Process");
	lua_getfield(L, -1, "parents");
	lua_rawgeti(L, -1, 1);
	add_keys(L, "nsnet.Parent");
	lua_pop(L, 3);
}

/* Whatever takes options refuses one that there is not, and says which there are. */
static const char probes[] =
	"local found = {}\n"
	"local function probe(class, ...)\n"
	"  local ok, message = pcall(...)\n"
	"  assert(not ok, class)\n"
	"  local list = message:match(\"there are: ([%w_, ]+)\")\n"
	"  for name in (list or \"\"):gmatch(\"[%w_]+\") do\n"
	"    found[#found + 1] = class .. \".\" .. name\n"
	"  end\n"
	"  local values = message:match(\"is not one of: ([%w_, ]+)\")\n"
	"  for name in (values or \"\"):gmatch(\"[%w_]+\") do\n"
	"    found[#found + 1] = class .. \"=\" .. name\n"
	"  end\n"
	"  assert(list or values, message)\n"
	"end\n"
	"local none, f, wrong = { zzz = 1 }, function() end, { network = \"zzz\" }\n"
	"probe('nsnet.FlowFilter', nsnet.guard, none, f)\n"
	"probe('nsnet.FlowFilter', nsnet.dialer, none, f)\n"
	"probe('nsnet.FlowFilter', nsnet.on_close, none, f)\n"
	"probe('nsnet.HookFilter', nsnet.on_connect, none, f)\n"
	"probe('nsnet.HookFilter', nsnet.on_flow, none, f)\n"
	"probe('nsnet.BytesFilter', nsnet.on_first_bytes, none, f)\n"
	"probe('nsnet.DataFilter', nsnet.on_data, none, f)\n"
	"probe('nsnet.PacketFilter', nsnet.on_packet, none, f)\n"
	"probe('nsnet.DnsFilter', nsnet.on_dns, none, f)\n"
	"probe('nsnet.Rule', nsnet.rules, { { zzz = 1, nsnet.allow } })\n"
	"probe('nsnet.DenyOptions', nsnet.deny, none)\n"
	"probe('nsnet.RedirectOptions', nsnet.redirect, '192.0.2.1:1', none)\n"
	"probe('nsnet.BucketOptions', nsnet.bucket, none)\n"
	"probe('nsnet.Network', nsnet.guard, wrong, f)\n"
	"probe('nsnet.RuleNetwork', nsnet.rules, { { network = 'zzz', nsnet.allow } })\n"
	"probe('nsnet.PacketDir', nsnet.on_packet, { dir = 'zzz' }, f)\n"
	"probe('nsnet.DataDir', nsnet.on_data, { dir = 'zzz' }, f)\n"
	"probe('nsnet.Proto', nsnet.on_packet, { proto = 'zzz' }, f)\n"
	"probe('nsnet.Style', nsnet.deny, { style = 'zzz' })\n"
	"nsnet.on_connect(function(conn)\n"
	"  probe('nsnet.Limits', conn.limit, conn, none)\n"
	"  probe('nsnet.DialOptions', nsnet.dial, 'tcp', '192.0.2.1:1', none)\n"
	"  probe('nsnet.DialNetwork', nsnet.dial, 'zzz', '192.0.2.1:1')\n"
	"end)\n"
	"nsnet.on_dns(function(query)\n"
	"  probe('nsnet.Answer', query.answer, query, none)\n"
	"end)\n"
	"nsnet.on_exit(function()\n"
	"  nsnet.log.info(table.concat(found, ' '))\n"
	"end)\n";

/* Runs the probes and adds what they found. */
static void add_options(struct rig *r)
{
	char *word, *save, *text;
	unsigned words = 0;
	rig_verdict(r, IPPROTO_TCP, "198.51.100.7:80");
	ask(r, "a.example");
	rig_log(r);
	lua_host_exit(r->host, 0);
	text = strdup(rig_log(r));
	assert_non_null(text);
	if (lua_host_errors(r->host))
		print_error("%s", text);
	assert_int_equal(lua_host_errors(r->host), 0);
	for (word = strtok_r(text, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		if (strncmp(word, "nsnet.", 6) != 0)
			continue;
		add("%s\n", word);
		words++;
	}
	assert_true(words > 60);
	free(text);
}

static void gather(void)
{
	struct rig r;
	asking_open(&r, probes);
	lua_State *L = r.host->current->vm.L;
	real[0] = 0;
	push_module(L);
	add_table(L, "nsnet.");
	lua_pop(L, 3);
	add_classes(L);
	add_process(L);
	add_options(&r);
	for (int v = VERDICT_ALLOW; v <= VERDICT_VIA; v++)
		add("nsnet.Action=%s\n", verdict_word((enum verdict)v));
	for (int f = FAILURE_TIMEOUT; f <= FAILURE_PROTO; f++)
		add("nsnet.Code=%s\n", failure_code((enum failure)f));
	asking_close(&r);
}

/* --- the comparison -------------------------------------------------------------------------- */

/* A plain state with spec/lua/definitions.lua on top. */
static lua_State *plain_state(void)
{
	lua_State *P = luaL_newstate();
	assert_non_null(P);
	luaL_openlibs(P);
	if (luaL_dofile(P, "spec/lua/definitions.lua"))
		fail_msg("%s", lua_tostring(P, -1));
	return P;
}

static const char *editor_file(const char *name)
{
	for (const struct lua_module *m = lua_editor; m->name; m++) {
		if (!strcmp(m->name, name))
			return m->text;
	}
	fail_msg("no file %s for editors", name);
	return NULL;
}

/* Pushes definitions.@reader(@text). */
static void push_names(lua_State *P, const char *reader, const char *text)
{
	lua_getfield(P, 1, reader);
	lua_pushstring(P, text);
	if (lua_pcall(P, 1, 1, 0))
		fail_msg("%s", lua_tostring(P, -1));
}

/* Pushes the real names, each once, without @skip. */
static void push_real(lua_State *P, const char *skip)
{
	static const char list[] = "local text, skip = ...\n"
				   "local list, seen = {}, { [skip] = true }\n"
				   "for name in text:gmatch('[^\\n]+') do\n"
				   "  if not seen[name] then list[#list + 1] = name end\n"
				   "  seen[name] = true\n"
				   "end\n"
				   "return list\n";
	assert_int_equal(luaL_loadstring(P, list), 0);
	lua_pushstring(P, real);
	lua_pushstring(P, skip);
	lua_call(P, 2, 1);
}

/* Replaces the two lists on top by their difference, a string or nil. */
static const char *difference(lua_State *P)
{
	lua_getfield(P, 1, "difference");
	lua_insert(P, -3);
	lua_call(P, 2, 1);
	return lua_tostring(P, -1);
}

static void agree(const char *reader, const char *file)
{
	lua_State *P = plain_state();
	push_names(P, reader, editor_file(file));
	int defined = lua_gettop(P);
	size_t n = lua_objlen(P, defined);
	push_real(P, "");
	assert_int_equal(n, lua_objlen(P, -1));
	lua_pushvalue(P, defined);
	lua_insert(P, -2);
	if (difference(P))
		fail_msg("%s: %s", file, lua_tostring(P, -1));
	/* A name that the program alone has, or has no more, does not pass. */
	for (size_t i = 1; i <= n; i++) {
		char want[160];
		lua_settop(P, defined);
		lua_rawgeti(P, defined, (int)i);
		snprintf(want, sizeof(want), "only defined: %s; only real: ", lua_tostring(P, -1));
		lua_pushvalue(P, defined);
		push_real(P, lua_tostring(P, -2));
		assert_string_equal(difference(P), want);
	}
	size_t end = strlen(real);
	add("nsnet.new\n");
	lua_settop(P, defined);
	push_real(P, "");
	assert_string_equal(difference(P), "only defined: ; only real: nsnet.new");
	real[end] = 0;
	lua_close(P);
}

static void the_definitions_are_the_api(void **state)
{
	(void)state;
	gather();
	agree("read", "nsnet.d.lua");
}

static void luacheck_knows_the_sandbox(void **state)
{
	(void)state;
	struct rig r;
	rig_open(&r);
	rig_run(&r, "");
	lua_State *L = r.host->current->vm.L;
	real[0] = 0;
	lua_pushvalue(L, LUA_GLOBALSINDEX);
	add_table(L, "");
	push_module(L);
	add_table(L, "nsnet.");
	lua_pop(L, 4);
	agree("globals", ".luacheckrc");
	rig_close(&r);
}

/* What the reader of the definitions does not see would not be compared. */
static void the_reader_sees_each_kind_of_name(void **state)
{
	(void)state;
	lua_State *P = plain_state();
	push_names(P, "read",
		"---@class nsnet.A\n---@field x? string\nlocal A = {}\n---@param n integer\n"
		"function A:go(n) end\n---@class nsnet.B: nsnet.A\n---@field y integer|nil\n"
		"---@alias nsnet.S \"p\"|\"q\"\n---@alias nsnet.U\n---| \"r\" | \"s\"\n---| "
		"\"t\"\n---@alias nsnet.T string|\"p\"\n"
		"nsnet = {}\nfunction nsnet.f(a, ...) end\nnsnet.v = nil\nnsnet.log = {}\n"
		"function nsnet.log.info(x) end\n");
	static const char *const want[] = {"nsnet.A.x", "nsnet.A:go", "nsnet.B.x", "nsnet.B.y",
		"nsnet.S=p", "nsnet.S=q", "nsnet.U=r", "nsnet.U=s", "nsnet.U=t", "nsnet.f",
		"nsnet.log", "nsnet.log.info", "nsnet.v"};
	assert_int_equal(lua_objlen(P, -1), ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		lua_rawgeti(P, 2, (int)i + 1);
		assert_string_equal(lua_tostring(P, -1), want[i]);
		lua_pop(P, 1);
	}
	lua_close(P);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(the_reader_sees_each_kind_of_name),
		rig_test(the_definitions_are_the_api),
		rig_test(luacheck_knows_the_sandbox),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
