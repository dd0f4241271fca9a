/* SPDX-License-Identifier: MIT */
#include "lua/sandbox.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "core/base.h"
#include "core/log.h"
#include "lua/sort.h"
#include "lua/sources.h"
#include "lua/strings.h"
#include "lua/suggest.h"
#include "lua/text.h"

#define SAW_PROCESS "nsnet.saw_process"

static const char *const base_names[] = {"_VERSION", "assert", "error", "getmetatable", "ipairs",
	"next", "pairs", "pcall", "rawequal", "rawget", "rawset", "select", "setmetatable",
	"tonumber", "tostring", "type", "unpack", "xpcall", NULL};

static const char *const table_names[] = {"concat", "insert", "maxn", "move", "remove", NULL};

static const char *const math_names[] = {"abs", "acos", "asin", "atan", "atan2", "ceil", "cos",
	"cosh", "deg", "exp", "floor", "fmod", "frexp", "huge", "ldexp", "log", "log10", "max",
	"min", "modf", "pi", "pow", "rad", "random", "randomseed", "sin", "sinh", "sqrt", "tan",
	"tanh", NULL};

static const char *const string_names[] = {"byte", "char", "format", "len", "lower", "reverse",
	"sub", "upper", NULL};

static const char *const bit_names[] = {"arshift", "band", "bnot", "bor", "bswap", "bxor", "lshift",
	"rol", "ror", "rshift", "tobit", "tohex", NULL};

static const char *const os_names[] = {"clock", "date", "difftime", "time", NULL};

/* Sets the named fields of the table at @from in the table on top. */
static void copy_names(lua_State *L, int from, const char *const *names)
{
	for (; *names; names++) {
		lua_getfield(L, from, *names);
		lua_setfield(L, -2, *names);
	}
}

/* Opens a standard library in the scratch globals and leaves a table with the named part on top. */
static void open_part(lua_State *L, lua_CFunction open, const char *name, const char *const *names)
{
	lua_pushcfunction(L, open);
	lua_pushstring(L, name);
	lua_call(L, 1, 0);
	lua_getglobal(L, name);
	int from = lua_gettop(L);
	lua_newtable(L);
	copy_names(L, from, names);
	lua_remove(L, from);
}

/* print goes where our messages go: stdout belongs to the command. */
static int l_print(lua_State *L)
{
	int n = lua_gettop(L);
	luaL_Buffer b;
	luaL_buffinit(L, &b);
	for (int i = 1; i <= n; i++) {
		if (i > 1)
			luaL_addchar(&b, '\t');
		text_push(L, i);
		luaL_addvalue(&b);
	}
	luaL_pushresult(&b);
	size_t len;
	const char *text = lua_tolstring(L, -1, &len);
	log_text(LOG_LEVEL_WARN, text, len);
	return 0;
}

static int l_collectgarbage(lua_State *L)
{
	const char *what = luaL_optstring(L, 1, "collect");
	if (strcmp(what, "count") != 0)
		return luaL_error(L, "collectgarbage can only \"count\" here");
	lua_pushnumber(L, lua_gc(L, LUA_GCCOUNT, 0) + lua_gc(L, LUA_GCCOUNTB, 0) / 1024.);
	return 1;
}

static int l_getenv(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	const char *allow = lua_touserdata(L, lua_upvalueindex(1));
	size_t len = strlen(name);
	for (const char *p = allow; p && *p;) {
		size_t n = strcspn(p, ",");
		if (n == len && !memcmp(p, name, n)) {
			lua_pushstring(L, getenv(name));
			return 1;
		}
		p += n + (p[n] == ',');
	}
	return luaL_error(L, "os.getenv(\"%s\") is not allowed; start with --env=%s", name, name);
}

#define DATE_MAX 1024 /* bytes of a format; each may become many */

/* os.date, upvalue 1, for formats of a sane length: a long one keeps strftime(3) busy. */
static int l_date(lua_State *L)
{
	size_t len;
	luaL_optlstring(L, 1, "", &len);
	if (len > DATE_MAX)
		return luaL_error(L, "os.date: the format is longer than %d bytes", DATE_MAX);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, 1);
	return 1;
}

bool sandbox_saw_process(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, SAW_PROCESS);
	bool saw = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return saw;
}

