/* SPDX-License-Identifier: MIT */
#include "lua/dialer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/base.h"
#include "lua/failure.h"
#include "lua/stream.h"
#include "lua/text.h"

#define DIALER_SECONDS 30. /* for all of a dialer's waiting */

static void set_error(struct connection *c, const char *text)
{
	free(c->flow->why);
	c->flow->why = strdup(text); /* without memory it is nil */
}

/* Gives the answer to the core, from the loop. */
static void dialer_answer(struct connection *c, int fd)
{
	char *early = c->early;
	size_t len = c->early_len;
	c->early = NULL;
	policy_dialed(c->rs->policy, c->flow, fd, early, len);
	free(early); /* @c may be gone */
}

static void dialer_on_soon(struct deferred *d)
{
	struct connection *c = container_of(d, struct connection, dialed);
	int fd = c->dialed_fd;
	c->dialed_fd = -1;
	dialer_answer(c, fd);
}

static int dialer_wrong(struct connection *c, const char *got)
{
	vm_complain(&c->rs->vm, c->asked->where, c->asked->name, c->flow,
		"the dialer returned %s; return a stream, or nil and the reason", got);
	set_error(c, "wrong answer of a dialer");
	return -ECONNREFUSED;
}

/* The flow ends with the socket it was tied to: the next datagram makes a new one. */
static void dialer_on_untied(struct tether *t)
{
	struct connection *c = container_of(t, struct connection, tether);
	c->flow->ops->abort(c->flow, FLOW_CAUSE_WORLD_RESET); /* last: @c may be gone */
}

static int dialer_use(struct connection *c, const struct stream_taken *taken)
{
	c->early = taken->early;
	c->early_len = taken->early_len;
	free(c->flow->envelope);
	c->flow->envelope = taken->envelope;
	if (taken->tied >= 0)
		tether_start(&c->tether, c->rs->vm.loop, taken->tied, dialer_on_untied);
	return taken->fd;
}

/* The answer on the stack of @co: an fd, or a negative errno. */
static int dialer_judge(struct connection *c, lua_State *co)
{
	int n = lua_gettop(co);
	char kind[TEXT_KIND_MAX];
	const char *why;
	struct stream_taken taken;
	struct stream *s = n == 1 ? stream_test(co, 1) : NULL;
	if (s && c->facts.network == FILTER_ICMP)
		return dialer_wrong(c, "a stream for an echo");
	if (s && stream_is_datagram(s) != (c->facts.network == FILTER_UDP))
		return dialer_wrong(c,
			stream_is_datagram(s) ? "a datagram socket for TCP"
					      : "a stream socket for UDP");
	if (s) {
		why = stream_take(s, &taken);
		if (!why)
			return dialer_use(c, &taken);
		vm_complain(&c->rs->vm, c->asked->where, c->asked->name, c->flow,
			"the dialer returned a stream that cannot be used: %s", why);
		set_error(c, why);
		return -ECONNREFUSED;
	}
	if (n >= 2 && n <= 3 && lua_isnil(co, 1) && lua_type(co, 2) == LUA_TSTRING) {
		set_error(c, lua_tostring(co, 2));
		return -failure_to_errno(co, 3);
	}
	if (n == 1 && lua_isnil(co, 1))
		return dialer_wrong(c, "nil without a reason");
	return dialer_wrong(c, n > 1 ? "several values" : text_kind(co, 1, kind));
}

static void dialer_done(void *arg, struct task *t)
{
	struct connection *c = arg;
	int fd = -ECONNREFUSED;
	c->task = NULL;
	ev_timer_stop(c->rs->vm.loop, &c->deadline);
	if (t) {
		fd = dialer_judge(c, t->co);
		task_recycle(t);
	} else {
		set_error(c, "error in a script");
	}
	dialer_answer(c, fd); /* last: @c may be gone */
}

static void dialer_on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	struct connection *c = container_of(w, struct connection, deadline);
	vm_complain(&c->rs->vm, c->asked->where, c->asked->name, c->flow,
		"the dialer did not end within %.0f s", DIALER_SECONDS);
	connection_cancel(c);
	set_error(c, "timeout");
	dialer_answer(c, -ETIMEDOUT); /* last: @c may be gone */
}

struct dialer_call {
	struct connection *c;
	int ref;
	lua_State *co;
};

/* Puts the function and its arguments on the coroutine. */
static int dialer_arguments(lua_State *L)
{
	struct dialer_call *call = lua_touserdata(L, 1);
	struct connection *c = call->c;
	char text[ADDR_TEXT_MAX];
	lua_rawgeti(L, LUA_REGISTRYINDEX, call->ref);
	lua_pushstring(L, c->flow->ops->network);
	if (c->flow->by_name && !c->flow->decision.target.v)
		lua_pushfstring(L, "%s:%d", c->flow->name, c->flow->key.dst.port);
	else
		lua_pushstring(L, addr_format(&c->flow->decision.target, true, text));
	connection_push(L, c);
	lua_xmove(L, call->co, 4);
	return 0;
}

static int dialer_run(struct connection *c, int ref)
{
	struct vm *vm = &c->rs->vm;
	if (connection_expose(c))
		return -ENOMEM;
	struct task *t = task_new(vm, c->asked->name);
	if (!t)
		return -ENOMEM;
	t->blocking = true;
	t->spent = &c->spent;
	t->flow = c->flow;
	t->where = c->asked->where;
	t->owned = &c->streams;
	t->done = dialer_done;
	t->arg = c;
	struct dialer_call call = {.c = c, .ref = ref, .co = t->co};
	if (vm_protect(vm, dialer_arguments, &call)) {
		task_discard(t);
		return -ENOMEM;
	}
	int fd = -ECONNREFUSED;
	switch (vm_start(t, 3)) {
	case VM_PENDING:
		c->task = t;
		ev_timer_init(&c->deadline, dialer_on_deadline, DIALER_SECONDS, 0.);
		ev_timer_start(vm->loop, &c->deadline);
		return -EINPROGRESS;
	case VM_DONE:
		fd = dialer_judge(c, t->co);
		task_recycle(t);
		break;
	case VM_FAILED:
		set_error(c, "error in a script");
	}
	if (fd < 0)
		return fd;
	/* It needed no waiting, but the core is not to be answered from inside its question. */
	c->dialed_fd = fd;
	c->dialed.run = dialer_on_soon;
	vm_defer(vm, &c->dialed);
	return -EINPROGRESS;
}

bool dialer_would(const struct connection *c)
{
	const struct handlers *hs = &c->rs->dialers;
	bool named;
	if (c->facts.network == FILTER_ICMP)
		return false;
	for (size_t i = 0; i < hs->len; i++) {
		const struct handler *h = &hs->v[i];
		if (!h->filter || filter_match(h->filter, &c->facts, &named))
			return true;
	}
	return false;
}

int dialer_dial(struct connection *c)
{
	const struct handlers *hs = &c->rs->dialers;
	if (c->said == VERDICT_VIA)
		return dialer_run(c, c->via_ref != LUA_NOREF ? c->via_ref : c->rule_via);
	/* Echo goes around every proxy: where there are dialers, only by name. */
	if (c->facts.network == FILTER_ICMP)
		return hs->len && !c->flow->decision.named ? -EACCES : -ENOSYS;
	for (size_t i = 0; i < hs->len; i++) {
		const struct handler *h = &hs->v[i];
		bool named = false;
		if (h->filter && !filter_match(h->filter, &c->facts, &named))
			continue;
		c->asked = h;
		++*h->hits;
		return dialer_run(c, h->ref);
	}
	return -ENOSYS;
}
