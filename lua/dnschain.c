/* SPDX-License-Identifier: MIT */
#include "lua/dnschain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/base.h"
#include "core/dname.h"
#include "core/sidedoor.h"
#include "lua/dnsfilter.h"
#include "lua/named.h"
#include "lua/text.h"
#include "lua/verdict.h"

static enum verdict dnschain_go(struct query *y, struct decision *d);

/* What an error costs: a failure that says nothing about the name. */
static enum verdict dnschain_error(const char *where, const char *why, struct decision *d)
{
	d->style = DENY_STYLE_RESET;
	d->rule = where ? strdup(where) : NULL;
	d->reason = strdup(why);
	return VERDICT_DENY;
}

static enum verdict dnschain_failed(const struct handler *h, struct decision *d)
{
	if (h->asks && h->asks->observe)
		return VERDICT_NONE;
	return dnschain_error(h->where, "error in a script", d);
}

static enum verdict dnschain_wrong(struct query *y, const struct handler *h, const char *kind,
	struct decision *d)
{
	bool observe = h->asks && h->asks->observe;
	vm_complain(&y->rs->vm, h->where, h->name, NULL, "on_dns returned %s for %s; %s", kind,
		y->q->name, observe ? "an observer answers nothing" : h->advice);
	return observe ? VERDICT_NONE : dnschain_error(h->where, "wrong answer of a script", d);
}

/* The verdict of a handler, from what is on the stack of @co. */
static enum verdict dnschain_judge(struct query *y, const struct handler *h, lua_State *co,
	struct decision *d)
{
	char kind[TEXT_KIND_MAX];
	int n = lua_gettop(co);
	if (n == 0 || (n == 1 && lua_isnil(co, 1)))
		return VERDICT_NONE;
	const struct verdict_value *v = n == 1 ? verdict_test(co, 1) : NULL;
	if (n > 1)
		snprintf(kind, sizeof(kind), "%d values", n);
	else if (v && v->answer && v->answer != y->answer_number)
		snprintf(kind, sizeof(kind), "an answer to another question");
	else if (v)
		snprintf(kind, sizeof(kind), "nsnet.%s", verdict_word(v->verdict));
	else
		text_kind(co, 1, kind);
	if (!v || (h->asks && h->asks->observe) || !(h->answers & (1u << v->verdict)) ||
		(v->answer && v->answer != y->answer_number))
		return dnschain_wrong(y, h, kind, d);
	const char *reason = verdict_reason(co, 1);
	d->style = v->style == DENY_STYLE_RESET ? DENY_STYLE_REFUSE : v->style;
	d->target = v->target;
	d->rule = strdup(h->where);
	d->reason = reason ? strdup(reason) : NULL;
	if (v->answer && dnsquery_supply(y->q, y->answer, y->answer_len) < 0) {
		decision_fini(d);
		return dnschain_error(h->where, "no memory for the answer", d);
	}
	return v->verdict;
}

/* The verdict is known: @y goes, the core goes on. */
static void dnschain_give(struct query *y, enum verdict v, struct decision *d)
{
	struct dnsquery *q = y->q;
	query_free(y);
	q->policy_data = NULL;
	dnsquery_decide(q, v, d); /* last: @q may be gone */
}

static void dnschain_on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	struct query *y = container_of(w, struct query, deadline);
	struct decision d = {0};
	vm_complain(&y->rs->vm, y->asked->where, y->asked->name, NULL,
		"no verdict about %s within %.0f s", y->q->name, DNSCHAIN_SECONDS);
	enum verdict v = dnschain_error(y->asked->where, "a script took too long", &d);
	dnschain_give(y, v, &d);
}

static void dnschain_done(void *arg, struct task *t)
{
	struct query *y = arg;
	struct decision d = {0};
	enum verdict v;
	y->task = NULL;
	if (t) {
		v = dnschain_judge(y, y->asked, t->co, &d);
		task_recycle(t);
	} else {
		v = dnschain_failed(y->asked, &d);
	}
	if (v == VERDICT_NONE)
		v = dnschain_go(y, &d);
	if (v == VERDICT_PENDING)
		decision_fini(&d);
	else
		dnschain_give(y, v, &d);
}

static void dnschain_wait(struct query *y)
{
	if (ev_is_active(&y->deadline))
		return;
	ev_timer_init(&y->deadline, dnschain_on_deadline, DNSCHAIN_SECONDS, 0.);
	ev_timer_start(y->rs->vm.loop, &y->deadline);
}

