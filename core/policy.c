/* SPDX-License-Identifier: MIT */
#include "policy.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base.h"
#include "denial.h"
#include "log.h"
#include "sidedoor.h"
#include "steady.h"

static void decide(struct decision *d, enum verdict v, const char *rule, const char *reason)
{
	d->verdict = v;
	if (rule && !d->rule)
		d->rule = strdup(rule);
	if (reason && !d->reason)
		d->reason = strdup(reason);
}

static void deny_by_guard(const struct policy *p, struct decision *d, enum guard_class class)
{
	/* What a router would say of its own network's empty places, and nothing for what
	 * has no single destination. */
	const bool empty = class == GUARD_CLASS_INSIDE || class == GUARD_CLASS_SYNTHETIC;

	d->remedy = guard_remedy(p->guard, class, &d->target, d->verdict == VERDICT_REDIRECT);
	d->style = empty ? DENY_STYLE_UNREACHABLE : DENY_STYLE_REFUSE;
	free(d->rule);
	free(d->reason);
	d->rule = d->reason = NULL;
	if (class == GUARD_CLASS_SYNTHETIC) {
		decide(d, VERDICT_DENY, "names", "no name has this address, or not any more");
		return;
	}
	decide(d, class == GUARD_CLASS_MULTICAST ? VERDICT_DROP : VERDICT_DENY, "guard",
		guard_class_name(class));
}

static void report(const struct policy *p, const struct flow *f, bool would)
{
	denial_say(f, p->name_of ? p->name_of(p->name_arg, f) : NULL, p->logged, would);
}

static ev_tstamp policy_now(const struct policy *p)
{
	return p->loop ? ev_now(p->loop) : 0;
}

/* Names are forgotten; a log wants the one that the child went by. */
static void note_name(struct policy *p, struct flow *f)
{
	const char *name = p->name_of ? p->name_of(p->name_arg, f) : NULL;

	if (name && !f->host)
		f->host = strdup(name);
}

static void settle_default(struct policy *p, struct flow *f)
{
	struct decision *d = &f->decision;
	enum sidedoor door =
		p->by_name && !f->inbound ? sidedoor_of(f->key.proto, flow_dst(f)) : SIDEDOOR_NONE;

	if (f->named || (door == SIDEDOOR_NONE && !p->default_deny))
		decide(d, VERDICT_ALLOW, NULL, NULL);
	else if (door != SIDEDOOR_NONE)
		decide(d, VERDICT_DENY, "names", sidedoor_text(door));
	else /* an echo reply of a host nobody named would be a channel */
		decide(d, f->key.proto == IPPROTO_ICMP ? VERDICT_DROP : VERDICT_DENY, "default",
			NULL);
}

/* Where an allowed flow goes, if the guard lets it. */
static void settle_target(struct policy *p, struct flow *f)
{
	struct decision *d = &f->decision;
	enum guard_class class;

	if (d->verdict == VERDICT_ALLOW || d->verdict == VERDICT_VIA)
		d->target = guard_translate(p->guard, flow_dst(f), &d->named);
	/* Known by its name alone: only a dialer can take it (policy_dial). */
	if (f->by_name && !d->target.v)
		return;
	d->named |= f->named && addr_equal(&d->target, &f->key.dst);
	class = guard_classify(p->guard, &d->target);
	if (class != GUARD_CLASS_PUBLIC && !d->named)
		deny_by_guard(p, d, class);
}

/* What calls from outside goes where it was published, or nowhere. Nothing is dialed for it, so a
 * dialer has no part in it and the guard nothing to look at, and the child, which is called, does
 * not say the first bytes that a name could be in. */
static void settle_inbound(struct flow *f)
{
	struct decision *d = &f->decision;

	d->first_bytes = false;
	d->target = f->key.src;
	if (d->verdict == VERDICT_VIA)
		d->verdict = VERDICT_ALLOW;
	if (d->verdict == VERDICT_REDIRECT)
		decide(d, VERDICT_DENY, NULL,
			"a call from outside cannot be redirected (inbound = false says so)");
}

