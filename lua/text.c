/* SPDX-License-Identifier: MIT */
#include "lua/text.h"

#include <stdio.h>

#include <lauxlib.h>

void text_push(lua_State *L, int i)
{
	if (luaL_callmeta(L, i, "__tostring")) {
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "__tostring must return a string");
		return;
	}
	switch (lua_type(L, i)) {
	case LUA_TNUMBER:
	case LUA_TSTRING:
		lua_pushvalue(L, i);
		lua_tostring(L, -1);
		break;
	case LUA_TBOOLEAN:
		lua_pushstring(L, lua_toboolean(L, i) ? "true" : "false");
		break;
	case LUA_TNIL:
		lua_pushliteral(L, "nil");
		break;
	default:
		lua_pushfstring(L, "%s: %p", luaL_typename(L, i), lua_topointer(L, i));
	}
}

char *text_kind(lua_State *L, int i, char *text)
{
	int type = lua_type(L, i);
	if (type == LUA_TNIL || type == LUA_TNONE)
		snprintf(text, TEXT_KIND_MAX, "nil");
	else
		snprintf(text, TEXT_KIND_MAX, "a %s", lua_typename(L, type));
	return text;
}

char *text_function(lua_State *L, int i, char *text)
{
	lua_Debug ar;
	lua_pushvalue(L, i);
	if (!lua_isfunction(L, -1) || !lua_getinfo(L, ">S", &ar)) {
		lua_pop(L, 1);
		snprintf(text, TEXT_WHERE_MAX, "?");
		return text;
	}
	if (ar.linedefined > 0)
		snprintf(text, TEXT_WHERE_MAX, "%s:%d", ar.short_src, ar.linedefined);
	else
		snprintf(text, TEXT_WHERE_MAX, "%s", ar.short_src);
	return text;
}

char *text_where(lua_State *L, int level, char *text)
{
	lua_Debug ar;
	if (lua_getstack(L, level, &ar) && lua_getinfo(L, "Sl", &ar) && ar.currentline > 0)
		snprintf(text, TEXT_WHERE_MAX, "%s:%d", ar.short_src, ar.currentline);
	else
		snprintf(text, TEXT_WHERE_MAX, "?");
	return text;
}
