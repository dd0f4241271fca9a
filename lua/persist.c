/* SPDX-License-Identifier: MIT */
#include "lua/persist.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "lua/json.h"
#include "lua/text.h"

static char kept_key; /* registry: the tables that are kept, by name */

static void push_table(lua_State *L)
{
	lua_pushlightuserdata(L, &kept_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
}

/* nsnet.persist(name[, table]): keeps the table, or the one that was restored, or a new one;
 * returns it. */
static int l_persist(lua_State *L)
{
	struct ruleset *rs = ruleset_of(L);
	char kind[TEXT_KIND_MAX];
	if (!rs->loading)
		return luaL_error(L,
			"nsnet.persist must be called while the script loads, not from "
			"a hook");
	luaL_checkstring(L, 1);
	if (!lua_isnoneornil(L, 2) && !lua_istable(L, 2))
		return luaL_error(L, "nsnet.persist takes (name[, table]); the second is %s",
			text_kind(L, 2, kind));
	lua_settop(L, 2);
	if (lua_isnil(L, 2)) {
		lua_pushvalue(L, 1);
		lua_rawget(L, lua_upvalueindex(1));
		if (!lua_istable(L, -1)) {
			lua_pop(L, 1);
			lua_newtable(L);
		}
		lua_replace(L, 2);
	}
	push_table(L);
	lua_pushvalue(L, 1);
	lua_rawget(L, -2);
	if (!lua_isnil(L, -1))
		return luaL_error(L, "nsnet.persist: \"%s\" is kept already", lua_tostring(L, 1));
	lua_pop(L, 1);
	lua_pushvalue(L, 1);
	lua_pushvalue(L, 2);
	lua_rawset(L, -3);
	lua_settop(L, 2);
	return 1;
}

void persist_open(lua_State *L, struct ruleset *rs)
{
	const char *why = "";
	lua_pushlightuserdata(L, &kept_key);
	lua_newtable(L);
	lua_rawset(L, LUA_REGISTRYINDEX);
	if (rs->restored)
		why = json_push(L, rs->restored, strlen(rs->restored));
	if (why) /* there is nothing, or, which would be a bug of ours, no JSON */
		lua_newtable(L);
	lua_pushvalue(L, -1);
	lua_pushcclosure(L, l_persist, 1);
	lua_setfield(L, -3, "persist");
	lua_setfield(L, -2, "restored");
}

/* --- saving ---------------------------------------------------------------------------------- */

static int text_of(lua_State *L)
{
	json_push_text(L, 1);
	return 1;
}

struct saving {
	struct ruleset *rs;
	char *text; /* malloc'd */
};

static void complain(struct ruleset *rs, const char *name, const char *why)
{
	vm_complain(&rs->vm, NULL, "persist", NULL, "\"%s\" is not kept: %s", name,
		why ? why : "an error without a message");
}

/* Leaves a table of texts, by name, for those that have one. */
static void save_each(lua_State *L, struct ruleset *rs)
{
	size_t total = 0;
	lua_newtable(L);
	push_table(L);
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		const char *name = lua_tostring(L, -2);
		lua_pushcfunction(L, text_of);
		lua_insert(L, -2);
		if (lua_pcall(L, 1, 1, 0)) {
			complain(rs, name, lua_tostring(L, -1));
		} else if (total + lua_objlen(L, -1) > PERSIST_MAX) {
			complain(rs, name, "all together are more than 1 MiB");
		} else {
			total += lua_objlen(L, -1);
			lua_pushvalue(L, -2);
			lua_pushvalue(L, -2);
			lua_rawset(L, -6);
		}
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

static int save(lua_State *L)
{
	struct saving *s = lua_touserdata(L, 1);
	luaL_Buffer b;
	const char *between = "{";
	save_each(L, s->rs);
	int texts = lua_gettop(L);
	lua_pushnil(L);
	if (!lua_next(L, texts))
		return 0;
	lua_pop(L, 2);
	/* lua_next() and a buffer both want the top of the stack: first a list of pieces. */
	lua_newtable(L);
	int pieces = 0;
	lua_pushnil(L);
	while (lua_next(L, texts)) {
		lua_pushstring(L, between);
		json_push_text(L, -3);
		lua_pushliteral(L, ":");
		lua_pushvalue(L, -4);
		lua_concat(L, 4);
		lua_rawseti(L, texts + 1, ++pieces);
		lua_pop(L, 1);
		between = ",";
	}
	luaL_buffinit(L, &b);
	for (int i = 1; i <= pieces; i++) {
		lua_rawgeti(L, texts + 1, i);
		luaL_addvalue(&b);
	}
	luaL_addchar(&b, '}');
	luaL_pushresult(&b);
	s->text = strdup(lua_tostring(L, -1));
	return 0;
}

char *persist_save(struct ruleset *rs)
{
	struct saving s = {.rs = rs};
	vm_protect(&rs->vm, save, &s); /* a failure is told, and s.text is NULL */
	return s.text;
}
