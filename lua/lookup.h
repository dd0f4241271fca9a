/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_LOOKUP_H
#define NSNET_LUA_LOOKUP_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/addr.h"
#include "core/list.h"

/* lookup - names to addresses for scripts, by the host's own resolvers and /etc/hosts, without
 * blocking the loop. Made of c-ares; its channel is made anew when resolv.conf has changed.
 */
struct lookup_channel;

struct lookup {
	struct ev_loop *loop;
	struct lookup_channel *channel; /* the one that is asked; NULL before the first question */
	struct list channels;           /* owned: it, and replaced ones with answers to come */
};

struct lookup_query;

/* Called once, never from inside lookup_start(): @n addresses (borrowed; port 0), n > 0, or
 * @n = 0 and what went wrong. */
typedef void lookup_fn(void *arg, const struct addr *list, size_t n, const char *error);

/* All zeros but the loop is ready for use. */
void lookup_init(struct lookup *l, struct ev_loop *loop);
/* Every query must have ended or been cancelled. */
void lookup_fini(struct lookup *l);

/* Asks for @name: @family 0, 4 or 6. NULL: no memory, or no channel. The query is owned by the
 * lookup; it is gone when @fn is called. */
struct lookup_query *lookup_start(struct lookup *l, const char *name, int family, lookup_fn *fn,
	void *arg);
void lookup_cancel(struct lookup_query *q);

#endif
