/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_TEXT_H
#define NSNET_LUA_TEXT_H

#include <lua.h>
#include <stddef.h>

/* text - Lua values as text for people, and where in a script they come from. */

/* Pushes tostring(value at @i), honoring __tostring; always a string. Raises what it raises. */
void text_push(lua_State *L, int i);

/* "a string", "nil", "a verdict (nsnet.deny)": what the value at @i is, for messages, into
 * @text. Returns @text. Does not raise. */
#define TEXT_KIND_MAX 64
char *text_kind(lua_State *L, int i, char *text);

/* "rules.lua:12" of the function at @i (where it begins), or of the running code at stack
 * level @level, into @text. Returns @text. Does not raise. */
#define TEXT_WHERE_MAX (LUA_IDSIZE + 16)
char *text_function(lua_State *L, int i, char *text);
char *text_where(lua_State *L, int level, char *text);

#endif
