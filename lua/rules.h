/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_RULES_H
#define NSNET_LUA_RULES_H

#include <ev.h>
#include <lua.h>
#include <stdint.h>

#include "lua/filter.h"
#include "lua/verdict.h"

/* rules - a block of nsnet.rules{...}, compiled: conditions and a verdict each, first match wins.
 */
struct rule {
	const struct filter *filter; /* kept by the block's environment */
	struct verdict_value verdict;
	const char *reason; /* lent by the verdict, which the environment keeps; or NULL */
	int dialer_ref;     /* registry: the function of VIA, or LUA_NOREF */
	int when_ref;       /* registry: a last condition in Lua, or LUA_NOREF */
	int number;         /* 1, 2, ... in its block */
	const char *label;  /* "github (rules.lua:8)"; lent by the environment */
	const char *where;  /* "rules.lua:8", its own line; or "rules.lua:3 #5", the fifth of the
				block there: lent likewise */
	uint64_t hits;
	ev_tstamp last_hit;
};

struct rules {
	struct rule *rule; /* owned */
	size_t len;
};

/* Makes the class known. Raises for memory. */
void rules_open(lua_State *L);

/* Compiles the list at @i; pushes the object that owns the block. Raises with what is wrong. */
struct rules *rules_read(lua_State *L, int i);

/* The first rule at or after @from whose conditions (but @when) hold or may hold, or NULL. *@answer
 * says which of both. */
struct rule *rules_find(const struct rules *rs, size_t from, const struct facts *facts,
	enum filter_answer *answer, bool *named);

/* True if the rule's verdict ends the flow. */
static inline bool rule_closes(const struct rule *r)
{
	return r->verdict.verdict == VERDICT_DENY || r->verdict.verdict == VERDICT_DROP;
}

/* True if the rule sends a name's TCP through a proxy and does not say what is to become of the
 * rest, @facts, which goes past no proxy then: it is to be denied. */
static inline bool rule_strands(const struct rule *r, const struct facts *facts)
{
	return r->verdict.verdict == VERDICT_VIA && facts->network != FILTER_TCP &&
		!r->filter->has_network && filter_has_names(r->filter);
}

#endif
