/* SPDX-License-Identifier: MIT */
#ifndef NSNET_RELAY_H
#define NSNET_RELAY_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "flow.h"
#include "stack.h"

/* relay - joins a stack_conn (the child's side) and a socket (the world's): bytes both ways,
 * half-close both ways, reset both ways, backpressure both ways. Loses nothing: an error on one
 * side becomes a RST on the other, never a FIN, and not before the bytes that came ahead of it.
 *
 * Embedded in a struct conn. Begins with relay_start(), ends by the callback or by
 * relay_stop(). The owner passes the stack_conn's events on (relay_on_*).
 *
 *   child to world:  OPEN --FIN from the child, all written--> SHUT
 *   world to child:  OPEN --EOF read, FIN given to the stack--> SHUT
 *                    OPEN --socket error: the child gets what was read, then RST--> FAILED
 *   over: both SHUT and the child's side closed; or a RST from the child; or FAILED and drained.
 */
enum relay_end {
	RELAY_END_CLOSED,
	RELAY_END_CHILD_RESET,
	RELAY_END_WORLD_RESET,
	RELAY_END_ABORTED, /* no memory, or policy */
};

/* Called once. The callee stops the relay and frees the stack_conn; it may free both structs. */
typedef void relay_fn(void *arg, enum relay_end how);

struct relay {
	struct ev_loop *loop;
	struct stack_conn *child; /* borrowed; lives longer */
	ev_io io;
	int fd;            /* owned, -1 when closed */
	struct flow *flow; /* borrowed: counts the bytes delivered to the world, to the child */
	uint8_t watching;  /* EV_READ | EV_WRITE */
	bool held : 1; /* set by the owner: nothing of the child's goes out, a verdict is awaited */
	uint64_t may;  /* bytes of the child's until it is held by itself; UINT64_MAX: never */
	void (*spent)(void *arg); /* then this is called, last: it may end all; NULL = none */
	bool up_shut : 1, down_shut : 1, failed : 1, child_closed : 1;
	relay_fn *fn;
	void *arg;
};

/* Takes @fd, connected and non-blocking. @child's handshake is under way. @flow is borrowed. */
void relay_start(struct relay *r, struct ev_loop *loop, struct flow *flow, struct stack_conn *child,
	int fd, relay_fn *fn, void *arg);

/* @child's handshake is complete; nothing is read from the socket before. Gives it first the @n
 * bytes that somebody read from the socket already (copied). 0, or -ENOMEM: @n is more than fits.
 * */
int relay_on_opened(struct relay *r, const void *early, size_t n);

/* Of what was held @may bytes may go. The relay may be over afterwards. */
void relay_release(struct relay *r, uint64_t may);

void relay_on_readable(struct relay *r); /* the child's side has bytes or a FIN */
void relay_on_writable(struct relay *r); /* the child's side has room again */
void relay_on_closed(struct relay *r, bool reset);

/* Closes the socket: with RST if @reset and the child's bytes are not complete, else in order. No
 * callback. Safe on a zeroed one. */
void relay_stop(struct relay *r, bool reset);

#endif
