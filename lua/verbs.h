/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_VERBS_H
#define NSNET_LUA_VERBS_H

#include <lua.h>

/* verbs - what scripts do to a connection at any time: methods of conn. */

/* conn:tag(text): raises if there is too much of it, or the connection has ended. */
int verbs_tag(lua_State *L);

/* conn:close([reason]): RST to both sides soon; nothing if it has ended. */
int verbs_close(lua_State *L);

#endif
