/* SPDX-License-Identifier: MIT */
#include "lua/greeting.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/base.h"
#include "lua/appeal.h"
#include "lua/chain.h"

/* Where rules or handlers are about names, the bytes are listened to first (core/preface.h): they
 * are held until a name is known, the chain has judged it, and the handlers have been asked, once.
 * Behind them only names are judged: those of a kept-alive HTTP connection. */

static enum verdict greeting_go(struct connection *c, struct decision *d);

/* The handlers' answer @v: the last word, but for what may follow. */
static enum verdict greeting_end(struct connection *c, enum verdict v, struct decision *d)
{
	if (v != VERDICT_NONE && v != VERDICT_ALLOW)
		return v;
	c->greeted = true;
	d->pass = !c->preface || c->pass == PREFACE_ALL ? 0 : c->pass;
	c->pass = 0;
	return VERDICT_ALLOW;
}

/* Where the answers of a handler go that was waiting: to the hook, if it was woken from there. */
static void greeting_give(struct connection *c, enum verdict v, struct decision *d)
{
	if (c->in_greeting) {
		c->greeting = v;
		*c->greeting_d = *d;
		return;
	}
	if (v == VERDICT_PENDING)
		return;
	ev_timer_stop(c->rs->vm.loop, &c->deadline);
	v = greeting_end(c, v, d);
	policy_answer(c->rs->policy, c->flow, v, d); /* last: c may be gone */
}

static void greeting_done(void *arg, struct task *t)
{
	struct connection *c = arg;
	struct decision d = {0};
	enum verdict v;
	c->task = NULL;
	if (t) {
		v = chain_judge(c, c->asked, c->asked_named, t->co, &d);
		task_recycle(t);
	} else {
		v = chain_failed(c, c->asked, &d);
	}
	if (v == VERDICT_NONE)
		v = greeting_go(c, &d);
	greeting_give(c, v, &d);
}

struct greeting_call {
	struct connection *c;
	lua_State *co;
	int ref;
};

static int greeting_arguments(lua_State *L)
{
	struct greeting_call *call = lua_touserdata(L, 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, call->ref);
	connection_push(L, call->c);
	lua_pushlstring(L, call->c->first, call->c->first_len);
	lua_xmove(L, call->co, 3);
	return 0;
}

static enum verdict greeter_ask(struct connection *c, const struct handler *h, struct decision *d)
{
	struct vm *vm = &c->rs->vm;
	struct task *t = connection_expose(c) ? NULL : task_new(vm, h->name);
	if (!t)
		return chain_failed(c, h, d);
	++*h->hits;
	t->blocking = true;
	t->spent = &c->spent;
	t->flow = c->flow;
	t->where = h->where;
	t->owned = &c->streams;
	t->done = greeting_done;
	t->arg = c;
	struct greeting_call call = {.c = c, .co = t->co, .ref = h->ref};
	if (vm_protect(vm, greeting_arguments, &call)) {
		task_discard(t);
		return chain_failed(c, h, d);
	}
	c->task = t; /* peek, called inside, finds itself */
	enum vm_outcome o = vm_start(t, 2);
	if (o == VM_PENDING)
		return VERDICT_PENDING;
	c->task = NULL;
	if (o == VM_FAILED)
		return chain_failed(c, h, d);
	enum verdict v = chain_judge(c, h, c->asked_named, t->co, d);
	task_recycle(t);
	return v;
}

static enum verdict greeting_go(struct connection *c, struct decision *d)
{
	const struct handlers *hs = &c->rs->greeters;
	while (c->greeter < hs->len) {
		const struct handler *h = &hs->v[c->greeter++];
		c->asked = h;
		if (!connection_wants(c, h, &c->asked_named))
			continue;
		enum verdict v = greeter_ask(c, h, d);
		if (v == VERDICT_PENDING)
			chain_wait(c);
		if (v != VERDICT_NONE)
			return v;
	}
	return VERDICT_NONE;
}

