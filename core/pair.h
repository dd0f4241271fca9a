/* SPDX-License-Identifier: MIT */
#ifndef NSNET_PAIR_H
#define NSNET_PAIR_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "flow.h"
#include "relay.h"

/* pair - joins two sockets, as relay joins a stack_conn and one: bytes both ways, half-close both
 * ways, reset both ways, backpressure both ways. An error on one side becomes a RST on the other,
 * never a FIN, and not before the bytes that came ahead of it.
 *
 * Embedded. Begins with pair_start(), ends by the callback or by pair_stop(). At most one buffer is
 * held for each direction, and none while nothing waits.
 */
struct pair_side {
	int fd; /* owned, -1 when closed */
	ev_io io;
	uint8_t watching; /* EV_READ | EV_WRITE */
	struct buf *buf;  /* owned: read here, not yet written to the other side; NULL = nothing */
	size_t at, len;   /* of it */
	bool ended : 1;   /* nothing more is read here: EOF, or an error */
	bool shut : 1;    /* and the other side has been told of EOF */
	bool failed : 1;  /* the socket is broken */
};

struct pair {
	struct ev_loop *loop;
	struct pair_side child, world;
	struct flow *flow; /* borrowed: counts the bytes delivered to the world, to the child */
	bool held;    /* set by the owner: nothing of the child's goes out, a verdict is awaited */
	uint64_t may; /* bytes of the child's until it is held by itself; UINT64_MAX */
	void (*waits)(void *arg); /* more of the child's is held, or its end; it may end all */
	ev_timer last;            /* a side is broken; the other has not yet acknowledged all */
	double failed_at;         /* steady_now(); 0: has not */
	relay_fn *fn;
	void *arg;
};

/* Takes both, connected and non-blocking. Nothing is read before the loop runs. */
void pair_start(struct pair *p, struct ev_loop *loop, struct flow *flow, int child, int world,
	relay_fn *fn, void *arg);

/* Of what was held @may bytes may go (UINT64_MAX: all). The pair may be over afterwards. */
void pair_release(struct pair *p, uint64_t may);

/* For a timer: finds a reset that no watcher could see. The pair may be over afterwards. */
void pair_look(struct pair *p);

/* True while there are bytes of the child, here or in its socket, that the world has not got. */
bool pair_undelivered(const struct pair *p);

/* Closes both: with RST if @reset and not all that came from the other side is delivered, else in
 * order. No callback. Safe on a zeroed one. */
void pair_stop(struct pair *p, bool reset);

#endif
