/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_FAILURE_H
#define NSNET_LUA_FAILURE_H

#include <lua.h>

/* failure - how API functions fail: nil, a message for people, and a code for scripts, one of this
 * fixed list. Misuse raises instead; the two are never mixed.
 */
enum failure {
	FAILURE_TIMEOUT,
	FAILURE_CLOSED,
	FAILURE_REFUSED,
	FAILURE_UNREACHABLE,
	FAILURE_RESET,
	FAILURE_RESOLVE,
	FAILURE_DENIED,
	FAILURE_BUSY,
	FAILURE_LIMIT,
	FAILURE_CANCELLED,
	FAILURE_PROTO,
};

const char *failure_code(enum failure f);

/* Pushes nil, @text (NULL = the code itself) and the code; returns 3. Raises for memory. */
int failure_push(lua_State *L, enum failure f, const char *text);

/* The kind of a positive errno. */
enum failure failure_of_errno(int err);
/* What a child's connect() shall fail with (positive errno) for the code at @i of a dialer's
 * answer; ECONNREFUSED for none or an unknown one. Does not raise. */
int failure_to_errno(lua_State *L, int i);

#endif
