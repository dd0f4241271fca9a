/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_APPEND_H
#define NSNET_LUA_APPEND_H

#include <lua.h>

#include "lua/ruleset.h"

/* append - nsnet.append: files that scripts add lines to, and can do nothing else with.
 *
 * Lines are gathered and written from the loop. The files are opened when the rules come into
 * force, so that checking and testing scripts touches none.
 */

/* Makes the class known and sets nsnet.append in the table on top. Raises for memory. */
void append_open(lua_State *L);

/* Opens the files of @rs. 0, or -1 after one message. */
int append_start(struct ruleset *rs);

#endif