static enum verdict handler_ask(struct query *y, const struct handler *h, struct decision *d)
{
	struct vm *vm = &y->rs->vm;
	++*h->hits;
	if (vm_broken(vm)) {
		vm_complain(vm, h->where, h->name, NULL,
			"out of memory again and again; nothing new is let through for a minute");
		return dnschain_failed(h, d);
	}
	struct task *t = task_new(vm, h->name);
	if (!t)
		return dnschain_failed(h, d);
	t->blocking = true;
	t->owned = &y->streams;
	t->where = h->where;
	t->spent = &y->spent;
	t->done = dnschain_done;
	t->arg = y;
	lua_rawgeti(t->co, LUA_REGISTRYINDEX, h->ref);
	query_push(t->co, y);
	enum verdict v;
	switch (vm_start(t, 1)) {
	case VM_PENDING:
		y->task = t;
		dnschain_wait(y);
		return VERDICT_PENDING;
	case VM_DONE:
		v = dnschain_judge(y, h, t->co, d);
		task_recycle(t);
		return v;
	default:
		return dnschain_failed(h, d);
	}
}

/* What a rule about the name means for a question. The verdicts of rules for connections only say
 * whether one may be: where it would go, or how it would be refused, is their own business. */
static enum verdict rule_say(const struct ruleset *rs, struct rule *r, enum named n,
	struct decision *d)
{
	enum verdict v = n == NAMED_OPEN ? VERDICT_ALLOW : VERDICT_DENY;
	d->rule = strdup(r->label);
	d->reason = r->reason ? strdup(r->reason) : NULL;
	if (!(r->filter->networks & FILTER_DNS))
		return v;
	r->hits++;
	r->last_hit = ev_now(rs->vm.loop);
	if (r->verdict.verdict == VERDICT_REDIRECT || r->verdict.verdict == VERDICT_DROP)
		v = r->verdict.verdict;
	d->target = r->verdict.target;
	d->style = r->verdict.style == DENY_STYLE_RESET ? DENY_STYLE_REFUSE : r->verdict.style;
	return v;
}

/* The next link from @q's *@next on that has to be called: returns NONE, and *@next is it or the
 * end of the chain; or a verdict that needed no calling. */
static enum verdict dnschain_find(const struct ruleset *rs, const struct dnsquery *q, size_t *next,
	struct decision *d)
{
	const struct handlers *hs = &rs->chain;
	char name[DNAME_MAX];
	bool is_name = dname_normalise(name, q->name, strlen(q->name)) > 0;
	for (; *next < hs->len; ++*next) {
		const struct handler *h = &hs->v[*next];
		if (h->networks & FILTER_DNS && !h->rules) {
			if (!h->asks || dnsfilter_match(h->asks, q->name, q->m.type))
				return VERDICT_NONE;
			continue;
		}
		struct rule *r = NULL;
		enum named n = is_name ? named_by(h, name, &r) : NAMED_NOT;
		if (r && n != NAMED_NOT)
			return rule_say(rs, r, n, d);
		if (n == NAMED_OPEN) {
			d->rule = strdup(h->where);
			return VERDICT_ALLOW;
		}
	}
	/* No rule opens it, and it would lead to a resolver that knows no rules. */
	enum sidedoor_name door = rs->has_names && is_name ? sidedoor_name(name) : 0;
	if (door != SIDEDOOR_NAME_NONE) {
		d->rule = strdup("names");
		d->reason = strdup("another resolver");
		d->style =
			door == SIDEDOOR_NAME_SIGNAL ? DENY_STYLE_UNREACHABLE : DENY_STYLE_REFUSE;
		return VERDICT_DENY;
	}
	/* A name that rules cannot speak of must not get around those that speak of names: one
	 * label of "x\\.y" is below what is denied, too. */
	if (rs->has_names && !is_name) {
		d->rule = strdup("names");
		d->reason = strdup("no host name");
		return VERDICT_DENY;
	}
	return VERDICT_NONE;
}

static enum verdict dnschain_go(struct query *y, struct decision *d)
{
	const struct handlers *hs = &y->rs->chain;
	enum verdict v;
	while ((v = dnschain_find(y->rs, y->q, &y->next, d)) == VERDICT_NONE && y->next < hs->len) {
		y->asked = &hs->v[y->next++];
		v = handler_ask(y, y->asked, d);
		if (v != VERDICT_NONE)
			return v;
	}
	return v;
}

enum verdict dnschain_ask(struct ruleset *rs, struct dnsquery *q, struct decision *d)
{
	size_t first = 0;
	enum verdict v = dnschain_find(rs, q, &first, d);
	if (v != VERDICT_NONE || first == rs->chain.len)
		return v;
	struct query *y = query_new(rs, q);
	if (!y)
		return dnschain_error(rs->chain.v[first].where, "no memory", d);
	y->next = first;
	v = dnschain_go(y, d);
	if (v == VERDICT_PENDING)
		q->policy_data = y;
	else
		query_free(y);
	return v;
}

void dnschain_cancel(struct dnsquery *q)
{
	if (!q->policy_data)
		return;
	query_free(q->policy_data);
	q->policy_data = NULL;
}
