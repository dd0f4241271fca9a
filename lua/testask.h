/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_TESTASK_H
#define NSNET_LUA_TESTASK_H

#include <lua.h>

#include "lua/tester.h"

/* testask - questions to the name server that a test lets the command ask: native.question.
 *
 * They are judged as in the program (core/dnsquery.h), and no name server is asked: what t.resolves
 * knows is its answer. Addresses that come out of it are proof of the name from then on.
 */

/* Sets it in the table on top. Raises for memory. */
void testask_open(lua_State *L);

/* Forgets the questions to @p that are under way. From the loop. */
void testask_end_all(struct play *p);

#endif
