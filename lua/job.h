/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_JOB_H
#define NSNET_LUA_JOB_H

#include <lua.h>

#include "lua/ruleset.h"

/* job - work of a script that serves no connection: nsnet.spawn, nsnet.after, nsnet.every; and
 * nsnet.sleep. A job belongs to its rule set and ends with it.
 */

/* Makes the class known and sets the functions in the table on top. Raises for memory. */
void job_open(lua_State *L);

/* The rule set is out of use: cancels every job. Not from inside Lua. */
void job_cancel_all(struct ruleset *rs);

#endif
