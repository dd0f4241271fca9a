/* SPDX-License-Identifier: MIT */
#include "lua/testplay.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/base.h"
#include "lua/args.h"
#include "lua/testask.h"
#include "lua/testflow.h"

static bool is_own(void *arg, const struct addr *a)
{
	const struct tester *t = arg;
	for (size_t i = 0; i < t->owns; i++) {
		if (addr_equal_ip(&t->own[i], a))
			return true;
	}
	return false;
}

static void cover(void *arg, const struct lua_rule *r)
{
	struct tester *t = arg;
	if (t->report)
		t->report(t, r);
}

void testplay_free(struct play *p)
{
	testflow_end_all(p);
	testask_end_all(p);
	lua_host_each_rule(p->stage.host, cover, p->tester);
	stage_fini(&p->stage);
	list_del(&p->link);
	free(p->env);
	free(p);
}

static void open_run(struct op *op)
{
	op->number = stage_load(&op->play->stage);
	op_end(op);
}

static int push_opened(lua_State *L, void *arg)
{
	struct op *op = arg;
	if (!op->number) {
		lua_pushinteger(L, op->play->id);
		return 1;
	}
	lua_pushnil(L);
	lua_pushinteger(L, op->number);
	return 2;
}

/* Adds the scripts of the list at @i: paths, or { code = "...", name = "..." }. Raises. */
static int add_scripts(lua_State *L, int i, struct lua_host *h)
{
	int n = (int)lua_objlen(L, i), err = 0;
	for (int k = 1; k <= n && !err; k++) {
		lua_rawgeti(L, i, k);
		if (lua_istable(L, -1)) {
			lua_getfield(L, -1, "name");
			lua_getfield(L, -2, "code");
			err = lua_host_add_code(h, lua_tostring(L, -2), lua_tostring(L, -1));
			lua_pop(L, 2);
		} else {
			err = lua_host_add_file(h, lua_tostring(L, -1));
		}
		lua_pop(L, 1);
	}
	return err;
}

static void set_option(lua_State *L, struct play *p)
{
	static const char *const verdicts[] = {"allow", "deny", NULL};
	lua_getfield(L, 2, "default");
	if (!lua_isnil(L, -1))
		p->stage.policy.default_deny = args_enum(L, -1, "default", verdicts) == 1;
	p->stage.policy.dry_run = args_bool(L, 2, "dry_run", false);
	p->stage.guard.allow_host = args_bool(L, 2, "allow_host", false);
	lua_pop(L, 1);
}

/* open(scripts, options): a number; or nil and the exit status. What test.lua passes has been
 * looked at there: strings are strings. */
static int l_open(lua_State *L)
{
	struct tester *t = tester_of(L);
	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checktype(L, 2, LUA_TTABLE);
	struct op *op = op_new(L, "t.load", open_run, push_opened);
	struct play *p = calloc(1, sizeof(*p));
	lua_getfield(L, 2, "env");
	lua_getfield(L, 2, "default");
	if (p && lua_isstring(L, -2))
		p->env = strdup(lua_tostring(L, -2));
	struct lua_options o = {.loop = t->loop,
		.env_allow = p ? p->env : NULL,
		.default_fixed = !lua_isnil(L, -1)};
	lua_pop(L, 2);
	if (!p || stage_init(&p->stage, &o, &trial_watch)) {
		free(p);
		free(op);
		return luaL_error(L, "no memory, or no netlink, for rules");
	}
	p->id = ++t->next_id;
	p->tester = t;
	list_init(&p->flows);
	list_init(&p->link);
	list_add_tail(&t->plays, &p->link); /* from here on testlib_clear() frees it */
	p->stage.guard.is_host = is_own;
	p->stage.guard.is_host_arg = t;
	p->stage.reach = peers_reach;
	p->stage.reach_arg = &t->peers;
	p->stage.world = &t->peers.world;
	op->play = p;
	set_option(L, p);
	if (add_scripts(L, 1, p->stage.host)) {
		free(op);
		return luaL_error(L, "not enough memory");
	}
	return op_wait(L, op);
}

static void start_run(struct op *op)
{
	op->number = lua_host_start(op->play->stage.host);
	op_end(op);
}

static void exit_run(struct op *op)
{
	lua_host_exit(op->play->stage.host, op->number);
	op->number = 0;
	op_end(op);
}

static void reload_run(struct op *op)
{
	op->number = stage_reload(&op->play->stage);
	op_end(op);
}

static int push_ok(lua_State *L, void *arg)
{
	const struct op *op = arg;
	lua_pushboolean(L, op->number == 0);
	return 1;
}

static int play_op(lua_State *L, const char *what, void (*run)(struct op *op))
{
	struct play *p = testflow_play(L, 1);
	int n = luaL_optint(L, 2, 0);
	struct op *op = op_new(L, what, run, push_ok);
	op->play = p;
	op->number = n;
	return op_wait(L, op);
}

static int l_start(lua_State *L)
{
	return play_op(L, "rules:start", start_run);
}

static int l_exit(lua_State *L)
{
	return play_op(L, "rules:exit", exit_run);
}

static int l_reload(lua_State *L)
{
	return play_op(L, "rules:reload", reload_run);
}

static void push_rule(void *arg, const struct lua_rule *r)
{
	lua_State *L = arg;
	lua_newtable(L);
	lua_pushstring(L, r->kind);
	lua_setfield(L, -2, "kind");
	lua_pushstring(L, r->name);
	lua_setfield(L, -2, "name");
	lua_pushstring(L, r->where);
	lua_setfield(L, -2, "where");
	lua_pushnumber(L, (lua_Number)r->hits);
	lua_setfield(L, -2, "hits");
	lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
}

static int l_tally(lua_State *L)
{
	struct play *p = testflow_play(L, 1);
	lua_newtable(L);
	lua_host_each_rule(p->stage.host, push_rule, L);
	return 1;
}

static int l_errors(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)lua_host_errors(testflow_play(L, 1)->stage.host));
	return 1;
}

void testplay_open(lua_State *L)
{
	static const luaL_Reg functions[] = {{"open", l_open}, {"start", l_start}, {"exit", l_exit},
		{"reload", l_reload}, {"tally", l_tally}, {"errors", l_errors}, {NULL, NULL}};
	luaL_setfuncs(L, functions, 0);
}
