/* SPDX-License-Identifier: MIT */
#include "lua/verdict.h"

#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "core/base.h"
#include "lua/args.h"
#include "lua/text.h"
#include "lua/udata.h"

/* A verdict's reason and dialer are in its environment table under these numbers: rawgeti makes
 * no key string, so reading cannot raise. */
enum {
	PART_REASON = 1,
	PART_DIALER = 2
};

static const char *const verdict_names[] = {
	[VERDICT_NONE] = "none",
	[VERDICT_ALLOW] = "allow",
	[VERDICT_DENY] = "deny",
	[VERDICT_DROP] = "drop",
	[VERDICT_REDIRECT] = "redirect",
	[VERDICT_VIA] = "via",
	[VERDICT_PENDING] = "pending",
};

static const char *const style_names[] = {"refuse", "unreachable", "prohibited", "reset", "drop",
	NULL};
#define STYLE_DROP 4

const char *verdict_word(enum verdict v)
{
	return verdict_names[v];
}

enum {
	FIELD_ACTION,
	FIELD_REASON,
	FIELD_STYLE,
	FIELD_TARGET
};
static const char *const field_names[] = {"action", "reason", "style", "target", NULL};

static int verdict_field(lua_State *L, void *self, int id)
{
	struct verdict_value *v = self;
	char text[ADDR_TEXT_MAX];
	switch (id) {
	case FIELD_ACTION:
		lua_pushstring(L, verdict_names[v->verdict]);
		break;
	case FIELD_REASON:
		lua_pushstring(L, verdict_reason(L, 1));
		break;
	case FIELD_STYLE:
		if (v->verdict == VERDICT_DENY)
			lua_pushstring(L, style_names[v->style]);
		else
			lua_pushnil(L);
		break;
	default:
		if (v->verdict == VERDICT_REDIRECT)
			lua_pushstring(L, addr_format(&v->target, true, text));
		else
			lua_pushnil(L);
	}
	return 1;
}

static int verdict_tostring(lua_State *L)
{
	const struct verdict_value *v = verdict_test(L, 1);
	const char *reason = verdict_reason(L, 1);
	if (!v)
		return 0;
	lua_pushfstring(L, "nsnet.%s%s%s%s", verdict_names[v->verdict], reason ? " \"" : "",
		reason ? reason : "", reason ? "\"" : "");
	return 1;
}

static int verdict_call(lua_State *L);

static const struct udata_class verdict_class = {
	.name = "verdict",
	.fields = field_names,
	.field = verdict_field,
	.tostring = verdict_tostring,
	.call = verdict_call,
	.read_only = "verdicts do not change; call it for one with a reason: nsnet.deny \"why\"",
};

const struct verdict_value *verdict_test(lua_State *L, int i)
{
	return udata_test(L, i, &verdict_class);
}

static void verdict_part(lua_State *L, int i, int part)
{
	lua_getfenv(L, i);
	lua_rawgeti(L, -1, part);
	lua_remove(L, -2);
}

const char *verdict_reason(lua_State *L, int i)
{
	verdict_part(L, i, PART_REASON);
	const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
	lua_pop(L, 1);
	return text;
}

void verdict_push_dialer(lua_State *L, int i)
{
	verdict_part(L, i, PART_DIALER);
}

/* Pushes a new verdict like @from; its reason is the string or nil at @reason. */
static struct verdict_value *verdict_new(lua_State *L, const struct verdict_value *from, int reason)
{
	struct verdict_value *v = udata_new(L, &verdict_class, sizeof(*v));
	*v = *from;
	lua_newtable(L);
	if (reason) {
		lua_pushvalue(L, reason);
		lua_rawseti(L, -2, PART_REASON);
	}
	lua_setfenv(L, -2);
	return v;
}

void verdict_push(lua_State *L, const struct verdict_value *v)
{
	verdict_new(L, v, 0);
}