/* Turns a verdict that policy gave into the final decision: default, target, guard. */
static void settle(struct policy *p, struct flow *f, enum verdict v)
{
	struct decision *d = &f->decision;

	d->verdict = v;
	if (v == VERDICT_NONE)
		settle_default(p, f);
	if (p->dry_run && (d->verdict == VERDICT_DENY || d->verdict == VERDICT_DROP)) {
		report(p, f, true);
		d->would = d->verdict;
		d->verdict = VERDICT_ALLOW;
	}
	if (f->inbound)
		settle_inbound(f);
	else if (d->verdict != VERDICT_DENY && d->verdict != VERDICT_DROP)
		settle_target(p, f);
	if (!f->errand)
		policy_conclude(p, f);
}

size_t policy_network(const struct flow *f)
{
	return f->key.proto == IPPROTO_TCP ? 0 : f->key.proto == IPPROTO_UDP ? 1 : 2;
}

static void count_verdict(struct policy *p, const struct flow *f)
{
	const enum verdict v = f->decision.verdict;

	if (v < ARRAY_LEN(p->counts.verdicts[0]))
		p->counts.verdicts[policy_network(f)][v]++;
}

static void count_end(struct policy *p, const struct flow *f)
{
	const size_t n = policy_network(f);

	p->counts.ends[n][f->cause]++;
	p->counts.up[n] += f->bytes_up;
	p->counts.down[n] += f->bytes_down;
}

void policy_conclude(struct policy *p, struct flow *f)
{
	const struct decision *d = &f->decision;

	count_verdict(p, f);
	switch (d->verdict) {
	case VERDICT_DENY:
		p->denied++;
		report(p, f, false);
		break;
	case VERDICT_DROP:
		p->dropped++;
		report(p, f, false);
		break;
	default:
		p->allowed++;
	}
	if (f->state == FLOW_STATE_ENDED) /* by the hook that was asked */
		return;
	f->times.decided = policy_now(p);
	if (p->names && !f->inbound && !f->by_name && d->verdict != VERDICT_DENY &&
		d->verdict != VERDICT_DROP)
		f->names = names_hold(p->names, &f->key.dst, steady_now());
	if (p->observers) {
		note_name(p, f);
		observe_decided(p->observers, f);
	}
}

bool policy_still_allows(struct policy *p, struct flow *f)
{
	struct decision *d = &f->decision;
	/* As in settle_inbound(), settle_target(): the guard has nothing to look at. */
	enum guard_class class = d->named || f->inbound || (f->by_name && !d->target.v)
		? GUARD_CLASS_PUBLIC
		: guard_classify(p->guard, &d->target);

	if (class == GUARD_CLASS_PUBLIC)
		return true;
	deny_by_guard(p, d, class);
	d->verdict = VERDICT_DENY; /* visibly, whatever it has become */
	p->denied++;
	count_verdict(p, f);
	report(p, f, false);
	return false;
}

/* After the connection is open a verdict can only let it live or end it. */
static enum verdict judge_late(struct policy *p, struct flow *f, enum verdict v, struct decision *d)
{
	struct decision *now = &f->decision;

	now->first_bytes = false;
	now->pass = 0;
	if (v == VERDICT_ALLOW || v == VERDICT_NONE) {
		now->pass = d->pass;
		now->first_bytes = d->pass != 0;
		decision_fini(d);
		return VERDICT_ALLOW;
	}
	free(now->rule);
	free(now->reason);
	now->rule = d->rule;
	now->reason = d->reason;
	now->style = DENY_STYLE_RESET;
	now->verdict = VERDICT_DENY;
	report(p, f, p->dry_run);
	if (p->dry_run) {
		now->would = VERDICT_DENY;
		now->verdict = VERDICT_ALLOW;
		return VERDICT_ALLOW;
	}
	p->denied++;
	count_verdict(p, f);
	return VERDICT_DENY;
}

static enum verdict settle_late(struct policy *p, struct flow *f, enum verdict v,
	struct decision *d)
{
	const bool again = f->times.judged > 0;

	v = judge_late(p, f, v, d);
	f->times.judged = policy_now(p);
	if (p->observers && (!again || v == VERDICT_DENY))
		observe_judged(p->observers, f);
	return v;
}

enum verdict policy_first_bytes(struct policy *p, struct flow *f, const void *bytes, size_t n,
	bool more)
{
	struct decision d = {0};
	enum verdict v = VERDICT_DENY; /* rules that went by a reload cannot be asked */

	if (p->hooks && p->hooks->first_bytes)
		v = p->hooks->first_bytes(p->hooks->arg, f, bytes, n, more, &d);
	if (v == VERDICT_PENDING) {
		f->waiting = true;
		return v;
	}
	if (v == VERDICT_MORE && more)
		return v;
	return settle_late(p, f, v, &d);
}

