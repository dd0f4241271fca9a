/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_JSON_H
#define NSNET_LUA_JSON_H

#include <lua.h>
#include <stddef.h>

/* json - nsnet.json: Lua values as JSON texts (RFC 8259) and back.
 */

/* Makes nsnet.json in the table on top. Once a state, after string and table are there; raises for
 * memory. */
void json_open(lua_State *L);

/* Pushes the value of the @len bytes at @text. NULL; or why not, at which byte (lent until the
 * next call), and nothing is pushed. Raises for memory. */
const char *json_push(lua_State *L, const char *text, size_t len);

/* Pushes the text of the value at @i. Raises if it has none. */
void json_push_text(lua_State *L, int i);

#endif
