/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_STAGE_H
#define NSNET_LUA_STAGE_H

#include <ev.h>

#include "core/dname.h"
#include "core/flow.h"
#include "core/guard.h"
#include "core/policy.h"
#include "lua/api.h"
#include "lua/trace.h"
#include "lua/world.h"

/* stage - scripts with the real policy, but without a command and a network: where explain and the
 * tests let flows appear (trial.h).
 */

/* What a stage asks about its flows; trial.h has the one. */
struct stage_watch {
	const char *(*name_of)(const struct flow *f);
	void (*note)(const struct flow *f, const struct handler *h, const struct rule *r,
		enum trace_event e, enum verdict v, const struct decision *d);
};

struct stage_name {
	struct addr ip; /* canonical */
	char name[DNAME_MAX];
};

struct stage {
	struct ev_loop *loop; /* borrowed */
	struct guard guard;
	struct policy policy;
	struct flow_table flows;
	struct lua_host *host;
	const struct stage_watch *watch; /* static */
	struct trace trace;
	struct stage_name *name; /* owned: what the command was told of names */
	size_t names;
	uint16_t port; /* of the next flow's source */
	/* The destination of one that is dialed directly. Returns a socket (given
	 * away), -ENODATA for "there, but nobody plays it", or how connect() fails. */
	int (*reach)(void *arg, const struct flow *f);
	void *reach_arg;
	bool no_dial; /* nothing is dialed, not even by scripts' dialers: a verdict is enough */
	const struct world *world; /* borrowed; NULL = the real one */
};

/* @o: loop, env_allow, insecure_perms; the rest is set here. 0 or a negative errno; then there is
 * nothing to undo. Add scripts to s->host and call stage_load(). */
int stage_init(struct stage *s, const struct lua_options *o, const struct stage_watch *watch);
/* Every trial must have ended. */
void stage_fini(struct stage *s);

/* The command was told that @name has the address @ip: proof of domain=. 0; -EINVAL: no name;
 * -ENOMEM. */
int stage_learn(struct stage *s, const struct addr *ip, const char *name);

/* 0, or the exit status (66, 70) after a message. */
int stage_load(struct stage *s);
/* Loads again, as SIGHUP would; likewise. */
int stage_reload(struct stage *s);

#endif
