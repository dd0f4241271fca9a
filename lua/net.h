/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_NET_H
#define NSNET_LUA_NET_H

#include <lua.h>

/* net - nsnet.dial and nsnet.resolve: scripts reach the network of the host itself, past all rules
 * (they are the rules).
 */

/* Sets dial and resolve in the table on top. Raises for memory. */
void net_open(lua_State *L);

#endif
