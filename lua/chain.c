/* SPDX-License-Identifier: MIT */
#include "lua/chain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/base.h"
#include "core/log.h"
#include "lua/appeal.h"
#include "lua/rules.h"
#include "lua/text.h"
#include "lua/trace.h"

/* The chain of a flow stops at the first verdict. Where a handler waits, the chain waits with it:
 * c->next and c->rule say where to go on. The guards come first and may not wait, so
 * they need no such memory. */

static enum verdict chain_go(struct connection *c, struct decision *d);

static void chain_tell(const struct connection *c, const struct handler *h, const struct rule *r,
	enum trace_event e, enum verdict v, const struct decision *d)
{
	const struct trace *t = c->rs->trace;
	if (unlikely(t))
		t->fn(t->arg, c->flow, h, r, e, v, d);
}

/* What was asked has answered @v. */
static void chain_tell_answer(const struct connection *c, const struct handler *h,
	const struct rule *r, enum verdict v, const struct decision *d)
{
	chain_tell(c, h, r,
		v == VERDICT_NONE   ? TRACE_SILENT
			: c->failed ? TRACE_FAILED
				    : TRACE_VERDICT,
		v, d);
}

/* What an error costs: the flow, in the way of its kind. */
static enum verdict chain_error(struct connection *c, const char *where, const char *why,
	struct decision *d)
{
	c->failed = true;
	d->rule = where ? strdup(where) : NULL;
	d->reason = strdup(why);
	return c->facts.network == FILTER_TCP ? VERDICT_DENY : VERDICT_DROP;
}

/* Calls the function @ref for @c. DONE: its results are on (*@t)->co. */
static enum vm_outcome chain_call(struct connection *c, const struct handler *h, int ref,
	bool blocking, task_done_fn *done, struct task **t)
{
	struct vm *vm = &c->rs->vm;
	if (vm_broken(vm)) {
		vm_complain(vm, h->where, h->name, c->flow,
			"out of memory again and again; nothing new is let through for a minute");
		return VM_FAILED;
	}
	if (connection_expose(c))
		return VM_FAILED;
	*t = task_new(vm, h->name);
	if (!*t)
		return VM_FAILED;
	if (!h->rules)
		++*h->hits;
	(*t)->blocking = blocking;
	(*t)->spent = blocking ? &c->spent : NULL;
	(*t)->flow = c->flow;
	(*t)->where = h->rules ? h->rules->rule[c->rule - 1].where : h->where;
	(*t)->owned = &c->streams;
	(*t)->done = done;
	(*t)->arg = c;
	lua_rawgeti((*t)->co, LUA_REGISTRYINDEX, ref);
	connection_push((*t)->co, c);
	return vm_start(*t, 1);
}

/* Fills @d from the verdict at @i of @L. */
static enum verdict chain_decide(struct connection *c, const char *rule, const char *reason,
	const struct verdict_value *v, bool named, struct decision *d)
{
	d->style = v->style;
	d->named = v->verdict == VERDICT_REDIRECT ? v->named : named;
	d->target = v->target;
	if (v->verdict == VERDICT_REDIRECT && !d->target.port)
		d->target.port = c->flow->key.dst.port;
	d->rule = strdup(rule);
	d->reason = reason ? strdup(reason) : NULL;
	c->said = v->verdict;
	c->failed = false;
	return v->verdict;
}

struct keep_dialer {
	struct connection *c;
	lua_State *from; /* the verdict is on top of it */
};