int policy_data(struct policy *p, struct flow *f, enum hook_dir dir, const void *bytes, size_t n,
	void **other, size_t *other_len)
{
	if (!p->hooks || !p->hooks->data)
		return -ECONNABORTED;
	return p->hooks->data(p->hooks->arg, f, dir, bytes, n, other, other_len);
}

bool policy_judge(struct policy *p, struct flow *f)
{
	enum verdict (*hook)(void *, struct flow *, struct decision *) = NULL;
	enum verdict v = VERDICT_NONE;

	if (p->hooks) {
		hook = f->key.proto == IPPROTO_TCP ? p->hooks->connect : p->hooks->flow;
		f->asked = true;
	}
	if (hook)
		v = hook(p->hooks->arg, f, &f->decision);
	if (v == VERDICT_PENDING) {
		f->waiting = true;
		return false;
	}
	settle(p, f, v);
	return true;
}

bool policy_ask(struct policy *p, struct flow *f)
{
	int rc = 0;
	bool final;

	if (p->identify)
		policy_process(p, f);
	if (p->errands && !f->inbound)
		rc = p->errands->ask(p->errands->arg, f);
	final = rc ? rc > 0 : policy_judge(p, f);
	if (!final && p->observers)
		observe_pending(p->observers, f);
	return final;
}

void policy_answer(struct policy *p, struct flow *f, enum verdict v, struct decision *d)
{
	assert(f->waiting && v != VERDICT_PENDING);
	f->waiting = false;
	if (f->state == FLOW_STATE_OPEN) {
		f->decision.verdict = settle_late(p, f, v, d);
	} else {
		decision_fini(&f->decision);
		f->decision = *d;
		settle(p, f, v);
		if (f->errand) {
			p->errands->judged(p->errands->arg, f); /* last: @f may be gone */
			return;
		}
	}
	f->ops->decided(f); /* last: @f may be gone */
}

/* To be dialed directly, by us. */
static int dial_self(struct policy *p, struct flow *f)
{
	/* A verdict that needs a dialer is never dialed directly for want of one. */
	if (f->decision.verdict == VERDICT_VIA)
		return -EOPNOTSUPP;
	return f->errand ? p->errands->dial(p->errands->arg, f) : -ENOSYS;
}

int policy_dial(struct policy *p, struct flow *f)
{
	int rc = -ENOSYS;

	f->times.dialing = policy_now(p);
	if (p->hooks && p->hooks->dial)
		rc = p->hooks->dial(p->hooks->arg, f);
	if (rc == -EINPROGRESS)
		f->waiting = true;
	else if (rc == -ENOSYS)
		rc = dial_self(p, f);
	return rc;
}

void policy_dialed(struct policy *p, struct flow *f, int fd, const void *early, size_t n)
{
	UNUSED(p);
	assert(f->waiting);
	f->waiting = false;
	f->ops->dialed(f, fd, early, n); /* last: @f may be gone */
}

const struct process *policy_process(struct policy *p, const struct flow *flow)
{
	/* Those who only look may be the first who want to know. */
	struct flow *f = (struct flow *)flow;

	if (!f->sought && p->who && f->state != FLOW_STATE_ENDED) {
		f->sought = true;
		f->process = who_find(p->who, (int)f->key.proto, &f->key.src, &f->key.dst);
	}
	return f->process;
}

void policy_opened(struct policy *p, struct flow *f)
{
	flow_set_state(f, FLOW_STATE_OPEN);
	f->times.opened = policy_now(p);
	if (p->observers)
		observe_opened(p->observers, f);
}

void policy_end(struct policy *p, struct flow *f, enum flow_cause cause, ev_tstamp now)
{
	if (f->state == FLOW_STATE_ENDED)
		return;
	if (f->waiting) {
		f->waiting = false;
		p->hooks->cancel(p->hooks->arg, f);
	}
	flow_set_state(f, FLOW_STATE_ENDED);
	f->cause = cause;
	f->times.ended = now;
	count_end(p, f);
	if (p->observers)
		observe_ended(p->observers, f);
	if (f->asked && p->hooks->close)
		p->hooks->close(p->hooks->arg, f);
	if (f->names)
		names_release(p->names, f->names, steady_now());
	f->names = NULL;
	if (f->errand)
		p->errands->end(p->errands->arg, f);
}
