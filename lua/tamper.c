/* SPDX-License-Identifier: MIT */
#include "lua/tamper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/base.h"
#include "lua/text.h"
#include "lua/verdict.h"

struct tamper_call {
	struct connection *c;
	lua_State *co;
	int ref;
	enum hook_dir dir;
	const void *bytes;
	size_t len;
};

static int tamper_arguments(lua_State *L)
{
	struct tamper_call *call = lua_touserdata(L, 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, call->ref);
	connection_push(L, call->c);
	lua_pushstring(L, call->dir == HOOK_DIR_OUT ? "up" : "down");
	lua_pushlstring(L, call->bytes, call->len);
	lua_xmove(L, call->co, 4);
	return 0;
}

/* The answer on @co: 0 = pass, 1 = other bytes are in *@other, negative errno. */
static int tamper_judge(struct connection *c, const struct handler *h, lua_State *co, void **other,
	size_t *other_len)
{
	int n = lua_gettop(co);
	char kind[TEXT_KIND_MAX];
	if (n == 0 || (n == 1 && lua_isnil(co, 1)))
		return 0;
	if (n == 1 && lua_type(co, 1) == LUA_TSTRING) {
		const char *text = lua_tolstring(co, 1, other_len);
		*other = malloc(*other_len + 1);
		if (!*other)
			return -ENOMEM;
		memcpy(*other, text, *other_len);
		return 1;
	}
	const struct verdict_value *v = n == 1 ? verdict_test(co, 1) : NULL;
	if (v && (v->verdict == VERDICT_DENY || v->verdict == VERDICT_DROP))
		return -ECONNABORTED;
	vm_complain(&c->rs->vm, h->where, h->name, c->flow,
		"on_data returned %s; return nil, a string or nsnet.deny",
		n > 1 ? "several values" : text_kind(co, 1, kind));
	return -ECONNABORTED;
}

static int tamper_one(struct connection *c, const struct handler *h, struct tamper_call *call,
	void **other, size_t *other_len)
{
	struct vm *vm = &c->rs->vm;
	struct task *t = connection_expose(c) ? NULL : task_new(vm, h->name);
	if (!t)
		return -ENOMEM;
	++*h->hits;
	t->flow = c->flow;
	t->where = h->where;
	call->co = t->co;
	call->ref = h->ref;
	if (vm_protect(vm, tamper_arguments, call)) {
		task_discard(t);
		return -ENOMEM;
	}
	if (vm_start(t, 3) != VM_DONE)
		return -ECONNABORTED;
	int rc = tamper_judge(c, h, t->co, other, other_len);
	task_recycle(t);
	return rc;
}

int tamper_ask(struct connection *c, enum hook_dir dir, const void *bytes, size_t n, void **other,
	size_t *other_len)
{
	const struct handlers *hs = &c->rs->data;
	struct tamper_call call = {.c = c, .dir = dir, .bytes = bytes, .len = n};
	void *now = NULL; /* owned: what the handlers so far made of it */
	for (size_t i = 0; i < hs->len; i++) {
		const struct handler *h = &hs->v[i];
		void *next = NULL;
		size_t len = 0;
		bool named;
		if (!connection_wants(c, h, &named))
			continue;
		if (h->filter &&
			!(h->filter->dirs & (dir == HOOK_DIR_OUT ? FILTER_OUT : FILTER_IN)))
			continue;
		int rc = tamper_one(c, h, &call, &next, &len);
		if (rc < 0) {
			free(now);
			return rc;
		}
		if (rc) {
			free(now);
			call.bytes = now = next;
			call.len = len;
		}
	}
	*other = now;
	*other_len = call.len;
	return now ? 1 : 0;
}
