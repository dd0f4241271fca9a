/* SPDX-License-Identifier: MIT */
#include "lua/module.h"

#include <string.h>

#include <lauxlib.h>

#include "core/version.h"
#include "lua/address.h"
#include "lua/append.h"
#include "lua/args.h"
#include "lua/connection.h"
#include "lua/dnsfilter.h"
#include "lua/greeting.h"
#include "lua/job.h"
#include "lua/json.h"
#include "lua/limit.h"
#include "lua/logging.h"
#include "lua/net.h"
#include "lua/persist.h"
#include "lua/query.h"
#include "lua/rules.h"
#include "lua/sets.h"
#include "lua/stream.h"
#include "lua/suggest.h"
#include "lua/text.h"
#include "lua/verbs.h"
#include "lua/verdict.h"

#define NSNET_LUA_API 1

/* Handlers are registered while the scripts load, and only then: what decides about a connection
 * must not depend on what happened to run before it. */
static struct ruleset *loading(lua_State *L, const char *what)
{
	struct ruleset *rs = ruleset_of(L);
	if (!rs->loading)
		luaL_error(L, "nsnet.%s must be called while the script loads, not from a hook",
			what);
	return rs;
}

/* The arguments ([filter,] fn): the index of fn, 2 if there is a filter. */
static int check_arguments(lua_State *L, const char *name)
{
	char text[TEXT_KIND_MAX];
	int fn = 1, n = lua_gettop(L);
	if (n == 2) {
		fn = 2;
		if (!lua_istable(L, 1))
			luaL_error(L, "nsnet.%s: the filter must be a table, not %s", name,
				text_kind(L, 1, text));
	}
	if (!n)
		luaL_error(L, "nsnet.%s takes ([filter,] function), not nothing", name);
	if (n > 2 || !lua_isfunction(L, fn))
		luaL_error(L, "nsnet.%s takes ([filter,] function); the last argument is %s", name,
			text_kind(L, n, text));
	return fn;
}

/* Reads the arguments, adds the handler. */
static struct handler *add(lua_State *L, struct handlers *hs, enum filter_kind kind,
	const char *name)
{
	const struct filter *filter = NULL;
	int fn = check_arguments(L, name);
	if (fn == 2) {
		lua_pushfstring(L, "nsnet.%s", name);
		filter = filter_read(L, 1, kind, NULL, lua_tostring(L, -1));
	}
	struct handler *h = ruleset_add(L, hs, filter ? lua_gettop(L) : 0, fn, name, NULL);
	h->filter = filter;
	return h;
}

/* The hook is about @networks alone. One whose filter leaves none of them would never be called:
 * whoever wrote it thinks that it is. */
static void only(lua_State *L, struct handler *h, uint8_t networks, const char *instead)
{
	h->networks = networks;
	if (h->filter && !(h->filter->networks & networks))
		luaL_error(L, "nsnet.%s is never called for this network; %s", h->name, instead);
}

#define TCP_ONLY "it is about tcp alone"
#define ANSWER(v) (1u << VERDICT_##v)
#define ANSWERS_END (ANSWER(DENY) | ANSWER(DROP))
#define ANSWERS_ALL (ANSWERS_END | ANSWER(ALLOW) | ANSWER(REDIRECT) | ANSWER(VIA))

static int l_guard(lua_State *L)
{
	struct handler *h = add(L, &loading(L, "guard")->guards, FILTER_KIND_FLOW, "guard");
	h->answers = ANSWERS_END;
	h->advice = "return nsnet.deny, nsnet.drop or nil";
	return 0;
}

static int l_on_connect(lua_State *L)
{
	struct handler *h =
		add(L, &loading(L, "on_connect")->chain, FILTER_KIND_HOOK, "on_connect");
	only(L, h, FILTER_TCP, "nsnet.on_flow is for udp and icmp");
	h->answers = ANSWERS_ALL;
	h->advice = "return nsnet.allow, nsnet.deny or nil";
	return 0;
}

