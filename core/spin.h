/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPIN_H
#define NSNET_SPIN_H

#include <ev.h>

/* spin - keeps the loop asking for events for a bounded time after the last one, instead of
 * sleeping at once.
 *
 * A request and its answer pass this process four times a connection, one short wait after the
 * other. To wake a sleeping process costs more than the work it then has, on a virtual machine
 * several times more, and this is paid in latency each time. Idle, nothing spins.
 */
struct spin {
	struct ev_loop *loop;
	ev_check check;
	ev_idle idle;
	ev_tstamp for_s, until;
};

/* Begins; @for_s is how long, in seconds; 0: never. */
void spin_start(struct spin *s, struct ev_loop *loop, double for_s);
void spin_stop(struct spin *s);

#endif
