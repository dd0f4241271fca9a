/* SPDX-License-Identifier: MIT */
#include "lua/udata.h"

#include <stdbool.h>
#include <string.h>

#include "core/base.h"
#include "lua/suggest.h"
#include "lua/text.h"

/* The metatable is found in the registry under the address of the class: no string is made, so
 * that a test cannot raise. __index looks the key up in one table: a number is the id of a
 * field, a function is a method. */

static const struct udata_class *upvalue_class(lua_State *L, int i)
{
	return lua_touserdata(L, lua_upvalueindex(i));
}

/* True, and its metatable is pushed, if the value at @i is a userdata with the one at @meta. */
static bool is_of(lua_State *L, int i, int meta)
{
	return lua_type(L, i) == LUA_TUSERDATA && lua_getmetatable(L, i) &&
		lua_rawequal(L, -1, meta);
}

/* Upvalues: what it knows, the class, the metatable. */
static int udata_index(lua_State *L)
{
	const struct udata_class *c = upvalue_class(L, 2);
	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(1));
	if (lua_type(L, -1) == LUA_TFUNCTION)
		return 1;
	if (lua_type(L, -1) == LUA_TNUMBER && is_of(L, 1, lua_upvalueindex(3)))
		return c->field(L, lua_touserdata(L, 1), (int)lua_tointeger(L, -2));
	text_push(L, 2);
	const char *key = lua_tostring(L, -1);
	return luaL_error(L, "%s has no field '%s'%s", c->name, key,
		suggest_push(L, key, lua_upvalueindex(1)));
}

static int udata_newindex(lua_State *L)
{
	const struct udata_class *c = upvalue_class(L, 1);
	text_push(L, 2);
	return luaL_error(L, "%s.%s cannot be set%s%s", c->name, lua_tostring(L, -1),
		c->read_only ? "; " : "", c->read_only ? c->read_only : "");
}

static int udata_tostring(lua_State *L)
{
	const struct udata_class *c = upvalue_class(L, 1);
	lua_pushfstring(L, "%s: %p", c->name, lua_topointer(L, 1));
	return 1;
}

static void set_class_closure(lua_State *L, const struct udata_class *c, lua_CFunction fn,
	const char *event)
{
	lua_pushlightuserdata(L, (void *)c);
	lua_pushcclosure(L, fn, 1);
	lua_setfield(L, -2, event);
}

void udata_class(lua_State *L, const struct udata_class *c)
{
	lua_pushlightuserdata(L, (void *)c);
	lua_newtable(L); /* the metatable */
	lua_newtable(L); /* what __index knows */
	for (int i = 0; c->fields && c->fields[i]; i++) {
		lua_pushinteger(L, i);
		lua_setfield(L, -2, c->fields[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(c->methods) && c->methods[i]; i++)
		luaL_setfuncs(L, c->methods[i], 0);
	lua_pushlightuserdata(L, (void *)c);
	lua_pushvalue(L, -3);
	lua_pushcclosure(L, udata_index, 3);
	lua_setfield(L, -2, "__index");
	set_class_closure(L, c, udata_newindex, "__newindex");
	set_class_closure(L, c, c->tostring ? c->tostring : udata_tostring, "__tostring");
	lua_pushstring(L, c->name);
	lua_setfield(L, -2, "__metatable");
	if (c->gc) {
		lua_pushcfunction(L, c->gc);
		lua_setfield(L, -2, "__gc");
	}
	if (c->call) {
		lua_pushcfunction(L, c->call);
		lua_setfield(L, -2, "__call");
	}
	lua_rawset(L, LUA_REGISTRYINDEX);
}

void udata_extend(lua_State *L, const struct udata_class *c, const luaL_Reg *methods)
{
	lua_pushlightuserdata(L, (void *)c);
	lua_rawget(L, LUA_REGISTRYINDEX);
	lua_getfield(L, -1, "__index");
	lua_getupvalue(L, -1, 1);
	luaL_setfuncs(L, methods, 0);
	lua_pop(L, 3);
}

void *udata_new(lua_State *L, const struct udata_class *c, size_t size)
{
	void *p = lua_newuserdata(L, size);
	memset(p, 0, size);
	lua_pushlightuserdata(L, (void *)c);
	lua_rawget(L, LUA_REGISTRYINDEX);
	lua_setmetatable(L, -2);
	return p;
}

void *udata_test(lua_State *L, int i, const struct udata_class *c)
{
	void *p = lua_touserdata(L, i);
	if (!p || lua_type(L, i) != LUA_TUSERDATA || !lua_getmetatable(L, i))
		return NULL;
	lua_pushlightuserdata(L, (void *)c);
	lua_rawget(L, LUA_REGISTRYINDEX);
	if (!lua_rawequal(L, -1, -2))
		p = NULL;
	lua_pop(L, 2);
	return p;
}

void *udata_check(lua_State *L, int i, const struct udata_class *c, const char *verb)
{
	void *p = udata_test(L, i, c);
	char kind[TEXT_KIND_MAX];
	if (p)
		return p;
	if (i == 1)
		luaL_error(L, "%s.%s was called on %s; use %s:%s(...), with a colon", c->name, verb,
			text_kind(L, i, kind), c->name, verb);
	luaL_error(L, "%s: argument %d must be a %s, not %s", verb, i, c->name,
		text_kind(L, i, kind));
	return NULL;
}