static int l_on_first_bytes(lua_State *L)
{
	struct handler *h = add(L, &loading(L, "on_first_bytes")->greeters, FILTER_KIND_BYTES,
		"on_first_bytes");
	only(L, h, FILTER_TCP, TCP_ONLY);
	h->answers = ANSWERS_END | ANSWER(ALLOW);
	h->advice = "return nsnet.allow, nsnet.deny or nil";
	return 0;
}

static int l_on_data(lua_State *L)
{
	struct handler *h = add(L, &loading(L, "on_data")->data, FILTER_KIND_DATA, "on_data");
	only(L, h, FILTER_TCP, TCP_ONLY);
	return 0;
}

static int l_on_flow(lua_State *L)
{
	struct handler *h = add(L, &loading(L, "on_flow")->chain, FILTER_KIND_HOOK, "on_flow");
	only(L, h, FILTER_UDP | FILTER_ICMP, "nsnet.on_connect is for tcp");
	h->answers = ANSWERS_ALL;
	h->advice = "return nsnet.allow, nsnet.deny or nil";
	return 0;
}

static int l_on_dns(lua_State *L)
{
	struct ruleset *rs = loading(L, "on_dns");
	const struct dnsfilter *filter = NULL;
	int fn = check_arguments(L, "on_dns");
	if (fn == 2)
		filter = dnsfilter_read(L, 1, "nsnet.on_dns");
	struct handler *h =
		ruleset_add(L, &rs->chain, filter ? lua_gettop(L) : 0, fn, "on_dns", NULL);
	h->asks = filter;
	h->networks = FILTER_DNS;
	h->answers = ANSWERS_END | ANSWER(ALLOW) | ANSWER(REDIRECT);
	h->advice = "return query:answer{...}, query:forward(), nsnet.deny or nil";
	return 0;
}

static int l_dialer(lua_State *L)
{
	add(L, &loading(L, "dialer")->dialers, FILTER_KIND_FLOW, "dialer");
	return 0;
}

static int l_on_packet(lua_State *L)
{
	add(L, &loading(L, "on_packet")->packets, FILTER_KIND_PACKET, "on_packet");
	return 0;
}

static int l_on_close(lua_State *L)
{
	add(L, &loading(L, "on_close")->closers, FILTER_KIND_FLOW, "on_close");
	return 0;
}

static int add_plain(lua_State *L, struct handlers *hs, const char *name)
{
	char kind[TEXT_KIND_MAX];
	if (lua_gettop(L) != 1 || !lua_isfunction(L, 1))
		return luaL_error(L, "nsnet.%s takes one function, not %s", name,
			text_kind(L, 1, kind));
	ruleset_add(L, hs, 0, 1, name, NULL);
	return 0;
}

static int l_on_start(lua_State *L)
{
	return add_plain(L, &loading(L, "on_start")->starters, "on_start");
}

static int l_on_exit(lua_State *L)
{
	return add_plain(L, &loading(L, "on_exit")->exits, "on_exit");
}

static int l_rules(lua_State *L)
{
	struct ruleset *rs = loading(L, "rules");
	char kind[TEXT_KIND_MAX], where[TEXT_WHERE_MAX];
	if (lua_gettop(L) != 1 || !lua_istable(L, 1))
		return luaL_error(L, "nsnet.rules takes one list of rules, not %s",
			text_kind(L, 1, kind));
	lua_pushnil(L);
	while (lua_next(L, 1)) {
		if (lua_type(L, -2) != LUA_TNUMBER)
			return luaL_error(L,
				"nsnet.rules: '%s' is outside of a rule: write { { ... }, { ... } "
				"}",
				(text_push(L, -2), lua_tostring(L, -1)));
		lua_pop(L, 1);
	}
	args_length(L, 1, "nsnet.rules");
	struct rules *block = rules_read(L, 1);
	ruleset_add(L, &rs->chain, 0, lua_gettop(L), "rules", text_where(L, 1, where))->rules =
		block;
	return 0;
}

