/* SPDX-License-Identifier: MIT */
#include "lua/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "lua/args.h"
#include "lua/sources.h"
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

/* Where a rule stands: in its own line if that can be told, else the how manieth it is of the call
 * of nsnet.rules. Errors go without this number, so that an editor finds their line. */
struct place {
	char call[TEXT_WHERE_MAX]; /* "rules.lua:7" */
	char where[TEXT_WHERE_MAX];
};

static void find_place(lua_State *L, const unsigned *line, int number, struct place *p)
{
	/* Level 1 is the script's code that called nsnet.rules. */
	text_where(L, 1, p->call);
	char *colon = strrchr(p->call, ':');
	if (line && colon)
		snprintf(colon, sizeof(p->call) - (size_t)(colon - p->call), ":%u",
			line[number - 1]);
	snprintf(p->where, sizeof(p->where), line ? "%s" : "%s #%d", p->call, number);
}

static void read_label(lua_State *L, int i, const char *where, struct rule *r, int env)
{
	lua_getfield(L, i, "name");
	if (lua_isnil(L, -1))
		lua_pushfstring(L, "rule %d (%s)", r->number, where);
	else if (lua_type(L, -1) == LUA_TSTRING)
		lua_pushfstring(L, "%s (%s)", lua_tostring(L, -1), where);
	else
		luaL_error(L, "nsnet.rules: rule %d: name= must be a string", r->number);
	r->label = lua_tostring(L, -1);
	keep(L, env);
	lua_pop(L, 1);
	lua_pushstring(L, where);
	r->where = lua_tostring(L, -1);
	keep(L, env);
}

static void read_verdict(lua_State *L, int i, struct rule *r, int env)
{
	char kind[TEXT_KIND_MAX];
	lua_rawgeti(L, i, 1);
	const struct verdict_value *v = verdict_test(L, -1);
	if (!v) {
		luaL_error(L,
			"nsnet.rules: rule %d ends with %s; it must end with a verdict like "
			"nsnet.allow or nsnet.deny",
			r->number, text_kind(L, -1, kind));
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

static void read_when(lua_State *L, int i, struct rule *r)
{
	lua_getfield(L, i, "when");
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return;
	}
	if (!lua_isfunction(L, -1))
		luaL_error(L, "nsnet.rules: rule %d: when= must be a function", r->number);
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

/* read_rule(rule, environment, r, where): protected, so that an error can be told with its line. */
static int read_rule(lua_State *L)
{
	static const char *const extra[] = {"name", "when", NULL};
	struct rule *r = lua_touserdata(L, 3);
	char what[48], kind[TEXT_KIND_MAX];
	snprintf(what, sizeof(what), "nsnet.rules: rule %d", r->number);
	if (!lua_istable(L, 1))
		luaL_error(L, "%s must be a table, not %s", what, text_kind(L, 1, kind));
	read_verdict(L, 1, r, 2);
	read_label(L, 1, lua_touserdata(L, 4), r, 2);
	read_when(L, 1, r);
	push_conditions(L, 1);
	r->filter = filter_read(L, lua_gettop(L), FILTER_KIND_RULE, extra, what);
	if (r->filter->networks & FILTER_DNS && r->when_ref != LUA_NOREF)
		luaL_error(L, "%s: when= is not asked about network=\"dns\"", what);
	keep(L, 2);
	return 0;
}

static void read_at(lua_State *L, int list, int env, const unsigned *line, struct rule *r)
{
	struct place p;
	find_place(L, line, r->number, &p);
	lua_pushcfunction(L, read_rule);
	lua_rawgeti(L, list, r->number);
	lua_pushvalue(L, env);
	lua_pushlightuserdata(L, r);
	lua_pushlightuserdata(L, p.where);
	if (!lua_pcall(L, 4, 0, 0))
		return;
	if (lua_type(L, -1) == LUA_TSTRING)
		lua_pushfstring(L, "%s: %s", p.call, lua_tostring(L, -1));
	lua_error(L);
}

struct rules *rules_read(lua_State *L, int i)
{
	size_t n = lua_objlen(L, i);
	struct rules *rs = udata_new(L, &rules_class, sizeof(*rs));
	int self = lua_gettop(L);
	lua_newtable(L);
	lua_pushvalue(L, -1);
	lua_setfenv(L, self);
	rs->rule = calloc(n + 1, sizeof(*rs->rule));
	unsigned *line = lua_newuserdata(L, (n + 1) * sizeof(*line));
	if (!rs->rule) {
		luaL_error(L, "not enough memory");
		return NULL;
	}
	if (!sources_entries(L, 1, "rules", line, n))
		line = NULL;
	for (; rs->len < n; rs->len++) {
		struct rule *r = &rs->rule[rs->len];
		*r = (struct rule){.number = (int)rs->len + 1,
			.dialer_ref = LUA_NOREF,
			.when_ref = LUA_NOREF};
		read_at(L, i, self + 1, line, r);
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
		const enum filter_side side = rule_closes(r) ? FILTER_CLOSES
			: rule_strands(r, facts)             ? FILTER_ASKS
							     : FILTER_OPENS;
		*answer = filter_judge(r->filter, facts, side, &hit);
		if (*answer != FILTER_NO) {
			*named = hit;
			return r;
		}
	}
	return NULL;
}
