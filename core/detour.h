/* SPDX-License-Identifier: MIT */
#ifndef NSNET_DETOUR_H
#define NSNET_DETOUR_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "flow.h"
#include "lane.h"
#include "policy.h"
#include "relay.h"
#include "stack.h"

/* detour - the slow way of a relay: bytes pass through lanes (shape.h: rate, latency, reset) and,
 * if policy asks, through hooks.data. The same joints and promises as relay.h, with copies.
 *
 * Allocated by its owner, a struct conn, instead of running the embedded relay. Begins by
 * detour_start(), ends by the callback or detour_stop(); the owner frees it.
 */

struct detour {
	struct ev_loop *loop;
	struct flow *flow;        /* borrowed: shape, counters */
	struct policy *policy;    /* borrowed: asks hooks.data */
	struct stack_conn *child; /* borrowed */
	ev_io io;
	ev_timer timer;
	int fd; /* owned */
	uint8_t watching;
	struct lane up, down;
	uint64_t taken;                  /* bytes read from the world, for shape.reset_after */
	bool up_read : 1, down_read : 1; /* the end was read from that side */
	bool up_shut : 1, down_shut : 1; /* and given to the other */
	bool failed : 1;                 /* the end of the down lane is a RST */
	bool child_closed : 1;
	bool held : 1;
	bool due : 1;             /* spent is to be called */
	uint64_t may;             /* as in struct relay */
	void (*spent)(void *arg); /* the same */
	relay_fn *fn;
	void *arg;
};

/* As relay_start(). @flow has a shape, or decision.data set. */
void detour_start(struct detour *d, struct ev_loop *loop, struct flow *flow, struct policy *policy,
	struct stack_conn *child, int fd, relay_fn *fn, void *arg);

void detour_on_readable(struct detour *d);
void detour_on_writable(struct detour *d);
void detour_on_closed(struct detour *d, bool reset);
void detour_release(struct detour *d, uint64_t may);

/* As relay_on_opened(). */
int detour_on_opened(struct detour *d, const void *early, size_t n);

/* As relay_stop(); what is queued is lost. */
void detour_stop(struct detour *d, bool reset);

#endif
