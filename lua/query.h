/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_QUERY_H
#define NSNET_LUA_QUERY_H

#include <ev.h>
#include <lua.h>

#include "core/dnsquery.h"
#include "lua/ruleset.h"

/* query - a DNS question of the command as scripts see it, from the first handler that looks at it
 * to the verdict. It is dnsquery->policy_data while a handler waits.
 *
 * The Lua object outlives it: its fields stay, its verbs raise then.
 */
struct query_object; /* the userdata */

struct query {
	struct ruleset *rs; /* held */
	struct dnsquery *q; /* lent until the verdict */
	struct query_object *object;
	int ref;                     /* registry reference of the object */
	struct task *task;           /* waits; NULL = none */
	ev_timer deadline;           /* of that */
	size_t next;                 /* the handler to ask next */
	const struct handler *asked; /* whose answer is awaited */
	unsigned spent;              /* ms of CPU time for it, in all entries */
	struct list streams;         /* struct stream.owner */
	/* query:answer(): the message, and the number that its verdict bears */
	uint8_t *answer; /* owned */
	size_t answer_len;
	unsigned answer_number;
};

/* Makes the class known. Raises for memory. */
void query_open(lua_State *L);

/* The query of @q, with its object, or NULL: no memory; reported. */
struct query *query_new(struct ruleset *rs, struct dnsquery *q);
/* Forgets what waits, and frees. */
void query_free(struct query *y);

/* Pushes the object. Does not raise. */
void query_push(lua_State *L, const struct query *y);

#endif
