/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_LIMIT_H
#define NSNET_LUA_LIMIT_H

#include <lua.h>

/* limit - conn:limit and nsnet.bucket: numbers for the relay, set before it runs; no Lua is on the
 * way of the bytes.
 */

/* Makes the class known and sets bucket in the table on top. Raises for memory. */
void limit_open(lua_State *L);

/* The method conn:limit{ ... }. */
int limit_conn(lua_State *L);

#endif
