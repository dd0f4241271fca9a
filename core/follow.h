/* SPDX-License-Identifier: MIT */
#ifndef NSNET_FOLLOW_H
#define NSNET_FOLLOW_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "publish.h"

/* follow - "-p auto": what listens in the namespace is published on the host's loopback, under the
 * same port, for as long as it listens.
 *
 * The kernel tells of no socket that begins to listen, so it is asked: every FOLLOW_LEAST_S after a
 * change, and twice as seldom each time that nothing has changed, down to every FOLLOW_MOST_S.
 *
 * Published is what can be reached at the namespace's own address: a socket on its loopback is not,
 * nor one on another address. A socket on every IPv6 address that takes IPv4 callers, too, is
 * published on both loopbacks. UDP ports that the kernel chooses are those of clients, so they are
 * left out. Nobody named these ports: callers are allowed if a rule says so, or the default.
 *
 * Embedded in the host. */
#define FOLLOW_LEAST_S 0.05
#define FOLLOW_MOST_S 1.0
#define FOLLOW_PORTS 256 /* at a time; more are not published, and that is said */

struct followed {
	struct publish_port port;
	bool seen;      /* in this round */
	bool published; /* by us */
	bool failed;    /* and that was said */
};

struct follow {
	struct ev_loop *loop; /* NULL: not begun */
	struct publish *publish;
	int diag; /* owned */
	ev_timer timer;
	double period_s;
	struct followed ports[FOLLOW_PORTS];
	size_t count;
	bool changed;    /* in this round */
	bool full, deaf; /* and that was said */
	uint64_t rounds;
};

/* Begins. @diag: a NETLINK_SOCK_DIAG socket of the namespace; its file description is shared with
 * the caller, who keeps @diag; negative: the kernel has none. @publish is borrowed. 0 or negative
 * errno. */
int follow_start(struct follow *f, struct ev_loop *loop, struct publish *publish, int diag);

/* Ends it; what is published stays so. Safe on a zeroed one. */
void follow_stop(struct follow *f);

#endif
