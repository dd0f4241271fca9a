/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_RULESET_H
#define NSNET_LUA_RULESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/list.h"
#include "core/policy.h"
#include "lua/filter.h"
#include "lua/lookup.h"
#include "lua/text.h"
#include "lua/vm.h"

/* ruleset - what one load of the scripts gave: a Lua state and the handlers in their order.
 *
 * Every flow stays with the rule set that was asked about it, and holds a reference; a reload
 * makes a new one beside it. The last reference frees the state.
 */
struct rules;
struct trace;
struct world;
struct dnsfilter;

struct handler {
	const struct filter *filter; /* kept by the registry; NULL = everything */
	const struct rules
		*rules; /* kept by the registry; a block of rules instead of a function */
	const struct dnsfilter *asks; /* kept by the registry; of on_dns; NULL = every question */
	int ref;                      /* the function */
	uint8_t networks;             /* which hooks it is for: FILTER_TCP for on_connect, ... */
	uint16_t answers;             /* verdicts it may give, bits of 1 << enum verdict */
	const char *advice;           /* what to return instead of anything else: static */
	const char *name;             /* "on_connect": static */
	char *where;                  /* owned: "rules.lua:12", the function's first line */
	uint64_t *hits; /* owned: how often it was called, or (rules) had the answer */
};

struct handlers {
	struct handler *v; /* owned; does not move after the load */
	size_t len, cap;
};

struct ruleset {
	struct vm vm; /* first: vm_of() leads here */
	unsigned refs;
	struct policy *policy;                                   /* borrowed */
	const char *(*name_of)(void *arg, const struct flow *f); /* NULL = names are not known */
	void *name_arg;
	filter_names_fn *names_of; /* proof of names; NULL = there is none */
	void *names_arg;
	bool has_process; /* some script may ask for processes */
	bool has_names;   /* some rule or filter has a condition on names */
	bool loading;     /* handlers may register */
	bool reloading;   /* nsnet.reloading */
	bool default_set, default_deny;
	char default_where[TEXT_WHERE_MAX];
	struct handlers guards, chain, dialers, greeters, data, packets, closers, starters, exits;
	struct lookup lookup;
	struct list connections; /* struct connection.link */
	struct list own;         /* streams of the tasks that serve no flow */
	struct list timers;      /* nsnet.after, nsnet.every, nsnet.spawn */
	struct list files;       /* nsnet.append */
	size_t stream_count, timer_count, spawn_count, file_count;
	const char *restored; /* lent while scripts load: JSON of what the last rule set kept */
	/* on_packet: one view used again and again, and what its errors lead to */
	void *view;
	int view_ref;
	ev_tstamp packet_errors_since;
	unsigned packet_errors;
	bool packets_broken;
	/* Of the tools; NULL in ordinary life. */
	const struct trace *trace; /* borrowed: watches the chain */
	const struct world *world; /* borrowed: stands for the network that scripts reach */
};

struct ruleset *ruleset_of(lua_State *L);

/* Adds a handler to @hs for the value at @fn of @L (its filter at @filter, 0 for none), which is
 * kept from now on. @where is its place, NULL for a function's own. Raises; then nothing
 * was added. */
struct handler *ruleset_add(lua_State *L, struct handlers *hs, int filter, int fn, const char *name,
	const char *where);

struct ruleset *ruleset_hold(struct ruleset *rs);
void ruleset_put(struct ruleset *rs); /* not from inside Lua */

#endif
