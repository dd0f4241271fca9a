/* SPDX-License-Identifier: MIT */
#include "lua/sets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/guard.h"
#include "lua/args.h"
#include "lua/budget.h"
#include "lua/loader.h"
#include "lua/text.h"
#include "lua/udata.h"
#include "lua/vm.h"
#include "lua/within.h"

static int l_cidrs_has(lua_State *L);
static int l_domains_match(lua_State *L);

/* The objects: the set, and what the state was told that it takes. */
struct cidrs {
	struct cidr_set set;
	size_t bytes;
};

struct names {
	struct name_set set;
	size_t bytes;
};

static int cidrs_gc(lua_State *L)
{
	struct cidrs *o = lua_touserdata(L, 1);
	cidr_set_fini(&o->set);
	vm_of(L)->outside -= o->bytes;
	o->bytes = 0;
	return 0;
}

static int names_gc(lua_State *L)
{
	struct names *o = lua_touserdata(L, 1);
	name_set_fini(&o->set);
	vm_of(L)->outside -= o->bytes;
	o->bytes = 0;
	return 0;
}

/* A set of @bytes, told to *@kept, is full. It is not in Lua's memory, so that the collector knows
 * nothing of it, nor does the memory limit. */
static void account(lua_State *L, size_t bytes, size_t *kept)
{
	struct vm *vm = vm_of(L);
	*kept = bytes;
	vm->outside += bytes;
	if (!vm->outside_max)
		return;
	lua_gc(L, LUA_GCSTEP, (int)(bytes >> 10));
	if (vm->outside > vm->outside_max)
		lua_gc(L, LUA_GCCOLLECT, 0);
	if (vm->outside > vm->outside_max)
		luaL_error(L, "not enough memory for sets; make them while the script loads");
}

enum {
	FIELD_COUNT
};
static const char *const field_names[] = {"count", NULL};

static int cidrs_field(lua_State *L, void *self, int id)
{
	struct cidr_set *s = self;
	(void)id;
	lua_pushnumber(L, (lua_Number)s->count);
	return 1;
}

static int names_field(lua_State *L, void *self, int id)
{
	struct name_set *s = self;
	(void)id;
	lua_pushnumber(L, (lua_Number)s->count);
	return 1;
}

static const luaL_Reg cidrs_methods[] = {{"has", l_cidrs_has}, {NULL, NULL}};
static const luaL_Reg names_methods[] = {{"match", l_domains_match}, {NULL, NULL}};

static const struct udata_class cidrs_class = {
	.name = "cidrs",
	.fields = field_names,
	.methods = {cidrs_methods},
	.field = cidrs_field,
	.gc = cidrs_gc,
};

static const struct udata_class names_class = {
	.name = "domains",
	.fields = field_names,
	.methods = {names_methods},
	.field = names_field,
	.gc = names_gc,
};

const struct cidr_set *sets_test_cidrs(lua_State *L, int i)
{
	return udata_test(L, i, &cidrs_class);
}

const struct name_set *sets_test_names(lua_State *L, int i)
{
	return udata_test(L, i, &names_class);
}

static int l_cidrs_has(lua_State *L)
{
	const struct cidr_set *s = udata_check(L, 1, &cidrs_class, "has");
	const char *text = luaL_checkstring(L, 2);
	struct addr a;
	if (addr_parse(&a, text))
		return luaL_error(L, "cidrs:has(\"%s\"): no IP address", text);
	struct addr dst = guard_canonical(&a);
	lua_pushboolean(L, within(s, &a, &dst, false, NULL));
	return 1;
}

static int l_domains_match(lua_State *L)
{
	const struct name_set *s = udata_check(L, 1, &names_class, "match");
	size_t len;
	const char *name = luaL_checklstring(L, 2, &len);
	lua_pushboolean(L, name_set_has(s, name, len));
	return 1;
}

typedef int add_fn(void *set, const char *text);

static int add_cidr(void *set, const char *text)
{
	struct cidr c;
	if (within_parse(&c, text))
		return -EINVAL;
	return cidr_set_add(set, &c);
}

static int add_name(void *set, const char *text)
{
	return name_set_add(set, text, strlen(text));
}

