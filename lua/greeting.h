/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_GREETING_H
#define NSNET_LUA_GREETING_H

#include <lua.h>

#include "lua/connection.h"

/* greeting - on_first_bytes: what the child says first is shown to scripts before any of it
 * leaves. The connection stands already, so a verdict can only let it live or reset it.
 *
 * A handler may ask for more with conn:peek(n); as long as it waits for nothing else, the core
 * comes back with more bytes.
 */

/* hooks.first_bytes for @c. */
enum verdict greeting_ask(struct connection *c, const void *bytes, size_t n, bool more,
	struct decision *d);

/* The method conn:peek([n]). */
int greeting_peek(lua_State *L);

#endif
