/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_PERSIST_H
#define NSNET_LUA_PERSIST_H

#include <lua.h>

#include "lua/ruleset.h"

/* persist - what a rule set leaves to the one that replaces it: plain data, carried over as JSON.
 */
#define PERSIST_MAX (1 << 20) /* bytes of JSON, of all together */

/* Sets nsnet.persist, and nsnet.restored from rs->restored, in the table on top. Raises. */
void persist_open(lua_State *L, struct ruleset *rs);

/* What @rs keeps, as it is now: malloc'd JSON, or NULL: nothing. A table that cannot be kept is
 * told and left out. Not from inside Lua. */
char *persist_save(struct ruleset *rs);

#endif
