/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_TETHER_H
#define NSNET_LUA_TETHER_H

#include <ev.h>

/* tether - a stream socket that nobody reads any more, but whose end means something: the control
 * connection of a SOCKS5 UDP association (RFC 1928 section 7).
 *
 * Embedded; zeroed = none. Ends by its callback, which runs once, or by tether_stop().
 */
struct tether;

/* The other side has closed it, or it broke. The socket is closed; the struct may be freed. */
typedef void tether_fn(struct tether *t);

struct tether {
	ev_io io;
	struct ev_loop *loop; /* borrowed; NULL = not started */
	tether_fn *fn;
};

/* Watches @fd (connected, non-blocking), which it takes. What comes is thrown away. */
void tether_start(struct tether *t, struct ev_loop *loop, int fd, tether_fn *fn);
/* Closes the socket, without a callback. Safe on a zeroed or ended one. */
void tether_stop(struct tether *t);

#endif
