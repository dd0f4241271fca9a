/* SPDX-License-Identifier: MIT */
#include "lua/ruleset.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/base.h"
#include "lua/stream.h"
#include "lua/text.h"

struct ruleset *ruleset_of(lua_State *L)
{
	return container_of(vm_of(L), struct ruleset, vm);
}

/* Where the function at @fn is written; of one of ours, where the script hands it over. */
static const char *written_at(lua_State *L, int fn, char *text)
{
	char call[TEXT_WHERE_MAX];
	text_function(L, fn, text);
	if (strchr(text, ':') && strncmp(text, "nsnet.", 6) != 0)
		return text;
	if (strchr(text_where(L, 1, call), ':'))
		strcpy(text, call);
	return text;
}

struct handler *ruleset_add(lua_State *L, struct handlers *hs, int filter, int fn, const char *name,
	const char *where)
{
	char text[TEXT_WHERE_MAX];
	/* What may raise comes first; what it leaves in the registry ends with
	 * the state. */
	if (filter) {
		lua_pushvalue(L, filter);
		luaL_ref(L, LUA_REGISTRYINDEX);
	}
	lua_pushvalue(L, fn);
	int ref = luaL_ref(L, LUA_REGISTRYINDEX);
	if (hs->len == hs->cap) {
		size_t cap = hs->cap ? hs->cap * 2 : 8;
		struct handler *v = realloc(hs->v, cap * sizeof(*v));
		if (!v) {
			luaL_error(L, "not enough memory");
			return NULL;
		}
		hs->v = v;
		hs->cap = cap;
	}
	char *copy = strdup(where ? where : written_at(L, fn, text));
	uint64_t *hits = calloc(1, sizeof(*hits));
	if (!copy || !hits) {
		free(copy);
		free(hits);
		luaL_error(L, "not enough memory");
		return NULL;
	}
	struct handler *h = &hs->v[hs->len++];
	*h = (struct handler){.ref = ref,
		.name = name,
		.where = copy,
		.hits = hits,
		.networks = FILTER_ANY};
	return h;
}

struct ruleset *ruleset_hold(struct ruleset *rs)
{
	rs->refs++;
	return rs;
}

static void handlers_fini(struct handlers *hs)
{
	for (size_t i = 0; i < hs->len; i++) {
		free(hs->v[i].where);
		free(hs->v[i].hits);
	}
	free(hs->v);
}

void ruleset_put(struct ruleset *rs)
{
	if (--rs->refs)
		return;
	assert(list_empty(&rs->connections));
	vm_fini(&rs->vm);
	lookup_fini(&rs->lookup);
	struct handlers *all[] = {&rs->guards, &rs->chain, &rs->dialers, &rs->greeters, &rs->data,
		&rs->packets, &rs->closers, &rs->starters, &rs->exits};
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		handlers_fini(all[i]);
	free(rs);
}
