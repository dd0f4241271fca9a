/* SPDX-License-Identifier: MIT */
#include "lua/logging.h"

#include <stdio.h>

#include <lauxlib.h>

#include "core/log.h"
#include "core/tell.h"
#include "lua/connection.h"
#include "lua/text.h"

/* The text of (format, ...) or (value): string.format is only asked if there is something to fill
 * in, so that a "%" in plain text is no error. */
static const char *what_to_say(lua_State *L, size_t *len)
{
	if (lua_gettop(L) > 1) {
		luaL_checkstring(L, 1);
		lua_pushvalue(L, lua_upvalueindex(1));
		lua_insert(L, 1);
		lua_call(L, lua_gettop(L) - 1, 1);
	} else {
		luaL_checkany(L, 1);
		text_push(L, 1);
	}
	return lua_tolstring(L, -1, len);
}

static int say(lua_State *L, enum log_level level)
{
	if (log_enabled(level)) {
		size_t len;
		const char *text = what_to_say(L, &len);
		log_text(level, text, len);
	}
	return 0;
}

static int l_log_debug(lua_State *L)
{
	return say(L, LOG_LEVEL_INFO);
}

/* What a script says is meant to be seen: the level that is shown by default. */
static int l_log_info(lua_State *L)
{
	return say(L, LOG_LEVEL_WARN);
}

static int l_log_error(lua_State *L)
{
	return say(L, LOG_LEVEL_ERROR);
}

/* Field @name of the connection at 1, which stays on the stack; "" for nil. */
static const char *conn_text(lua_State *L, const char *name)
{
	lua_getfield(L, 1, name);
	return lua_isnil(L, -1) ? "" : lua_tostring(L, -1);
}

static lua_Number conn_number(lua_State *L, const char *name)
{
	lua_getfield(L, 1, name);
	return lua_tonumber(L, -1);
}

/* " deny by rules.lua:12: why"; nothing before there is a verdict. */
static void log_decision(lua_State *L, char *out, size_t size)
{
	const char *verdict = conn_text(L, "verdict"), *rule = conn_text(L, "rule"),
		   *reason = conn_text(L, "reason");
	snprintf(out, size, "%s%s%s%s%s%s", *verdict ? " " : "", verdict, *rule ? " by " : "", rule,
		*reason ? ": " : "", reason);
}

/* ", 517 up, 34.1k down, 51 ms, closed"; nothing before the end. */
static void log_ending(lua_State *L, char *out, size_t size)
{
	const char *end = conn_text(L, "close_reason"), *error = conn_text(L, "dial_error");
	char up[TELL_TEXT_MAX], down[TELL_TEXT_MAX], span[TELL_TEXT_MAX];
	*out = '\0';
	if (!*end)
		return;
	tell_size((uint64_t)conn_number(L, "bytes_up"), up);
	tell_size((uint64_t)conn_number(L, "bytes_down"), down);
	tell_span(conn_number(L, "duration"), span);
	snprintf(out, size, ", %s up, %s down, %s, %s%s%s", up, down, span, end, *error ? ": " : "",
		error);
}

static int l_log_conn(lua_State *L)
{
	char decision[512], ending[512], kind[TEXT_KIND_MAX];
	if (!connection_is(L, 1))
		return luaL_error(L, "nsnet.log.conn takes a connection, not %s",
			text_kind(L, 1, kind));
	const char *host = conn_text(L, "host");
	text_push(L, 1);
	const char *text = lua_tostring(L, -1);
	log_decision(L, decision, sizeof(decision));
	log_ending(L, ending, sizeof(ending));
	log_warn("%s%s%s%s%s%s", text, *host ? " (" : "", host, *host ? ")" : "", decision, ending);
	return 0;
}

void logging_open(lua_State *L)
{
	static const luaL_Reg functions[] = {{"debug", l_log_debug}, {"info", l_log_info},
		{"warn", l_log_info}, {"error", l_log_error}, {"conn", l_log_conn}, {NULL, NULL}};
	lua_newtable(L);
	for (const luaL_Reg *f = functions; f->name; f++) {
		lua_getglobal(L, "string");
		lua_getfield(L, -1, "format");
		lua_remove(L, -2);
		lua_pushcclosure(L, f->func, 1);
		lua_setfield(L, -2, f->name);
	}
	lua_setfield(L, -2, "log");
}
