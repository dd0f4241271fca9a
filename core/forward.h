/* SPDX-License-Identifier: MIT */
#ifndef NSNET_FORWARD_H
#define NSNET_FORWARD_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "flow.h"
#include "list.h"
#include "policy.h"

/* forward - ports of the namespace's loopback that lead to the host (-L).
 *
 * container-shim listens at them, inside, and hands the sockets over; so they are the command's
 * kernel's, and a client there is connected before anybody was asked: a denial or a refusal is a
 * reset that comes at once. Each connection is asked of policy as a flow from the client's address
 * to the one that it called, named by the user: allowed unless a rule says no. A rule may redirect
 * it. Dialers have no part in it; and a rule that limits it, or wants its every byte, is a denial,
 * since that cannot be had here.
 *
 * Embedded in the host.
 */
#define FORWARD_PORTS 31 /* two sockets each: see HANDSHAKE_FDS_MAX */
#define FORWARD_WHY_MAX 256

/* "PORT", "PORT:HOSTPORT", "PORT:ADDR:HOSTPORT". */
struct forward_spec {
	uint16_t port;
	struct addr to; /* v = 0: at the host's loopback, to.port */
};

/* Takes @text apart. 0 or -EINVAL. Pure. */
int forward_parse(struct forward_spec *spec, const char *text);

struct forward_port {
	struct forwards *forwards;
	struct forward_spec spec;
	int fd; /* owned */
	ev_io io;
	ev_timer pause;
};

struct forwards {
	struct ev_loop *loop; /* borrowed, like the next two; set before forwards_start() */
	struct flow_table *flows;
	struct policy *policy;
	size_t max;            /* connections at a time; more are reset */
	double dial_timeout_s; /* 0: the kernel's */
	double idle_s;         /* no byte either way for so long: both are reset; 0: never */

	struct forward_spec specs[FORWARD_PORTS];
	size_t spec_count;
	struct forward_port ports[2 * FORWARD_PORTS];
	size_t port_count;
	struct list links; /* connections */
	size_t count;
	uint64_t bytes; /* both ways, of those that have ended */
	ev_timer sweep;
};

/* What @spec makes of policy's decision about @f, a flow that called its port and that it names:
 * the decision's target is where it goes, or, for want of what a rule asks, the verdict is DENY. */
void forward_settle(const struct forward_spec *spec, struct flow *f);

/* Before the namespace is made: one -L. 0, or -EINVAL or -EEXIST with a line for the user in @why.
 * @f is zeroed before the first. */
int forwards_add(struct forwards *f, const char *text, char why[FORWARD_WHY_MAX]);

/* Takes @fds: listening sockets of the namespace's loopback, non-blocking. Those that nobody asked
 * for are closed. 0, or negative errno. */
int forwards_start(struct forwards *f, const int *fds, size_t n);

/* Ends all connections; safe on a zeroed one. */
void forwards_stop(struct forwards *f);

/* Connections that have bytes of the child to deliver, or may get some; adds to *@progress the
 * bytes that have moved. */
size_t forwards_undelivered(const struct forwards *f, uint64_t *progress);

#endif
