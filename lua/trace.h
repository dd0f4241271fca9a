/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_TRACE_H
#define NSNET_LUA_TRACE_H

#include "core/flow.h"
#include "lua/ruleset.h"

/* trace - watches how a chain comes to its verdict: who was asked, in which order, and what each
 * one said. For explain and for tests; ordinary rule sets have none.
 */
struct rule;

enum trace_event {
	TRACE_SKIPPED, /* its conditions do not hold: not asked */
	TRACE_LATER,   /* only the first bytes can tell whether they hold */
	TRACE_SILENT,  /* asked, no opinion */
	TRACE_VERDICT, /* asked, and this is the verdict */
	TRACE_FAILED,  /* asked, and it went wrong, which is a verdict, too */
};

struct trace {
	/* Called from inside the chain, which it must not touch. @r is NULL for a handler, and for
	 * a block of rules as a whole; @v and @d (borrowed) say something for VERDICT and
	 * FAILED. */
	void (*fn)(void *arg, const struct flow *f, const struct handler *h, const struct rule *r,
		enum trace_event e, enum verdict v, const struct decision *d);
	void *arg;
};

#endif