static int keep_dialer(lua_State *L)
{
	struct keep_dialer *k = lua_touserdata(L, 1);
	verdict_push_dialer(k->from, -1);
	lua_xmove(k->from, L, 1);
	k->c->via_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

static enum verdict judge(struct connection *c, const struct handler *h, bool named, lua_State *co,
	struct decision *d)
{
	bool observe = h->filter && h->filter->observe;
	int n = lua_gettop(co);
	char kind[TEXT_KIND_MAX];
	if (n == 0 || (n == 1 && lua_isnil(co, 1)))
		return VERDICT_NONE;
	const struct verdict_value *v = n == 1 ? verdict_test(co, 1) : NULL;
	bool right = v && !observe && (h->answers & (1u << v->verdict));
	if (n > 1)
		snprintf(kind, sizeof(kind), "%d values", n);
	else if (v)
		snprintf(kind, sizeof(kind), "nsnet.%s", verdict_word(v->verdict));
	else
		text_kind(co, 1, kind);
	if (!right) {
		vm_complain(&c->rs->vm, h->where, h->name, c->flow, "%s returned %s; %s", h->name,
			kind, observe ? "an observer answers nothing" : h->advice);
		return observe ? VERDICT_NONE
			       : chain_error(c, h->where, "wrong answer of a script", d);
	}
	if (v->verdict == VERDICT_VIA) {
		struct keep_dialer k = {.c = c, .from = co};
		if (vm_protect(&c->rs->vm, keep_dialer, &k))
			return chain_error(c, h->where, "error in a script", d);
	}
	c->says_udp = true; /* only on_flow is asked about UDP */
	return chain_decide(c, h->where, verdict_reason(co, 1), v, named, d);
}

enum verdict chain_judge(struct connection *c, const struct handler *h, bool named, lua_State *co,
	struct decision *d)
{
	enum verdict v = judge(c, h, named, co, d);
	chain_tell_answer(c, h, NULL, v, d);
	return v;
}

enum verdict chain_failed(struct connection *c, const struct handler *h, struct decision *d)
{
	bool observe = h->filter && h->filter->observe;
	enum verdict v = observe ? VERDICT_NONE : chain_error(c, h->where, "error in a script", d);
	chain_tell(c, h, NULL, TRACE_FAILED, v, d);
	return v;
}

/* --- rules ----------------------------------------------------------------------------------- */

static enum verdict rule_hit(struct connection *c, struct rule *r, bool named, struct decision *d)
{
	static const struct verdict_value deny = {.verdict = VERDICT_DENY};
	r->hits++;
	r->last_hit = ev_now(c->rs->vm.loop);
	c->rule_via = r->dialer_ref;
	c->says_udp = r->filter->has_network;
	if (rule_strands(r, &c->facts))
		return chain_decide(c, r->label,
			"by a name only TCP goes via a dialer; network= in the rule takes the rest",
			&deny, false, d);
	return chain_decide(c, r->label, r->reason, &r->verdict, named, d);
}

/* The answer of a rule's when= function: true, or false or nil, and nothing else. */
static enum verdict rule_answer(struct connection *c, struct rule *r, bool named, struct task *t,
	struct decision *d)
{
	char kind[TEXT_KIND_MAX];
	if (!t)
		return chain_error(c, r->label, "error in a script", d);
	lua_State *co = t->co;
	enum verdict v;
	int n = lua_gettop(co);
	if (n == 1 && lua_isboolean(co, 1) && lua_toboolean(co, 1)) {
		v = rule_hit(c, r, named, d);
	} else if (n == 0 || (n == 1 && !lua_toboolean(co, 1))) {
		v = VERDICT_NONE;
	} else {
		vm_complain(&c->rs->vm, r->where, "rules", c->flow,
			"when returned %s; return true or false", text_kind(co, 1, kind));
		v = chain_error(c, r->label, "wrong answer of a script", d);
	}
	task_recycle(t);
	return v;
}

/* A rule of c->next, or its handler, cannot tell for sure before the first bytes are there. */
static void chain_note(struct connection *c, size_t rule, const struct rule *hope)
{
	if (c->facts.network != FILTER_TCP)
		return;
	if (!c->noted) {
		c->noted = true;
		c->noted_next = c->next;
		c->noted_rule = rule;
	}
	if (!c->hope)
		c->hope = hope;
}

static enum verdict rule_judge(struct connection *c, const struct handler *h, struct rule *r,
	bool named, struct task *t, struct decision *d)
{
	enum verdict v = rule_answer(c, r, named, t, d);
	if (v != VERDICT_NONE && !c->judging && filter_has_names(r->filter))
		chain_note(c, c->rule - 1, NULL);
	chain_tell_answer(c, h, r, v, d);
	return v;
}

static void rule_done(void *arg, struct task *t);

/* The rules of @h at @from and after it, before @r (NULL: all), were passed over. */
static void rules_tell_skipped(const struct connection *c, const struct handler *h, size_t from,
	const struct rule *r)
{
	size_t end = r ? (size_t)(r - h->rules->rule) : h->rules->len;
	for (size_t i = from; c->rs->trace && i < end; i++)
		chain_tell(c, h, &h->rules->rule[i], TRACE_SKIPPED, VERDICT_NONE, NULL);
}

/* The second time: @r stood before the verdict of the first, and cannot say anything new. */
static bool rule_is_old(const struct connection *c, const struct rule *r)
{
	bool before = c->next < c->syn_next || (c->next == c->syn_next && c->rule < c->syn_rule);
	return c->judging && before && !filter_has_names(r->filter);
}

/* Goes on in the block of @h at c->rule. */
static enum verdict rules_go(struct connection *c, const struct handler *h, struct decision *d)
{
	for (;;) {
		bool named = false;
		enum filter_answer answer;
		struct rule *r = rules_find(h->rules, c->rule, &c->facts, &answer, &named);
		rules_tell_skipped(c, h, c->rule, r);
		if (!r)
			return VERDICT_NONE;
		c->rule = (size_t)(r - h->rules->rule) + 1;
		if (answer == FILTER_LATER) {
			chain_tell(c, h, r, TRACE_LATER, VERDICT_NONE, NULL);
			chain_note(c, c->rule - 1, rule_closes(r) ? NULL : r);
			continue;
		}
		if (rule_is_old(c, r))
			continue;
		bool same = c->judging && c->next == c->syn_next && c->rule == c->syn_rule;
		if (r->when_ref == LUA_NOREF || same) {
			if (!c->judging && filter_has_names(r->filter))
				chain_note(c, c->rule - 1, NULL);
			enum verdict v = rule_hit(c, r, named, d);
			chain_tell_answer(c, h, r, v, d);
			return v;
		}
		struct task *t = NULL;
		c->asked_named = named;
		enum vm_outcome o = chain_call(c, h, r->when_ref, true, rule_done, &t);
		if (o == VM_PENDING) {
			c->task = t;
			return VERDICT_PENDING;
		}
		enum verdict v = rule_judge(c, h, r, named, o == VM_DONE ? t : NULL, d);
		if (v != VERDICT_NONE)
			return v;
	}
}

/* --- waiting --------------------------------------------------------------------------------- */

static void chain_on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	struct connection *c = container_of(w, struct connection, deadline);
	struct decision d = {0};
	const char *where = c->asked->where;
	vm_complain(&c->rs->vm, where, c->asked->name, c->flow, "no verdict within %.0f s",
		CHAIN_SECONDS);
	connection_cancel(c);
	enum verdict v = chain_error(c, where, "a script took too long", &d);
	policy_answer(c->rs->policy, c->flow, v, &d); /* last: c may be gone */
}