int sandbox_compile(lua_State *L, const char *text, size_t len, const char *chunk)
{
	if (len && text[0] == LUA_SIGNATURE[0]) {
		lua_pushfstring(L, "%s: this is compiled code; give the text that it was made of",
			*chunk == '@' || *chunk == '=' ? chunk + 1 : "load");
		return LUA_ERRSYNTAX;
	}
	/* A false alarm costs a lock of the host, see sandbox_saw_process(). */
	if (memmem(text, len, "process", 7)) {
		lua_pushboolean(L, true);
		lua_setfield(L, LUA_REGISTRYINDEX, SAW_PROCESS);
	}
	sources_keep(L, chunk, text, len);
	return luaL_loadbufferx(L, text, len, chunk, "t");
}

/* compile(text, chunkname[, env]): load and loadstring of the boot module. */
static int l_compile(lua_State *L)
{
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);
	const char *chunk = luaL_optstring(L, 2, text);
	bool env = !lua_isnoneornil(L, 3);
	if (env)
		luaL_checktype(L, 3, LUA_TTABLE);
	if (sandbox_compile(L, text, len, chunk)) {
		lua_pushnil(L);
		lua_insert(L, -2);
		return 2;
	}
	if (env) {
		lua_pushvalue(L, 3);
		lua_setfenv(L, -2);
	}
	return 1;
}

void sandbox_open(lua_State *L, const char *env_allow)
{
	/* The scratch globals: what is not copied out of them is garbage afterwards. */
	lua_pushcfunction(L, luaopen_base);
	lua_pushliteral(L, "");
	lua_call(L, 1, 0);
	lua_getglobal(L, "coroutine");
	lua_newtable(L);
	copy_names(L, LUA_GLOBALSINDEX, base_names);

	open_part(L, luaopen_table, LUA_TABLIBNAME, table_names);
	sort_open(L);
	lua_setfield(L, -2, "table");
	open_part(L, luaopen_math, LUA_MATHLIBNAME, math_names);
	lua_setfield(L, -2, "math");
	open_part(L, luaopen_bit, LUA_BITLIBNAME, bit_names);
	lua_setfield(L, -2, "bit");

	open_part(L, luaopen_os, LUA_OSLIBNAME, os_names);
	lua_pushlightuserdata(L, (void *)env_allow);
	lua_pushcclosure(L, l_getenv, 1);
	lua_setfield(L, -2, "getenv");
	lua_getfield(L, -1, "date");
	lua_pushcclosure(L, l_date, 1);
	lua_setfield(L, -2, "date");
	lua_setfield(L, -2, "os");

	static const char *const traceback[] = {"traceback", NULL};
	open_part(L, luaopen_debug, LUA_DBLIBNAME, traceback);
	lua_setfield(L, -2, "debug");

	open_part(L, luaopen_string, LUA_STRLIBNAME, string_names);
	strings_open(L);
	/* ("x"):rep() finds its methods through the metatable of all strings. */
	lua_pushliteral(L, "");
	lua_newtable(L);
	lua_pushvalue(L, -3);
	lua_setfield(L, -2, "__index");
	lua_pushliteral(L, "strings");
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
	lua_setfield(L, -2, "string");

	lua_pushcfunction(L, l_print);
	lua_setfield(L, -2, "print");
	lua_pushcfunction(L, l_collectgarbage);
	lua_setfield(L, -2, "collectgarbage");
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "_G");
	lua_pushcfunction(L, l_compile);
	lua_setfield(L, -3, "compile");

	lua_pushnil(L);
	lua_setfield(L, LUA_REGISTRYINDEX, "_LOADED");
	lua_pushnil(L);
	lua_setfield(L, LUA_REGISTRYINDEX, "_PRELOAD");
	lua_replace(L, LUA_GLOBALSINDEX);
}

static int l_global_read(lua_State *L)
{
	text_push(L, 2);
	const char *key = lua_tostring(L, -1);
	return luaL_error(L, "undefined global '%s'%s", key, suggest_push(L, key, 1));
}

static int l_global_write(lua_State *L)
{
	text_push(L, 2);
	return luaL_error(L,
		"assignment to global '%s' (missing local? shared state goes in nsnet.state)",
		lua_tostring(L, -1));
}

void sandbox_seal(lua_State *L)
{
	lua_newtable(L);
	lua_pushcfunction(L, l_global_read);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, l_global_write);
	lua_setfield(L, -2, "__newindex");
	lua_pushliteral(L, "globals");
	lua_setfield(L, -2, "__metatable");
	lua_pushvalue(L, LUA_GLOBALSINDEX);
	lua_insert(L, -2);
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
}
