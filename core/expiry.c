/* SPDX-License-Identifier: MIT */
#include "expiry.h"

#include <assert.h>
#include <time.h>

#include "base.h"

/* The coarse clock lags by a tick, 10 ms at most: not to wake just before the moment. */
#define SLACK_S 0.01

double expiry_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct expiry_entry *expiry_first(const struct expiry *x)
{
	return list_empty(&x->entries) ? NULL
				       : container_of(x->entries.next, struct expiry_entry, link);
}

static void expiry_arm(struct expiry *x)
{
	const struct expiry_entry *first = expiry_first(x);

	ev_timer_stop(x->loop, &x->timer);
	if (!first)
		return;
	ev_timer_set(&x->timer, MAX(first->used + *x->keep_s - expiry_now(), 0) + SLACK_S, 0);
	ev_timer_start(x->loop, &x->timer);
}

static void expiry_on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct expiry *x = container_of(w, struct expiry, timer);
	double now = expiry_now();
	struct expiry_entry *e;

	UNUSED(loop);
	UNUSED(revents);
	while ((e = expiry_first(x)) && e->used + *x->keep_s <= now)
		x->due(x, e);
	expiry_arm(x);
}

void expiry_init(struct expiry *x, struct ev_loop *loop, const double *keep_s, expiry_fn *due)
{
	x->loop = loop;
	x->keep_s = keep_s;
	x->due = due;
	list_init(&x->entries);
	ev_timer_init(&x->timer, expiry_on_timer, 0, 0);
}

void expiry_fini(struct expiry *x)
{
	assert(list_empty(&x->entries));
	ev_timer_stop(x->loop, &x->timer);
}

void expiry_add(struct expiry *x, struct expiry_entry *e)
{
	bool was_empty;

	expiry_remove(e);
	was_empty = list_empty(&x->entries);
	e->in = x;
	e->used = expiry_now();
	list_add_tail(&x->entries, &e->link);
	if (was_empty)
		expiry_arm(x);
}

void expiry_use(struct expiry_entry *e)
{
	struct list *entries = &e->in->entries;

	e->used = expiry_now();
	if (entries->prev != &e->link) {
		list_del(&e->link);
		list_add_tail(entries, &e->link);
	}
}

void expiry_remove(struct expiry_entry *e)
{
	struct expiry *x = e->in;

	if (!x)
		return;
	list_del(&e->link);
	e->in = NULL;
	if (list_empty(&x->entries))
		ev_timer_stop(x->loop, &x->timer);
}
