/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_MODULE_H
#define NSNET_LUA_MODULE_H

#include <lua.h>

#include "lua/ruleset.h"

/* module - the table `nsnet`: registration, verdicts, log, and what other files add.
 */

/* Pushes the table, filled. Raises for memory. */
void module_open(lua_State *L, struct ruleset *rs);

#endif
