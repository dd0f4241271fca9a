/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_STRINGS_H
#define NSNET_LUA_STRINGS_H

#include <lua.h>

/* strings - the functions of the string library that would let one call take for ever, in a form
 * that the CPU budget can end: find, match, gmatch, gsub, rep.
 */

/* Sets them in the table on top. Raises for memory. */
void strings_open(lua_State *L);

#endif
