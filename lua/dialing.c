/* SPDX-License-Identifier: MIT */
#include "lua/dialing.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/base.h"

#define STAGGER_SECONDS .25 /* RFC 8305 section 5: connection attempt delay */

static void dialing_next(struct dialing *d);

void dialing_stop(struct dialing *d)
{
	if (d->query)
		lookup_cancel(d->query);
	d->query = NULL;
	for (size_t i = 0; i < DIALING_MAX; i++) {
		if (d->try[i].running)
			dial_stop(&d->try[i].dial);
		d->try[i].running = false;
	}
	ev_timer_stop(d->loop, &d->stagger);
	ev_timer_stop(d->loop, &d->limit);
}

static void dialing_end(struct dialing *d, int fd, enum failure f, const char *text)
{
	dialing_stop(d);
	d->fn(d, fd, f, text); /* last: @d may be gone */
}

static void dialing_on_try(void *arg, int fd)
{
	struct dialing_try *t = arg;
	struct dialing *d = t->dialing;
	t->running = false;
	if (fd >= 0) {
		dialing_end(d, fd, 0, NULL);
		return;
	}
	d->error = -fd;
	dialing_next(d);
}

static bool dialing_busy(const struct dialing *d)
{
	for (size_t i = 0; i < d->len; i++) {
		if (d->try[i].running)
			return true;
	}
	return false;
}

static int dialing_try(struct dialing_try *t, const struct addr *to)
{
	struct dialing *d = t->dialing;
	return dial_start_from(&t->dial, d->loop, d->from.v ? &d->from : NULL, to, 0,
		dialing_on_try, t);
}

/* Starts the next address; ends if there is none and nothing runs. */
static void dialing_next(struct dialing *d)
{
	ev_timer_stop(d->loop, &d->stagger);
	while (d->next < d->len) {
		struct dialing_try *t = &d->try[d->next];
		t->dialing = d;
		int err = dialing_try(t, &d->list[d->next++]);
		if (err) {
			d->error = -err;
			continue;
		}
		t->running = true;
		if (d->next < d->len) {
			ev_timer_set(&d->stagger, STAGGER_SECONDS, 0.);
			ev_timer_start(d->loop, &d->stagger);
		}
		return;
	}
	if (!dialing_busy(d))
		dialing_end(d, -1, failure_of_errno(d->error), strerror(d->error));
}

static void dialing_on_stagger(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	dialing_next(container_of(w, struct dialing, stagger));
}

static void dialing_on_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	dialing_end(container_of(w, struct dialing, limit), -1, FAILURE_TIMEOUT, "timeout");
}

/* The first address of the first family, the first of the other, the second of the first, ... */
static void dialing_order(struct dialing *d, const struct addr *list, size_t n)
{
	size_t at[2] = {0, 0};
	uint8_t v = n ? list[0].v : 4;
	for (int turn = 0; d->len < DIALING_MAX; turn ^= 1) {
		uint8_t want = turn ? (v == 4 ? 6 : 4) : v;
		while (at[turn] < n && list[at[turn]].v != want)
			at[turn]++;
		if (at[turn] < n) {
			d->list[d->len] = list[at[turn]++];
			d->list[d->len++].port = d->port;
		} else {
			while (at[!turn] < n && list[at[!turn]].v == want)
				at[!turn]++;
			if (at[!turn] >= n)
				break;
		}
	}
}

static void dialing_on_lookup(void *arg, const struct addr *list, size_t n, const char *error)
{
	struct dialing *d = arg;
	d->query = NULL;
	if (!n) {
		dialing_end(d, -1, FAILURE_RESOLVE, error);
		return;
	}
	dialing_order(d, list, n);
	dialing_next(d);
}

int dialing_start(struct dialing *d, const struct addr *a, const char *name, uint16_t port,
	int family, double timeout_s)
{
	d->query = NULL;
	d->next = 0;
	d->len = 0;
	d->error = EHOSTUNREACH;
	d->port = port;
	memset(d->try, 0, sizeof(d->try));
	ev_init(&d->stagger, dialing_on_stagger);
	ev_timer_init(&d->limit, dialing_on_limit, timeout_s, 0.);
	if (name) {
		d->query = lookup_start(d->lookup, name, family, dialing_on_lookup, d);
		if (!d->query)
			return -ENOMEM;
	} else {
		struct dialing_try *t = &d->try[0];
		d->list[0] = *a;
		d->len = d->next = 1;
		t->dialing = d;
		int err = dialing_try(t, a);
		if (err)
			return err;
		t->running = true;
	}
	ev_timer_start(d->loop, &d->limit);
	return 0;
}
