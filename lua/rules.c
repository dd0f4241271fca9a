/* SPDX-License-Identifier: MIT */
#include "lua/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "lua/args.h"
#include "lua/text.h"
#include "lua/udata.h"

/* What the rules borrow from Lua (filters, verdicts, labels) stands in the environment table of
 * the block, so that one reference to the block keeps all of it. */

static int rules_gc(lua_State *L)
{
	struct rules *rs = lua_touserdata(L, 1);
	free(rs->rule);
	rs->rule = NULL;
	rs->len = 0;
	return 0;
}

static const struct udata_class rules_class = {.name = "rules", .gc = rules_gc};

void rules_open(lua_State *L)
{
	udata_class(L, &rules_class);
}

/* Pops the value on top into the environment table at @env. */
static void keep(lua_State *L, int env)
{
	lua_rawseti(L, env, (int)lua_objlen(L, env) + 1);
}

static void read_label(lua_State *L, int i, int number, struct rule *r, int env)
{
	char where[TEXT_WHERE_MAX];
	/* Level 1 is the script's code that called nsnet.rules. */
	text_where(L, 1, where);
	lua_getfield(L, i, "name");
	if (lua_isnil(L, -1))
		lua_pushfstring(L, "rule %d (%s)", number, where);
	else if (lua_type(L, -1) == LUA_TSTRING)
		lua_pushfstring(L, "%s (%s)", lua_tostring(L, -1), where);
	else
		luaL_error(L, "nsnet.rules: rule %d: name= must be a string", number);
	r->label = lua_tostring(L, -1);
	keep(L, env);
	lua_pop(L, 1);
}

static void read_verdict(lua_State *L, int i, int number, struct rule *r, int env)
{
	char kind[TEXT_KIND_MAX];
	lua_rawgeti(L, i, 1);
	const struct verdict_value *v = verdict_test(L, -1);
	if (!v) {
		luaL_error(L,
			"nsnet.rules: rule %d ends with %s; it must end with a verdict like "
			"nsnet.allow or nsnet.deny",
			number, text_kind(L, -1, kind));
		return;
	}
	r->verdict = *v;
	r->reason = verdict_reason(L, -1);
	if (v->verdict == VERDICT_VIA) {
		verdict_push_dialer(L, -1);
		r->dialer_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	keep(L, env);
}

static void read_when(lua_State *L, int i, int number, struct rule *r)
{
	lua_getfield(L, i, "when");
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return;
	}
	if (!lua_isfunction(L, -1))
		luaL_error(L, "nsnet.rules: rule %d: when= must be a function", number);
	r->when_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* The table of a rule without its verdict, so that only known keys are left. */
static void push_conditions(lua_State *L, int i)
{
	lua_newtable(L);
	lua_pushnil(L);
	while (lua_next(L, i)) {
		bool verdict = lua_type(L, -2) == LUA_TNUMBER && lua_tonumber(L, -2) == 1;
		if (verdict) {
			lua_pop(L, 1);
			continue;
		}
		lua_pushvalue(L, -2);
		lua_insert(L, -2);
		lua_rawset(L, -4);
	}
}

struct rules *rules_read(lua_State *L, int i)
{
	static const char *const extra[] = {"name", "when", NULL};
	int n = (int)lua_objlen(L, i);
	struct rules *rs = udata_new(L, &rules_class, sizeof(*rs));
	int self = lua_gettop(L);
	lua_newtable(L);
	int env = lua_gettop(L);
	lua_pushvalue(L, env);
	lua_setfenv(L, self);
	rs->rule = calloc((size_t)n + 1, sizeof(*rs->rule));
	if (!rs->rule) {
		luaL_error(L, "not enough memory");
		return NULL;
	}
	for (int k = 1; k <= n; k++) {
		struct rule *r = &rs->rule[k - 1];
		char what[48], kind[TEXT_KIND_MAX];
		r->dialer_ref = LUA_NOREF;
		r->when_ref = LUA_NOREF;
		lua_rawgeti(L, i, k);
		int rule = lua_gettop(L);
		if (!lua_istable(L, rule))
			luaL_error(L, "nsnet.rules: rule %d must be a table, not %s", k,
				text_kind(L, rule, kind));
		snprintf(what, sizeof(what), "nsnet.rules: rule %d", k);
		read_verdict(L, rule, k, r, env);
		read_label(L, rule, k, r, env);
		read_when(L, rule, k, r);
		push_conditions(L, rule);
		r->filter = filter_read(L, lua_gettop(L), FILTER_KIND_RULE, extra, what);
		if (r->filter->networks & FILTER_DNS && r->when_ref != LUA_NOREF)
			luaL_error(L, "%s: when= is not asked about network=\"dns\"", what);
		keep(L, env);
		lua_settop(L, env);
		rs->len = (size_t)k;
	}
	lua_settop(L, self);
	return rs;
}

struct rule *rules_find(const struct rules *rs, size_t from, const struct facts *facts,
	enum filter_answer *answer, bool *named)
{
	for (size_t i = from; i < rs->len; i++) {
		struct rule *r = &rs->rule[i];
		bool hit = false;
		*answer = filter_judge(r->filter, facts,
			rule_closes(r) ? FILTER_CLOSES : FILTER_OPENS, &hit);
		if (*answer != FILTER_NO) {
			*named = hit;
			return r;
		}
	}
	return NULL;
}
