/* SPDX-License-Identifier: MIT */
#include "spin.h"

#include <sched.h>

#include "base.h"

/* While an idle watcher is active the loop does not sleep, and it is called in the rounds that
 * brought nothing else. */
static void spin_on_idle(struct ev_loop *loop, ev_idle *w, int revents)
{
	struct spin *s = container_of(w, struct spin, idle);

	UNUSED(revents);
	if (ev_now(loop) >= s->until)
		ev_idle_stop(loop, w);
	else
		sched_yield(); /* whoever else wants this processor goes first */
}

/* Runs after each wait, before the other callbacks. */
static void spin_on_check(struct ev_loop *loop, ev_check *w, int revents)
{
	struct spin *s = container_of(w, struct spin, check);

	UNUSED(revents);
	if (ev_is_pending(&s->idle) || !ev_pending_count(loop))
		return;
	s->until = ev_now(loop) + s->for_s;
	ev_idle_start(loop, &s->idle);
}

void spin_start(struct spin *s, struct ev_loop *loop, double for_s)
{
	s->loop = loop;
	s->for_s = for_s;
	ev_idle_init(&s->idle, spin_on_idle);
	ev_set_priority(&s->idle, EV_MINPRI);
	ev_check_init(&s->check, spin_on_check);
	ev_set_priority(&s->check, EV_MAXPRI);
	if (for_s <= 0)
		return;
	ev_check_start(loop, &s->check);
	ev_unref(loop); /* keeps no loop alive */
}

void spin_stop(struct spin *s)
{
	if (!s->loop || !ev_is_active(&s->check))
		return;
	ev_ref(s->loop);
	ev_check_stop(s->loop, &s->check);
	ev_idle_stop(s->loop, &s->idle);
}
