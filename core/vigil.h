/* SPDX-License-Identifier: MIT */
#ifndef NSNET_VIGIL_H
#define NSNET_VIGIL_H

#include <ev.h>
#include <stdbool.h>

#include "flow.h"
#include "guard.h"
#include "policy.h"

/* vigil - the guard for flows that live: when the host's addresses change, each flow whose
 * destination is closed from now on is ended.
 *
 * A connected UDP socket goes on sending to an address that has become the host's own (a VPN, a
 * container's bridge), and so does a SYN that is repeated: the kernel asks its table each time.
 * An open TCP connection does not need it: the host's stack knows nothing of it and resets it.
 *
 * Embedded in the engine. Costs nothing until an address or a route changes. */

/* Whoever writes routes all the time makes us look so often, no more. */
#define VIGIL_EVERY_S 0.05

struct vigil {
	struct ev_loop *loop;     /* NULL = not started */
	struct policy *policy;    /* borrowed, with its guard */
	struct flow_table *flows; /* borrowed */
	ev_io io;                 /* the guard's notices */
	ev_timer timer;           /* runs until it is time to look again */
	bool changed;             /* since the last look */
	unsigned long ended;      /* flows */
};

void vigil_start(struct vigil *v, struct ev_loop *loop, struct policy *policy,
	struct flow_table *flows);
/* Safe on a zeroed one. */
void vigil_stop(struct vigil *v);

#endif