void chain_wait(struct connection *c)
{
	if (ev_is_active(&c->deadline))
		return;
	ev_timer_init(&c->deadline, chain_on_deadline, CHAIN_SECONDS, 0.);
	ev_timer_start(c->rs->vm.loop, &c->deadline);
}

/* Names are not seen in QUIC: where rules are about names, it is open only to who says so. */
static enum verdict settle_udp(struct connection *c, enum verdict v, struct decision *d)
{
	bool open = v == VERDICT_NONE ? !c->rs->policy->default_deny
				      : v != VERDICT_DENY && v != VERDICT_DROP;
	if (c->facts.network != FILTER_UDP || c->facts.dst.port != 443 || !c->rs->has_names ||
		!open || (v != VERDICT_NONE && c->says_udp))
		return v;
	decision_fini(d);
	d->rule = strdup("names");
	d->reason = strdup("no name is seen in QUIC; a rule with network = \"udp\" opens it");
	return VERDICT_DENY;
}

/* The verdict on the SYN. Bytes of what may pass are shown to those who asked for them. */
static enum verdict chain_settle(struct connection *c, enum verdict v, struct decision *d)
{
	bool deny = c->rs->policy->default_deny;
	if (c->facts.network != FILTER_TCP)
		return settle_udp(c, v, d);
	c->syn_next = c->next;
	c->syn_rule = c->rule;
	if (v == VERDICT_NONE && deny && c->hope)
		v = rule_hit(c, (struct rule *)c->hope, false, d);
	if (v == VERDICT_DENY || v == VERDICT_DROP || (v == VERDICT_NONE && deny))
		return v;
	c->syn = (struct decision){.verdict = v, .target = d->target, .named = d->named};
	c->syn_via = c->rule_via;
	d->first_bytes = c->noted || connection_wanted(c, &c->rs->greeters);
	d->data = connection_wanted(c, &c->rs->data);
	if (!c->noted && !appeal_wanted(c))
		return v;
	c->preface = calloc(1, sizeof(*c->preface));
	if (c->preface)
		return v;
	decision_fini(d);
	return chain_error(c, NULL, "no memory", d);
}

/* --- the second time ------------------------------------------------------------------------- */

enum verdict chain_judge_name(struct connection *c, struct decision *d)
{
	if (!appeal_begin(c))
		return VERDICT_ALLOW;
	enum verdict v = chain_go(c, d);
	return v == VERDICT_PENDING ? v : appeal_end(c, v, d);
}