#define NAME_BYTES 32  /* a name on the heap, on average */
#define LOOK_EVERY 256 /* entries added between two looks at the budget */

static void add(lua_State *L, void *set, add_fn *fn, const char *text, const char *where, int n)
{
	if (n % LOOK_EVERY == 0 && budget_spent())
		luaL_error(L, "%s: the CPU budget is spent", where);
	int err = fn(set, text);
	if (err == -ENOMEM)
		luaL_error(L, "not enough memory");
	if (err)
		luaL_error(L, "%s: \"%s\" is no %s", where, text,
			fn == add_cidr ? "address or network (host bits must be zero)"
				: err == -EDOM
				? "domain name but an address: use nsnet.cidrs"
				: "domain name (other scripts need their xn-- form)");
}

/* One entry a line; what follows '#' is a comment. @text is changed. */
static void add_lines(lua_State *L, void *set, add_fn *fn, char *text, const char *path)
{
	int line = 0;
	char *rest = text, where[512];
	for (char *p = strsep(&rest, "\n"); p; p = strsep(&rest, "\n")) {
		line++;
		/* Nothing that was written may go unread: a CR alone is where others end a line. */
		size_t cr = strcspn(p, "\r");
		if (p[cr] && p[cr + 1])
			luaL_error(L, "%s:%d: a carriage return within a line", path, line);
		p[cr] = 0;
		p[strcspn(p, "#")] = 0;
		p += strspn(p, " \t");
		size_t len = strlen(p);
		while (len && (p[len - 1] == ' ' || p[len - 1] == '\t'))
			p[--len] = 0;
		if (!len)
			continue;
		snprintf(where, sizeof(where), "%s:%d", path, line);
		add(L, set, fn, p, where, line);
	}
}

static int fill(lua_State *L, void *set, add_fn *fn, const char *what)
{
	char kind[TEXT_KIND_MAX];
	if (lua_istable(L, 1)) {
		int n = args_length(L, 1, what);
		for (int i = 1; i <= n; i++) {
			lua_rawgeti(L, 1, i);
			if (lua_type(L, -1) != LUA_TSTRING)
				return luaL_error(L, "%s: entry %d must be a string, not %s", what,
					i, text_kind(L, -1, kind));
			const char *text = lua_tostring(L, -1);
			if (strlen(text) != lua_objlen(L, -1))
				return luaL_error(L, "%s: entry %d has a NUL in it", what, i);
			add(L, set, fn, text, what, i);
			lua_pop(L, 1);
		}
		return 1;
	}
	if (lua_type(L, 1) != LUA_TSTRING)
		return luaL_error(L, "%s takes a list or the name of a file, not %s", what,
			text_kind(L, 1, kind));
	const char *path = loader_push_path(L, 1);
	size_t len;
	char *text = loader_push_file(L, path, &len);
	if (!text)
		return luaL_error(L, "%s: %s: %s", what, path, loader_strerror(path, false, errno));
	/* A line must not end the file unseen. */
	if (strlen(text) != len)
		return luaL_error(L, "%s: %s has a NUL in it, which no text file has", what, path);
	add_lines(L, set, fn, text, path);
	lua_settop(L, 2);
	return 1;
}

static int l_cidrs(lua_State *L)
{
	luaL_checkany(L, 1);
	lua_settop(L, 1);
	struct cidrs *o = udata_new(L, &cidrs_class, sizeof(*o));
	fill(L, &o->set, add_cidr, "nsnet.cidrs");
	account(L, o->set.cap * sizeof(*o->set.node), &o->bytes);
	return 1;
}

static int l_domains(lua_State *L)
{
	luaL_checkany(L, 1);
	lua_settop(L, 1);
	struct names *o = udata_new(L, &names_class, sizeof(*o));
	fill(L, &o->set, add_name, "nsnet.domains");
	account(L, o->set.cap * sizeof(*o->set.slot) + o->set.used * NAME_BYTES, &o->bytes);
	return 1;
}

void sets_open(lua_State *L)
{
	udata_class(L, &cidrs_class);
	udata_class(L, &names_class);
	lua_pushcfunction(L, l_cidrs);
	lua_setfield(L, -2, "cidrs");
	lua_pushcfunction(L, l_domains);
	lua_setfield(L, -2, "domains");
}
