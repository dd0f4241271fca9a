/* SPDX-License-Identifier: MIT */
#include "vigil.h"

#include <netinet/in.h>

#include "base.h"

/* Has @f a socket of ours, or will it have one, that sends where the kernel's table says? */
static bool is_concerned(const struct flow *f)
{
	const enum verdict v = f->decision.verdict;

	if (v != VERDICT_ALLOW && v != VERDICT_REDIRECT)
		return false;
	if (f->state == FLOW_STATE_OPEN)
		return f->key.proto != IPPROTO_TCP;
	return f->state == FLOW_STATE_DIALING;
}

/* The first flow that may not live any more, or NULL. */
static struct flow *find_closed(struct vigil *v)
{
	struct list *e, *tmp;

	list_foreach (e, tmp, &v->flows->all) {
		struct flow *f = container_of(e, struct flow, all);

		if (is_concerned(f) && !policy_still_allows(v->policy, f))
			return f;
	}
	return NULL;
}

/* From the start again after each: a script that is told of the end may end others. */
static void look(struct vigil *v)
{
	struct flow *f;

	v->changed = false;
	while ((f = find_closed(v))) {
		v->ended++;
		f->ops->abort(f, FLOW_CAUSE_DENIED);
	}
}

/* The guard was asked while it heard of the change, perhaps for a flow: later, from the loop. */
static void vigil_on_change(void *arg)
{
	struct vigil *v = arg;

	v->changed = true;
	if (!ev_is_active(&v->timer)) {
		ev_timer_set(&v->timer, 0, VIGIL_EVERY_S);
		ev_timer_start(v->loop, &v->timer);
	}
}

static void vigil_on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct vigil *v = container_of(w, struct vigil, timer);

	UNUSED(revents);
	if (v->changed)
		look(v);
	else
		ev_timer_stop(loop, w);
}

static void vigil_on_notice(struct ev_loop *loop, ev_io *w, int revents)
{
	struct vigil *v = container_of(w, struct vigil, io);

	UNUSED(loop);
	UNUSED(revents);
	guard_heed(v->policy->guard);
}

void vigil_start(struct vigil *v, struct ev_loop *loop, struct policy *policy,
	struct flow_table *flows)
{
	*v = (struct vigil){.loop = loop, .policy = policy, .flows = flows};
	policy->guard->on_change = vigil_on_change;
	policy->guard->on_change_arg = v;
	ev_init(&v->timer, vigil_on_timer);
	ev_io_init(&v->io, vigil_on_notice, policy->guard->changes, EV_READ);
	ev_io_start(loop, &v->io);
}

void vigil_stop(struct vigil *v)
{
	if (!v->loop)
		return;
	v->policy->guard->on_change = NULL;
	ev_io_stop(v->loop, &v->io);
	ev_timer_stop(v->loop, &v->timer);
	v->loop = NULL;
}
