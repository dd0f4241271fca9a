/* SPDX-License-Identifier: MIT */
#ifndef NSNET_EXPIRY_H
#define NSNET_EXPIRY_H

#include <ev.h>
#include <stdbool.h>

#include "list.h"

/* expiry - things that end when they have not been used for a while: a list ordered by last use,
 * and one timer for its first entry. Using an entry costs a clock and a few pointers, no timer.
 *
 * Embedded; owns nothing. Time is monotonic (a clock that is set does not end anything), and right
 * to some milliseconds.
 */
struct expiry;

struct expiry_entry {
	struct list link;
	struct expiry *in; /* NULL: in none */
	double used;       /* expiry_now() of the last use */
};

/* @e is due. The callee takes it out, and may free it. */
typedef void expiry_fn(struct expiry *x, struct expiry_entry *e);

struct expiry {
	struct ev_loop *loop;
	ev_timer timer;
	struct list entries;  /* least recently used first */
	const double *keep_s; /* borrowed: how long; may change */
	expiry_fn *due;
};

void expiry_init(struct expiry *x, struct ev_loop *loop, const double *keep_s, expiry_fn *due);
void expiry_fini(struct expiry *x); /* it must be empty */

/* Moves @e (zeroed, or in any expiry) to @x, as used now. */
void expiry_add(struct expiry *x, struct expiry_entry *e);
void expiry_use(struct expiry_entry *e);
/* Safe if @e is in none. */
void expiry_remove(struct expiry_entry *e);

/* The one that was not used for longest, or NULL. */
struct expiry_entry *expiry_first(const struct expiry *x);

/* Seconds of CLOCK_MONOTONIC_COARSE: some milliseconds behind, and nearly free. */
double expiry_now(void);

#endif