static int l_default(lua_State *L)
{
	struct ruleset *rs = loading(L, "default");
	char kind[TEXT_KIND_MAX];
	const struct verdict_value *v = verdict_test(L, 1);
	if (!v || (v->verdict != VERDICT_ALLOW && v->verdict != VERDICT_DENY))
		return luaL_error(L, "nsnet.default takes nsnet.allow or nsnet.deny, not %s",
			v ? verdict_word(v->verdict) : text_kind(L, 1, kind));
	if (lua_gettop(L) > 1 || verdict_reason(L, 1) || v->style != DENY_STYLE_REFUSE)
		return luaL_error(L,
			"nsnet.default takes nsnet.%s alone; a last rule without "
			"conditions can have a style and a reason",
			verdict_word(v->verdict));
	if (rs->default_set && rs->default_deny != (v->verdict == VERDICT_DENY))
		return luaL_error(L, "nsnet.default(nsnet.%s) contradicts the one at %s; keep one",
			verdict_word(v->verdict), rs->default_where);
	rs->default_deny = v->verdict == VERDICT_DENY;
	rs->default_set = true;
	text_where(L, 1, rs->default_where);
	return 0;
}

/* --- the table ------------------------------------------------------------------------------- */

static int l_require_api(lua_State *L)
{
	int n = luaL_checkint(L, 1);
	if (n != NSNET_LUA_API)
		return luaL_error(L,
			"this script is for version %d of the Lua API, this program has %d", n,
			NSNET_LUA_API);
	return 0;
}

static int l_unknown(lua_State *L)
{
	text_push(L, 2);
	const char *key = lua_tostring(L, -1);
	return luaL_error(L, "there is no nsnet.%s%s", key, suggest_push(L, key, 1));
}

static int l_fixed(lua_State *L)
{
	text_push(L, 2);
	return luaL_error(L, "nsnet.%s cannot be set; shared state goes in nsnet.state",
		lua_tostring(L, -1));
}

static const luaL_Reg functions[] = {
	{"guard", l_guard},
	{"on_connect", l_on_connect},
	{"on_flow", l_on_flow},
	{"on_dns", l_on_dns},
	{"on_first_bytes", l_on_first_bytes},
	{"on_data", l_on_data},
	{"on_packet", l_on_packet},
	{"dialer", l_dialer},
	{"on_close", l_on_close},
	{"on_start", l_on_start},
	{"on_exit", l_on_exit},
	{"rules", l_rules},
	{"default", l_default},
	{"require_api", l_require_api},
	{NULL, NULL},
};

void module_open(lua_State *L, struct ruleset *rs)
{
	lua_newtable(L); /* what scripts hold: empty, so that every access comes through __index */
	lua_newtable(L); /* what is there */
	luaL_setfuncs(L, functions, 0);
	verdict_open(L);
	filter_open(L);
	rules_open(L);
	dnsfilter_open(L);
	query_open(L);
	sets_open(L);
	static const luaL_Reg conn_methods[] = {{"tag", verbs_tag}, {"close", verbs_close},
		{"peek", greeting_peek}, {"limit", limit_conn}, {NULL, NULL}};
	connection_open(L, conn_methods);
	stream_open(L);
	address_open(L);
	net_open(L);
	json_open(L);
	persist_open(L, rs);
	append_open(L);
	job_open(L);
	limit_open(L);
	logging_open(L);
	lua_newtable(L);
	lua_setfield(L, -2, "state");
	lua_pushinteger(L, NSNET_LUA_API);
	lua_setfield(L, -2, "api");
	lua_pushliteral(L, NSNET_VERSION);
	lua_setfield(L, -2, "version");
	lua_pushboolean(L, rs->reloading);
	lua_setfield(L, -2, "reloading");

	lua_newtable(L); /* the metatable of what is there: unknown names raise */
	lua_pushcfunction(L, l_unknown);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
	lua_newtable(L); /* the metatable of the proxy */
	lua_insert(L, -2);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, l_fixed);
	lua_setfield(L, -2, "__newindex");
	lua_pushliteral(L, "nsnet");
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);
}
