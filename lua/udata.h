/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_UDATA_H
#define NSNET_LUA_UDATA_H

#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>

/* udata - C objects that scripts hold: fields by plain reads, verbs as methods, everything else a
 * named error.
 */
struct udata_class {
	const char *name;           /* "conn": as messages call it */
	const char *const *fields;  /* NULL-ended; the index is the id; NULL = none */
	const luaL_Reg *methods[4]; /* each NULL-ended; NULL = no more */
	int (*field)(lua_State *L, void *self, int id); /* pushes one value, returns 1 */
	lua_CFunction gc, tostring, call;               /* NULL = none */
	const char *read_only; /* remedy in the message when a field is written; NULL = none */
};

/* Makes the class known to @L. Once a state; raises for memory. */
void udata_class(lua_State *L, const struct udata_class *c);

/* Adds @methods (NULL-ended) to a class that is known. Raises for memory. */
void udata_extend(lua_State *L, const struct udata_class *c, const luaL_Reg *methods);

/* Pushes a zeroed object. */
void *udata_new(lua_State *L, const struct udata_class *c, size_t size);

/* The object at @i if it is of @c, else NULL. Does not raise. */
void *udata_test(lua_State *L, int i, const struct udata_class *c);

/* The object at @i, or raises: argument @i must be one; for @i = 1 the hint to use a colon. */
void *udata_check(lua_State *L, int i, const struct udata_class *c, const char *verb);

#endif
