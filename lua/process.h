/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_PROCESS_H
#define NSNET_LUA_PROCESS_H

#include <lua.h>
#include <stdbool.h>

#include "core/process.h"

/* process - what scripts see of whoever in the command made a connection: conn.process. */

/* Pushes a table: pid, name, exe, cwd, argv, parents; nil for NULL. May raise for memory. */
void process_push(lua_State *L, const struct process *p);

/* True if @p is meant by @text: a path is its executable's, anything else its short name. */
bool process_is(const struct process *p, const char *text);

#endif
