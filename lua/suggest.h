/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_SUGGEST_H
#define NSNET_LUA_SUGGEST_H

#include <lua.h>

/* suggest - "; did you mean 'on_connect'?" for the end of a message about a name that there is not.
 *
 * Pushes that, of the keys of the table at @known (raw) the nearest to @word, or "" where none is
 * near; returns it. Raises for memory. */
const char *suggest_push(lua_State *L, const char *word, int known);

#endif
