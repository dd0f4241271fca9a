/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_TESTFLOW_H
#define NSNET_LUA_TESTFLOW_H

#include <lua.h>

#include "lua/tester.h"

/* testflow - what a test does with flows: native.ask, say, hear, read, stop, info, packet.
 */

/* Sets them in the table on top. Raises for memory. */
void testflow_open(lua_State *L);

/* Ends and frees all flows of @p. From the loop. */
void testflow_end_all(struct play *p);

/* The rule set with the number at @i, or raises. */
struct play *testflow_play(lua_State *L, int i);

#endif
