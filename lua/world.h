/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_WORLD_H
#define NSNET_LUA_WORLD_H

/* world - stands for the network that nsnet.dial and nsnet.resolve reach, when scripts are tested:
 * no socket is made and no name server is asked.
 *
 * Neither function answers from inside. Each call is answered once, by net_dialed() or
 * net_resolved() (net.h), unless cancel() comes first.
 */
struct call; /* one that waits; net.c's */

struct world {
	/* @network is "tcp", "udp" or "unix", @address "192.0.2.1:80", "name:80" or a path. */
	void (*dial)(void *arg, struct call *c, const char *network, const char *address,
		double timeout);
	/* @name is normalized; @family is 0, 4 or 6. */
	void (*resolve)(void *arg, struct call *c, const char *name, int family);
	/* Nobody waits for @c any more. */
	void (*cancel)(void *arg, struct call *c);
	void *arg;
};

#endif
