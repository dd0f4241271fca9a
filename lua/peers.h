/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_PEERS_H
#define NSNET_LUA_PEERS_H

#include <ev.h>
#include <lua.h>

#include "core/flow.h"
#include "core/list.h"
#include "lua/world.h"

/* peers - the network of a test: who is there is what the test says, name servers too. Nothing in
 * it is a real network; what is connected is a pair of sockets within the process.
 */
enum peer_mode {
	PEER_ACCEPT,
	PEER_REFUSE,
	PEER_UNREACHABLE,
	PEER_BLACKHOLE, /* never answers */
};

struct peer {
	struct list link;
	char *network, *address; /* owned: "tcp", "127.0.0.1:1080" */
	enum peer_mode mode;
	int ref; /* registry: who plays it, the owner's */
};

struct peers {
	struct ev_loop *loop;
	struct world world; /* what the scripts' rule set gets */
	struct list peers, names, calls;
	/* Somebody has connected: plays @p at @fd, which the callee takes. */
	void (*serve)(void *arg, const struct peer *p, int fd, bool datagram);
	/* Somebody wants what is not there. Both strings are borrowed. */
	void (*missed)(void *arg, const char *network, const char *address);
	/* Somebody dials, whether it is there or not. */
	void (*dialed)(void *arg, const char *network, const char *address);
	void *arg;
};

void peers_init(struct peers *p, struct ev_loop *loop);
/* Forgets all peers and names, and what waits for them is never answered. */
void peers_clear(struct peers *p);

/* A peer; one that was there at this address is replaced, and its ref is returned, else LUA_NOREF.
 * -ENOMEM. */
int peers_add(struct peers *p, const char *network, const char *address, enum peer_mode mode,
	int ref);
/* What @name resolves to: @n addresses, 0 for none. 0 or -ENOMEM. */
int peers_name(struct peers *p, const char *name, const struct addr *list, size_t n);

/* What @name, in normal form, resolves to: *@list, lent, and how many. -ENOENT: nobody said. */
int peers_addresses(struct peers *p, const char *name, const struct addr **list);

/* For stage.reach. */
int peers_reach(void *arg, const struct flow *f);

#endif
