/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_SETS_H
#define NSNET_LUA_SETS_H

#include <lua.h>

#include "lua/match.h"

/* sets - nsnet.cidrs{...} and nsnet.domains{...}: large lists kept in C, out of the
 * collector's way.
 *
 * Each takes a list, or the name of a file with one entry a line ('#' begins a comment), relative
 * to the script's directory.
 */

/* Makes the classes known and sets cidrs and domains in the table on top. Raises for memory. */
void sets_open(lua_State *L);

/* The set at @i, or NULL. Do not raise. Borrowed while the object lives. */
const struct cidr_set *sets_test_cidrs(lua_State *L, int i);
const struct name_set *sets_test_names(lua_State *L, int i);

#endif
