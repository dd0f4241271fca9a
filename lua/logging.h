/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_LOGGING_H
#define NSNET_LUA_LOGGING_H

#include <lua.h>

/* logging - nsnet.log: a script's own lines on standard error. */

/* Adds "log" to the table on top. Raises for memory. */
void logging_open(lua_State *L);

#endif
