/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_VIEW_H
#define NSNET_LUA_VIEW_H

#include <lua.h>
#include <stdbool.h>

#include "lua/ruleset.h"

/* view - a packet as scripts see it: `pkt`, one object used again and again, valid only while its
 * hook runs.
 */

/* Makes the class known and the rule set's one object. Raises for memory. */
void view_open(lua_State *L, struct ruleset *rs);

/* Asks the on_packet handlers. False: drop it. An error is a drop. */
bool view_ask(struct ruleset *rs, enum hook_dir dir, struct packet *p);

#endif