static int peek_push(lua_State *L, void *arg)
{
	struct connection *c = arg;
	c->peeking = false;
	lua_pushlstring(L, c->first, c->first_len);
	return 1;
}

static void peek_cancel(void *arg)
{
	struct connection *c = arg;
	c->peeking = false;
}

int greeting_peek(lua_State *L)
{
	struct connection *c = connection_check(L, 1, "peek");
	lua_Number n = luaL_optnumber(L, 2, 1);
	struct task *t = vm_blocker(L, "conn:peek");
	if (!c || c->task != t || !c->first)
		return luaL_error(L, "conn:peek is for on_first_bytes, and its own connection");
	if (lua_gettop(L) > 2)
		return luaL_error(L,
			"conn:peek takes no time: whatever comes, and whenever, is judged");
	if (!(n >= 1 && n <= HOOK_FIRST_BYTES_MAX))
		return luaL_error(L, "conn:peek takes 1 to %d bytes", HOOK_FIRST_BYTES_MAX);
	if (c->first_len >= (size_t)n || !c->first_more)
		return peek_push(L, c);
	if (!c->in_greeting)
		return luaL_error(L, "conn:peek for more bytes must come before any other waiting");
	c->peek_want = (size_t)n;
	c->peeking = true;
	return vm_wait(L, t, peek_cancel, c);
}

static enum verdict greeting_run(struct connection *c, struct decision *d)
{
	if (!c->peeking)
		return greeting_go(c, d);
	if (c->first_len < c->peek_want && c->first_more)
		return VERDICT_PENDING;
	/* Nothing says so if the handler goes on waiting: then this stays. */
	c->greeting = VERDICT_PENDING;
	c->greeting_d = d;
	vm_wake(c->task, peek_push, c);
	return c->greeting;
}

/* --- names ----------------------------------------------------------------------------------- */

/* Listens until there is something to say: NONE if *@c->pass bytes may go, as far as names go. */
static enum verdict listen_go(struct connection *c, struct decision *d)
{
	for (;;) {
		enum verdict v;
		switch (preface_look(c->preface, (const uint8_t *)c->first, c->first_len,
			c->first_more, &c->pass)) {
		case PREFACE_MORE:
			return VERDICT_MORE;
		case PREFACE_PASS:
			return VERDICT_NONE;
		case PREFACE_BAD:
			return appeal_refuse(c, d);
		case PREFACE_NAME:
			v = chain_judge_name(c, d);
			if (v != VERDICT_ALLOW)
				return v;
			decision_fini(d);
		}
	}
}

static enum verdict listen_run(struct connection *c, struct decision *d)
{
	enum verdict v = c->pass ? VERDICT_NONE : listen_go(c, d);
	return v == VERDICT_NONE && !c->greeted ? greeting_run(c, d) : v;
}

/* A when= that was asked about a name has answered. */
static void listen_judged(struct connection *c, enum verdict v, struct decision *d)
{
	if (v == VERDICT_ALLOW) {
		decision_fini(d);
		v = listen_run(c, d);
	}
	greeting_give(c, v, d); /* last: c may be gone */
}

enum verdict greeting_ask(struct connection *c, const void *bytes, size_t n, bool more,
	struct decision *d)
{
	char *first = realloc(c->first, n + 1);
	if (!first)
		return VERDICT_DENY;
	if (n)
		memcpy(first, bytes, n);
	c->first = first;
	c->first_len = n;
	c->first_more = more;
	c->judged = listen_judged;
	c->in_greeting = true;
	enum verdict v = c->preface ? listen_run(c, d) : greeting_run(c, d);
	c->in_greeting = false;
	/* One that waits for nothing but bytes is asked again with more. */
	if (v == VERDICT_PENDING && c->peeking)
		return VERDICT_MORE;
	if (v != VERDICT_PENDING)
		ev_timer_stop(c->rs->vm.loop, &c->deadline);
	return v == VERDICT_MORE ? v : greeting_end(c, v, d);
}
