/* SPDX-License-Identifier: MIT */
#include "lua/sources.h"

#include "lua/lines.h"

#define TEXTS "nsnet.sources" /* in the registry: texts by chunk name */

void sources_open(lua_State *L)
{
	lua_newtable(L);
	lua_setfield(L, LUA_REGISTRYINDEX, TEXTS);
}

void sources_close(lua_State *L)
{
	lua_pushnil(L);
	lua_setfield(L, LUA_REGISTRYINDEX, TEXTS);
}

void sources_keep(lua_State *L, const char *chunk, const char *text, size_t len)
{
	lua_getfield(L, LUA_REGISTRYINDEX, TEXTS);
	if (lua_istable(L, -1) && len <= SOURCES_TEXT_MAX) {
		/* Two texts of one name (-e, load) cannot be told apart: neither is known. */
		lua_pushlstring(L, text, len);
		lua_getfield(L, -2, chunk);
		if (!lua_isnil(L, -1) && !lua_rawequal(L, -1, -2))
			lua_pushboolean(L, false);
		else
			lua_pushvalue(L, -2);
		lua_setfield(L, -4, chunk);
		lua_pop(L, 2);
	}
	lua_pop(L, 1);
}

bool sources_entries(lua_State *L, int level, const char *callee, unsigned *line, size_t n)
{
	lua_Debug ar;
	if (!lua_getstack(L, level, &ar) || !lua_getinfo(L, "Sl", &ar) || ar.currentline <= 0)
		return false;
	bool found = false;
	lua_getfield(L, LUA_REGISTRYINDEX, TEXTS);
	if (lua_istable(L, -1)) {
		size_t len;
		lua_getfield(L, -1, ar.source);
		if (lua_type(L, -1) == LUA_TSTRING) {
			const char *text = lua_tolstring(L, -1, &len);
			found = lines_of_entries(text, len, callee, (unsigned)ar.currentline, line,
				n);
		}
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return found;
}
