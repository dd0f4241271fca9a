/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_ARGS_H
#define NSNET_LUA_ARGS_H

#include <lua.h>
#include <stdbool.h>

/* args - reading the trailing table of an API function. A key that is not known raises: a
 * misspelt one must never mean "everything". All of these raise, with @what or the key named.
 */
void args_keys(lua_State *L, int table, const char *const *keys, const char *what);

bool args_bool(lua_State *L, int table, const char *key, bool otherwise);
/* Seconds: 0 < value < 1e6. */
double args_seconds(lua_State *L, int table, const char *key, double otherwise);

/* Raises unless the argument at @i is of @type. luaL_checktype() would call a function whose result
 * is returned at once "?", and count its object as an argument. */
void args_type(lua_State *L, int i, int type, const char *what);

/* The length of the list at @i. Raises if it has holes, or keys that are no places of a list:
 * what stands there must not be left out in silence. */
int args_length(lua_State *L, int i, const char *what);

/* Reads one value at @i into @arg. */
typedef void args_fn(lua_State *L, int i, void *arg);

/* Calls @each for the value at @i, or for each element if it is a list. An empty one raises: it
 * would match nothing. */
void args_each(lua_State *L, int i, const char *key, args_fn *each, void *arg);

/* The index of the string at @i in @names. */
int args_enum(lua_State *L, int i, const char *key, const char *const *names);

#endif
