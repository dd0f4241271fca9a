/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_DIALING_H
#define NSNET_LUA_DIALING_H

#include <ev.h>
#include <stddef.h>

#include "core/addr.h"
#include "core/dial.h"
#include "lua/failure.h"
#include "lua/lookup.h"

/* dialing - one nsnet.dial of a script: a name or address to a connected socket. The addresses of a
 * name are tried in turn, IPv6 and IPv4 alternating, the next one after a failure or 250 ms, until
 * one answers (RFC 8305).
 *
 * Embedded. It ends in exactly one of three ways: dialing_start() fails, the callback runs once, or
 * dialing_stop() is called. After any of them the struct may be freed.
 */
#define DIALING_MAX 8 /* addresses tried */

struct dialing;

/* Called once, never from inside dialing_start(). @fd is a connected, non-blocking socket that the
 * callee now owns; or -1, then @f and @text (lent for the call) say why not. */
typedef void dialing_fn(struct dialing *d, int fd, enum failure f, const char *text);

struct dialing_try {
	struct dial dial;
	struct dialing *dialing;
	bool running;
};

struct dialing {
	struct ev_loop *loop;
	struct lookup *lookup;      /* borrowed */
	struct addr from;           /* the host's address to dial from; v = 0: any */
	struct lookup_query *query; /* while the name is looked up */
	struct addr list[DIALING_MAX];
	size_t len, next;
	struct dialing_try try[DIALING_MAX];
	ev_timer stagger, limit;
	uint16_t port;
	int error; /* of the last try that failed, positive errno */
	dialing_fn *fn;
	void *arg; /* the owner's */
};

/* Dials TCP to @a, or to @name and @port if @name is not NULL (@family 0, 4, 6). 0, or a negative
 * errno that is known at once. */
int dialing_start(struct dialing *d, const struct addr *a, const char *name, uint16_t port,
	int family, double timeout_s);
/* Gives up without a callback. Safe on an ended one. */
void dialing_stop(struct dialing *d);

/* Set before dialing_start(): loop, lookup, from, fn, arg. All else is zeroed by it. */

#endif