static int verdict_call(lua_State *L)
{
	const struct verdict_value *from = udata_check(L, 1, &verdict_class, "call");
	struct verdict_value copy = *from;
	char kind[TEXT_KIND_MAX];
	if (lua_gettop(L) > 2)
		return luaL_error(L, "nsnet.%s takes one reason or one table",
			verdict_names[copy.verdict]);
	if (lua_type(L, 2) == LUA_TSTRING) {
		verdict_new(L, &copy, 2);
	} else if (lua_istable(L, 2)) {
		static const char *const keys[] = {"reason", "style", NULL};
		args_keys(L, 2, keys, verdict_names[copy.verdict]);
		lua_getfield(L, 2, "style");
		if (!lua_isnil(L, -1)) {
			if (copy.verdict != VERDICT_DENY)
				return luaL_error(L, "style= belongs to nsnet.deny");
			int style = args_enum(L, -1, "style", style_names);
			if (style == STYLE_DROP)
				copy.verdict = VERDICT_DROP;
			else
				copy.style = (enum deny_style)style;
		}
		lua_getfield(L, 2, "reason");
		if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TSTRING)
			return luaL_error(L, "reason= must be a string");
		verdict_new(L, &copy, lua_gettop(L));
	} else {
		return luaL_error(L, "nsnet.%s takes a reason (a string) or a table, not %s",
			verdict_names[copy.verdict], text_kind(L, 2, kind));
	}
	/* The dialer of a VIA goes along. */
	verdict_part(L, 1, PART_DIALER);
	lua_getfenv(L, -2);
	lua_insert(L, -2);
	lua_rawseti(L, -2, PART_DIALER);
	lua_pop(L, 1);
	return 1;
}

static int l_redirect(lua_State *L)
{
	struct verdict_value v = {.verdict = VERDICT_REDIRECT};
	args_type(L, 1, LUA_TSTRING, "nsnet.redirect");
	const char *text = lua_tostring(L, 1);
	if (strlen(text) != lua_objlen(L, 1) || addr_parse(&v.target, text))
		return luaL_error(L,
			"nsnet.redirect: \"%s\" is no IP address with a port, like "
			"\"127.0.0.1:8080\" or "
			"\"[::1]:8080\"",
			text);
	if (!lua_isnoneornil(L, 2)) {
		static const char *const keys[] = {"host_loopback", "reason", NULL};
		args_type(L, 2, LUA_TTABLE, "nsnet.redirect(address, options)");
		args_keys(L, 2, keys, "redirect");
		v.named = args_bool(L, 2, "host_loopback", false);
		lua_getfield(L, 2, "reason");
		if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TSTRING)
			return luaL_error(L, "reason= must be a string");
	} else {
		lua_pushnil(L);
	}
	verdict_new(L, &v, lua_gettop(L));
	return 1;
}

static int l_via(lua_State *L)
{
	char kind[TEXT_KIND_MAX];
	if (!lua_isfunction(L, 1) || lua_gettop(L) != 1)
		return luaL_error(L, "nsnet.via takes a function(network, address, conn), not %s",
			text_kind(L, 1, kind));
	struct verdict_value v = {.verdict = VERDICT_VIA};
	verdict_new(L, &v, 0);
	lua_getfenv(L, -1);
	lua_pushvalue(L, 1);
	lua_rawseti(L, -2, PART_DIALER);
	lua_pop(L, 1);
	return 1;
}

void verdict_open(lua_State *L)
{
	udata_class(L, &verdict_class);
	static const enum verdict plain[] = {VERDICT_ALLOW, VERDICT_DENY, VERDICT_DROP};
	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		struct verdict_value v = {.verdict = plain[i]};
		verdict_new(L, &v, 0);
		lua_setfield(L, -2, verdict_names[plain[i]]);
	}
	lua_pushcfunction(L, l_redirect);
	lua_setfield(L, -2, "redirect");
	lua_pushcfunction(L, l_via);
	lua_setfield(L, -2, "via");
}
