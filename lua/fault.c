/* SPDX-License-Identifier: MIT */
#include "lua/fault.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/log.h"
#include "lua/budget.h"

#define TEXT_SIZE 1024

const char *fault_context(const char *what, const struct flow *f, char *text)
{
	char flow[FLOW_TEXT_MAX];
	if (f)
		snprintf(text, FAULT_CONTEXT_MAX, "in %s, %s", what, flow_format(f, flow));
	else
		snprintf(text, FAULT_CONTEXT_MAX, "in %s", what);
	return text;
}

/* "file:line: " of the innermost function of @f that is Lua's. One that ended with a call, as in
 * "return nsnet.redirect(x)", is not on the stack any more: then of the one it began with. */
static void describe_where(const struct fault *f, char *text, size_t len)
{
	lua_Debug ar;
	snprintf(text, len, "%s%s", f->where ? f->where : "", f->where ? ": " : "");
	for (int level = 0; lua_getstack(f->co, level, &ar); level++) {
		if (lua_getinfo(f->co, "Sl", &ar) && ar.currentline > 0 &&
			strncmp(ar.source, "=nsnet.", 7) != 0) {
			snprintf(text, len, "%s:%d: ", ar.short_src, ar.currentline);
			return;
		}
	}
}

/* True if @text begins with "something:digits:", as messages of error() do. */
static bool has_position(const char *text)
{
	for (const char *p = strchr(text, ':'); p; p = strchr(p + 1, ':')) {
		size_t digits = strspn(p + 1, "0123456789");
		if (digits && p[1 + digits] == ':')
			return true;
	}
	return false;
}

/* --- what ------------------------------------------------------------------------------------ */

struct asked {
	lua_State *co;
	char *text; /* TEXT_SIZE bytes */
};

static int ask_for_text(lua_State *L)
{
	struct asked *a = lua_touserdata(L, 1);
	lua_xmove(a->co, L, 1); /* there may be no room on its stack for another */
	if (luaL_callmeta(L, -1, "__tostring") && lua_type(L, -1) == LUA_TSTRING)
		snprintf(a->text, TEXT_SIZE, "%s", lua_tostring(L, -1));
	return 0;
}

/* The error value is the script's, and so is its __tostring. */
static void value_text(const struct fault *f, char *text)
{
	struct asked a = {f->co, text};
	const char *kind = luaL_typename(f->co, -1);
	*text = 0;
	if (lua_type(f->co, -1) == LUA_TSTRING) {
		snprintf(text, TEXT_SIZE, "%s", lua_tostring(f->co, -1));
		return;
	}
	budget_enter(f->L, FAULT_MS, "__tostring");
	if (lua_cpcall(f->L, ask_for_text, &a))
		*text = 0;
	if (budget_leave(f->L))
		*text = 0;
	lua_settop(f->L, 0);
	if (!*text)
		snprintf(text, TEXT_SIZE, "(error object is a %s value)", kind);
}

struct traced {
	lua_State *co;
	char *text; /* malloc'd */
};

static int make_trace(lua_State *L)
{
	struct traced *t = lua_touserdata(L, 1);
	luaL_traceback(L, t->co, NULL, 0);
	t->text = strdup(lua_tostring(L, -1));
	return 0;
}

static void log_trace(const struct fault *f)
{
	struct traced t = {.co = f->co};
	if (lua_cpcall(f->L, make_trace, &t))
		lua_settop(f->L, 0); /* no memory for it */
	char *rest = t.text;
	for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n"))
		log_info("  %s", line);
	free(t.text);
}

void fault_report(const struct fault *f, struct report *report)
{
	char text[TEXT_SIZE], where[LUA_IDSIZE + 16] = "", context[FAULT_CONTEXT_MAX];
	char message[TEXT_SIZE + sizeof(where)];
	if (f->message)
		snprintf(text, sizeof(text), "%s", f->message);
	else
		value_text(f, text);
	if (!has_position(text))
		describe_where(f, where, sizeof(where));
	snprintf(message, sizeof(message), "%s%s", where, text);
	if (report_error(report, message, fault_context(f->what, f->flow, context)) &&
		log_enabled(LOG_LEVEL_INFO))
		log_trace(f);
}
