/* SPDX-License-Identifier: MIT */
#ifndef NSNET_DRAIN_H
#define NSNET_DRAIN_H

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

/* drain - after the command has ended: waits until what it had sent is delivered.
 *
 * A process may close its sockets and exit while its kernel still holds its last bytes. Those
 * orphans (FIN_WAIT1, LAST_ACK, CLOSING in the namespace) are asked for by sock_diag(7), and our
 * own connections by a function, every few milliseconds. Sockets that other processes of the
 * namespace hold do not count: they have lost their network with the command.
 */

/* How many of our connections still owe bytes to the world, and in *@progress a number that changes
 * whenever a byte moved. */
typedef size_t drain_pending_fn(void *arg, uint64_t *progress);

/* Nothing is pending, or nothing moved for so long that waiting is in vain. Once. */
typedef void drain_done_fn(void *arg);

struct drain {
	struct ev_loop *loop;
	ev_timer timer;
	int diag; /* owned, -1 = cannot ask */
	uint64_t progress;
	double moved; /* steady_now() of the last byte */
	drain_pending_fn *pending;
	drain_done_fn *done;
	void *arg;
};

/* Takes @diag, a NETLINK_SOCK_DIAG socket of the namespace, or -1. Calls @done from the loop, or
 * returns 1 if nothing is pending right now: then it is not called. 0: wait. */
int drain_start(struct drain *d, struct ev_loop *loop, int diag, drain_pending_fn *pending,
	drain_done_fn *done, void *arg);
void drain_stop(struct drain *d); /* safe on a zeroed one */

#endif
