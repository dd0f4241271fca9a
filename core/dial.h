/* SPDX-License-Identifier: MIT */
#ifndef NSNET_DIAL_H
#define NSNET_DIAL_H

#include <ev.h>

#include "addr.h"

/* dial - open one TCP connection of the host without blocking the loop.
 *
 * Embedded in whatever wants the connection (a struct conn, a script's stream); allocates
 * nothing. It ends in exactly one of three ways: dial_start() fails, the callback runs once, or
 * dial_stop() is called. After any of them the struct may be freed or started again.
 */

/* Called once, never from inside dial_start(). @fd is a connected, non-blocking, close-on-exec
 * socket that the callee now owns, or a negative errno. The struct dial may be freed. */
typedef void dial_fn(void *arg, int fd);

struct dial {
	struct ev_loop *loop;
	ev_io io;
	ev_timer timer;
	int fd; /* owned while it runs, else -1 */
	dial_fn *fn;
	void *arg;
};

/* Connects to @to. Gives up with -ETIMEDOUT after @timeout_s seconds; 0 leaves it to the kernel
 * (tcp(7) tcp_syn_retries: about two minutes). Returns 0, or a negative errno that is known at
 * once (e.g. -ENETUNREACH, -EMFILE): then the callback does not come. */
int dial_start(struct dial *d, struct ev_loop *loop, const struct addr *to, double timeout_s,
	dial_fn *fn, void *arg);
/* The same from the host's address @from (of @to's family; port 0 = any); NULL = the kernel's
 * choice. */
int dial_start_from(struct dial *d, struct ev_loop *loop, const struct addr *from,
	const struct addr *to, double timeout_s, dial_fn *fn, void *arg);

/* Calls back with @fd (taken) after @delay_s seconds: a dial that takes longer than it does. */
void dial_delay(struct dial *d, struct ev_loop *loop, int fd, double delay_s, dial_fn *fn,
	void *arg);

/* Gives up without a callback. Safe on a zeroed or ended one. */
void dial_stop(struct dial *d);

#endif