/* Goes on with the chain after a late answer @v, and gives the verdict if there is one. */
static void chain_resume(struct connection *c, enum verdict v, struct decision *d)
{
	if (v == VERDICT_NONE)
		v = chain_go(c, d);
	if (v == VERDICT_PENDING)
		return;
	ev_timer_stop(c->rs->vm.loop, &c->deadline);
	if (c->judging) {
		v = appeal_end(c, v, d);
		c->judged(c, v, d); /* last: c may be gone */
		return;
	}
	v = chain_settle(c, v, d);
	policy_answer(c->rs->policy, c->flow, v, d); /* last: c may be gone */
}

static void chain_done(void *arg, struct task *t)
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
	if (v == VERDICT_NONE) {
		c->next++;
		c->rule = 0;
	} else if (c->asked->filter && filter_has_names(c->asked->filter)) {
		chain_note(c, 0, NULL);
	}
	chain_resume(c, v, &d);
}

static void rule_done(void *arg, struct task *t)
{
	struct connection *c = arg;
	struct decision d = {0};
	c->task = NULL;
	/* c->next still is the block, c->rule the rule after the one asked. */
	const struct handler *h = &c->rs->chain.v[c->next];
	struct rule *r = &h->rules->rule[c->rule - 1];
	enum verdict v = rule_judge(c, h, r, c->asked_named, t, &d);
	chain_resume(c, v, &d);
}

static enum verdict handler_ask(struct connection *c, const struct handler *h, bool named,
	bool blocking, struct decision *d)
{
	struct task *t = NULL;
	enum verdict v;
	switch (chain_call(c, h, h->ref, blocking, chain_done, &t)) {
	case VM_PENDING:
		c->task = t;
		c->asked_named = named;
		return VERDICT_PENDING;
	case VM_DONE:
		v = chain_judge(c, h, named, t->co, d);
		task_recycle(t);
		return v;
	default:
		return chain_failed(c, h, d);
	}
}

/* The second time: handlers are asked about a SYN, and only then. The one that gave the verdict has
 * given it; one that was not asked yet cannot be asked any more, and might have said no. */
static enum verdict handler_again(struct connection *c, const struct handler *h, struct decision *d)
{
	if (c->next < c->syn_next || (h->filter && h->filter->observe))
		return VERDICT_NONE;
	if (c->next == c->syn_next) {
		d->target = c->syn.target;
		d->named = c->syn.named;
		c->rule_via = c->syn_via;
		return c->syn.verdict;
	}
	return chain_error(c, h->where,
		"the name in the first bytes leads to a handler that is asked before they come", d);
}

static enum verdict chain_go(struct connection *c, struct decision *d)
{
	const struct handlers *hs = &c->rs->chain;
	for (; c->next < hs->len; c->next++, c->rule = 0) {
		const struct handler *h = &hs->v[c->next];
		enum verdict v;
		bool named;
		c->asked = h;
		if (h->rules) {
			v = rules_go(c, h, d);
		} else {
			if (!connection_wants(c, h, &named)) {
				chain_tell(c, h, NULL, TRACE_SKIPPED, VERDICT_NONE, NULL);
				continue;
			}
			if (c->judging) {
				v = handler_again(c, h, d);
			} else {
				v = handler_ask(c, h, named, true, d);
				if (v != VERDICT_NONE && v != VERDICT_PENDING && h->filter &&
					filter_has_names(h->filter))
					chain_note(c, 0, NULL);
			}
		}
		if (v == VERDICT_PENDING)
			chain_wait(c);
		if (v != VERDICT_NONE)
			return v;
	}
	return VERDICT_NONE;
}

enum verdict chain_ask(struct connection *c, struct decision *d)
{
	const struct handlers *guards = &c->rs->guards;
	for (size_t i = 0; i < guards->len; i++) {
		const struct handler *h = &guards->v[i];
		bool named;
		if (!connection_wants(c, h, &named)) {
			chain_tell(c, h, NULL, TRACE_SKIPPED, VERDICT_NONE, NULL);
			continue;
		}
		enum verdict v = handler_ask(c, h, false, false, d);
		if (v != VERDICT_NONE)
			return v;
	}
	return chain_settle(c, chain_go(c, d), d);
}

void chain_closed(struct connection *c)
{
	const struct handlers *hs = &c->rs->closers;
	for (size_t i = 0; i < hs->len; i++) {
		const struct handler *h = &hs->v[i];
		struct task *t = NULL;
		bool named;
		if (!connection_wants(c, h, &named))
			continue;
		if (chain_call(c, h, h->ref, false, NULL, &t) == VM_DONE)
			task_recycle(t);
	}
}
