/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_FAULT_H
#define NSNET_LUA_FAULT_H

#include <lua.h>

#include "core/flow.h"
#include "lua/report.h"

/* fault - tells of what made a script's code fail: where, what, for whom, and with -v by which way.
 */
struct fault {
	lua_State *L;        /* of the state, not in use */
	lua_State *co;       /* where it happened */
	const char *where;   /* "file:line" of what @co began with, or NULL */
	const char *what;    /* "on_connect": static */
	const char *message; /* NULL: the error value is on top of @co */
	const struct flow *flow;
};

/* An error value with __tostring is asked for its text, for FAULT_MS of CPU time at most. Never
 * raises. Outside of budget_enter() and budget_leave(). */
#define FAULT_MS 2
void fault_report(const struct fault *f, struct report *report);

/* "in on_connect, tcp 10.0.0.1:40000 -> 192.0.2.1:80"; @f may be NULL. */
#define FAULT_CONTEXT_MAX (FLOW_TEXT_MAX + 64)
const char *fault_context(const char *what, const struct flow *f, char *text);

#endif
