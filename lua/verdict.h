/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_VERDICT_H
#define NSNET_LUA_VERDICT_H

#include <lua.h>
#include <stdbool.h>

#include "core/flow.h"

/* verdict - the values that a script answers with: nsnet.allow, nsnet.deny "reason", ...
 *
 * Immutable; calling one gives a new one with a reason. Strings, booleans and numbers are no
 * verdicts: a typing mistake in one would allow or deny in silence.
 */
struct verdict_value {
	enum verdict verdict;
	enum deny_style style;
	bool named;         /* redirect to the host's own loopback was asked for in so many words */
	struct addr target; /* REDIRECT; port 0 = the port that the child wanted */
	unsigned answer;    /* of query:answer(): the number of that answer; else 0 */
};

/* Pushes @v as a value. Raises for memory. */
void verdict_push(lua_State *L, const struct verdict_value *v);

/* Sets allow, deny, drop, redirect and via in the table on top of @L. Raises for memory. */
void verdict_open(lua_State *L);

/* The verdict at @i, or NULL. Does not raise. */
const struct verdict_value *verdict_test(lua_State *L, int i);

/* Its reason, or NULL: lent while the verdict lives. Does not raise. */
const char *verdict_reason(lua_State *L, int i);

/* Pushes the dialer of a VIA verdict. Does not raise. */
void verdict_push_dialer(lua_State *L, int i);

/* "allow", "deny", ... */
const char *verdict_word(enum verdict v);

#endif
