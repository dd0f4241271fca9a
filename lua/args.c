/* SPDX-License-Identifier: MIT */
#include "lua/args.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "lua/text.h"

/* Pushes "a, b, c". */
static void push_names(lua_State *L, const char *const *names)
{
	luaL_Buffer b;
	luaL_buffinit(L, &b);
	for (int i = 0; names[i]; i++) {
		if (i)
			luaL_addstring(&b, ", ");
		luaL_addstring(&b, names[i]);
	}
	luaL_pushresult(&b);
}

void args_keys(lua_State *L, int table, const char *const *keys, const char *what)
{
	lua_pushnil(L);
	while (lua_next(L, table)) {
		bool known = false;
		if (lua_type(L, -2) == LUA_TSTRING) {
			const char *key = lua_tostring(L, -2);
			for (int i = 0; keys[i] && !known; i++)
				known = !strcmp(keys[i], key);
		}
		if (!known) {
			text_push(L, -2);
			push_names(L, keys);
			luaL_error(L, "%s: unknown option '%s'; there are: %s", what,
				lua_tostring(L, -2), lua_tostring(L, -1));
		}
		lua_pop(L, 1);
	}
}

bool args_bool(lua_State *L, int table, const char *key, bool otherwise)
{
	lua_getfield(L, table, key);
	char kind[TEXT_KIND_MAX];
	if (!lua_isnil(L, -1) && !lua_isboolean(L, -1))
		luaL_error(L, "%s= must be true or false, not %s", key, text_kind(L, -1, kind));
	bool value = lua_isnil(L, -1) ? otherwise : lua_toboolean(L, -1);
	lua_pop(L, 1);
	return value;
}

double args_seconds(lua_State *L, int table, const char *key, double otherwise)
{
	lua_getfield(L, table, key);
	char kind[TEXT_KIND_MAX];
	if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TNUMBER)
		luaL_error(L, "%s= must be a number of seconds, not %s", key,
			text_kind(L, -1, kind));
	double value = lua_isnil(L, -1) ? otherwise : lua_tonumber(L, -1);
	if (!(value > 0 && value < 1e6))
		luaL_error(L, "%s= must be a number of seconds between 0 and 1000000", key);
	lua_pop(L, 1);
	return value;
}

int args_enum(lua_State *L, int i, const char *key, const char *const *names)
{
	char kind[TEXT_KIND_MAX];
	if (lua_type(L, i) == LUA_TSTRING) {
		const char *text = lua_tostring(L, i);
		for (int n = 0; names[n]; n++) {
			if (!strcmp(names[n], text))
				return n;
		}
		push_names(L, names);
		return luaL_error(L, "%s=\"%s\" is not one of: %s", key, text, lua_tostring(L, -1));
	}
	push_names(L, names);
	return luaL_error(L, "%s= must be one of: %s; not %s", key, lua_tostring(L, -1),
		text_kind(L, i - (i < 0), kind));
}

void args_type(lua_State *L, int i, int type, const char *what)
{
	char kind[TEXT_KIND_MAX];
	if (lua_type(L, i) != type)
		luaL_error(L, "%s takes a %s, not %s", what, lua_typename(L, type),
			lua_isnone(L, i) ? "nothing" : text_kind(L, i, kind));
}

int args_length(lua_State *L, int i, const char *what)
{
	lua_Number last = 0;
	int n = 0;
	lua_pushvalue(L, i);
	lua_pushnil(L);
	for (; lua_next(L, -2); lua_pop(L, 1), n++) {
		lua_Number k = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
		if (k < 1 || k > INT_MAX || k != (int)k) {
			text_push(L, -2);
			luaL_error(L, "%s must be a list; '%s' is no place in one", what,
				lua_tostring(L, -1));
		}
		last = k > last ? k : last;
	}
	lua_pop(L, 1);
	for (int k = 1; k <= n && last > n; k++) {
		lua_rawgeti(L, i, k);
		if (lua_isnil(L, -1))
			luaL_error(L, "%s: entry %d is nil, and others follow", what, k);
		lua_pop(L, 1);
	}
	return n;
}

void args_each(lua_State *L, int i, const char *key, args_fn *each, void *arg)
{
	if (!lua_istable(L, i)) {
		each(L, i, arg);
		return;
	}
	char what[64];
	snprintf(what, sizeof(what), "%s=", key);
	int n = args_length(L, i, what);
	if (!n)
		luaL_error(L, "%s={} is empty: it would match nothing", key);
	for (int k = 1; k <= n; k++) {
		lua_rawgeti(L, i, k);
		each(L, lua_gettop(L), arg);
		lua_pop(L, 1);
	}
}
