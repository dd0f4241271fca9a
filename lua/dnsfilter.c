/* SPDX-License-Identifier: MIT */
#include "lua/dnsfilter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/dnsmsg.h"
#include "lua/args.h"
#include "lua/sets.h"
#include "lua/text.h"
#include "lua/udata.h"

static int dnsfilter_gc(lua_State *L)
{
	struct dnsfilter *f = lua_touserdata(L, 1);
	name_set_fini(&f->own_names);
	return 0;
}

static const struct udata_class dnsfilter_class = {.name = "filter", .gc = dnsfilter_gc};

void dnsfilter_open(lua_State *L)
{
	udata_class(L, &dnsfilter_class);
}

static void read_domain(lua_State *L, int i, void *arg)
{
	struct dnsfilter *f = arg;
	char kind[TEXT_KIND_MAX];
	if (lua_type(L, i) != LUA_TSTRING)
		luaL_error(L,
			"domain= must be a name like \".example.com\", a list of them or "
			"nsnet.domains, not %s",
			text_kind(L, i, kind));
	size_t len;
	const char *text = lua_tolstring(L, i, &len);
	int err = name_set_add(&f->own_names, text, len);
	if (err == -ENOMEM)
		luaL_error(L, "not enough memory");
	if (err)
		luaL_error(L, "domain=\"%s\" is no domain name", text);
}

static void read_type(lua_State *L, int i, void *arg)
{
	struct dnsfilter *f = arg;
	char kind[TEXT_KIND_MAX];
	if (lua_type(L, i) != LUA_TSTRING)
		luaL_error(L, "type= must be a string like \"A\", not %s", text_kind(L, i, kind));
	int type = dnsmsg_type_of(lua_tostring(L, i));
	if (type < 0)
		luaL_error(L, "type=\"%s\" is no type of DNS record, like \"AAAA\" or \"TYPE64\"",
			lua_tostring(L, i));
	if (f->types == DNSFILTER_TYPES)
		luaL_error(L, "type= names more than %d types", DNSFILTER_TYPES);
	f->type[f->types++] = (uint16_t)type;
}

struct dnsfilter *dnsfilter_read(lua_State *L, int i, const char *what)
{
	static const char *const keys[] = {"domain", "type", "observe", NULL};
	args_keys(L, i, keys, what);
	struct dnsfilter *f = udata_new(L, &dnsfilter_class, sizeof(*f));
	f->observe = args_bool(L, i, "observe", false);
	lua_getfield(L, i, "type");
	if (!lua_isnil(L, -1))
		args_each(L, lua_gettop(L), "type", read_type, f);
	lua_pop(L, 1);
	lua_getfield(L, i, "domain");
	f->names = sets_test_names(L, -1);
	if (f->names) {
		/* The set stays alive with the filter. */
		lua_newtable(L);
		lua_pushvalue(L, -2);
		lua_rawseti(L, -2, 1);
		lua_setfenv(L, -3);
	} else if (!lua_isnil(L, -1)) {
		args_each(L, lua_gettop(L), "domain", read_domain, f);
		f->names = &f->own_names;
	}
	lua_pop(L, 1);
	return f;
}

bool dnsfilter_match(const struct dnsfilter *f, const char *name, uint16_t type)
{
	bool typed = !f->types;
	for (size_t i = 0; i < f->types && !typed; i++)
		typed = f->type[i] == type;
	return typed && (!f->names || name_set_has(f->names, name, strlen(name)));
}
