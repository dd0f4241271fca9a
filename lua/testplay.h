/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_TESTPLAY_H
#define NSNET_LUA_TESTPLAY_H

#include <lua.h>

#include "lua/tester.h"

/* testplay - what a test does with whole rule sets: native.open, start, exit, reload, tally,
 * errors.
 */

/* Sets them in the table on top. Raises for memory. */
void testplay_open(lua_State *L);

/* Ends a rule set and its flows; its coverage is reported. From the loop. */
void testplay_free(struct play *p);

#endif
