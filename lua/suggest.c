/* SPDX-License-Identifier: MIT */
#include "lua/suggest.h"

#include "core/nearest.h"

const char *suggest_push(lua_State *L, const char *word, int known)
{
	struct nearest n = nearest_to(word);

	if (!lua_checkstack(L, 4))
		return "";
	lua_pushnil(L);
	while (lua_next(L, known)) {
		lua_pop(L, 1);
		/* The table keeps the strings. */
		if (lua_type(L, -1) == LUA_TSTRING)
			nearest_try(&n, lua_tostring(L, -1));
	}
	if (n.best)
		return lua_pushfstring(L, "; did you mean '%s'?", n.best);
	lua_pushliteral(L, "");
	return "";
}
