/* SPDX-License-Identifier: MIT */
#include "lua/sort.h"

#include <lauxlib.h>

#include "core/base.h"
#include "lua/budget.h"

#define LOOK_EVERY 1024 /* elements moved between two looks at the budget */

enum {
	TABLE = 1, /* the argument */
	LESS = 2,  /* the function or nil */
	FROM,
	TO
};

/* True if the value on top is less than the one below it. */
static bool is_less(lua_State *L)
{
	if (lua_isnil(L, LESS))
		return lua_lessthan(L, -1, -2);
	lua_pushvalue(L, LESS);
	lua_pushvalue(L, -2);
	lua_pushvalue(L, -4);
	lua_call(L, 2, 1);
	bool less = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return less;
}

static void look(lua_State *L, int moved)
{
	if (moved % LOOK_EVERY == 0 && budget_spent())
		luaL_error(L, "table.sort: the CPU budget is spent");
}

/* Merges @from's [low, mid) and [mid, high), both sorted, into @to. */
static void merge(lua_State *L, int from, int to, int low, int mid, int high)
{
	int a = low, b = mid;
	for (int i = low; i < high; i++) {
		bool second = a == mid;
		if (a < mid && b < high) {
			lua_rawgeti(L, from, a);
			lua_rawgeti(L, from, b);
			second = is_less(L);
			lua_pop(L, 2);
		}
		lua_rawgeti(L, from, second ? b++ : a++);
		lua_rawseti(L, to, i);
		look(L, i);
	}
}

/* Copies the first @n elements. */
static void copy(lua_State *L, int from, int to, int n)
{
	for (int i = 1; i <= n; i++) {
		lua_rawgeti(L, from, i);
		lua_rawseti(L, to, i);
		look(L, i);
	}
}

/* table.sort(list[, less]) */
static int l_sort(lua_State *L)
{
	luaL_checktype(L, TABLE, LUA_TTABLE);
	if (!lua_isnoneornil(L, LESS))
		luaL_checktype(L, LESS, LUA_TFUNCTION);
	lua_settop(L, LESS);
	int n = (int)lua_objlen(L, TABLE);
	if (n < 2)
		return 0;
	lua_createtable(L, n, 0);
	lua_createtable(L, n, 0);
	int from = FROM, to = TO;
	copy(L, TABLE, from, n);
	for (size_t width = 1; width < (size_t)n; width *= 2) {
		for (size_t low = 1; low <= (size_t)n; low += 2 * width)
			merge(L, from, to, (int)low, (int)MIN(low + width, (size_t)n + 1),
				(int)MIN(low + 2 * width, (size_t)n + 1));
		int last = from;
		from = to;
		to = last;
	}
	copy(L, from, TABLE, n);
	return 0;
}

void sort_open(lua_State *L)
{
	lua_pushcfunction(L, l_sort);
	lua_setfield(L, -2, "sort");
}
