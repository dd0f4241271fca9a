/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_SORT_H
#define NSNET_LUA_SORT_H

#include <lua.h>

/* sort - table.sort that a CPU budget can stop. The stock one is a quicksort: some orders of some
 * ten thousand numbers keep it busy for many seconds, in one call that no hook interrupts. This is
 * a merge sort: never more than n log n comparisons, equal elements keep their order, and the table
 * is only written to at the end, so that an error leaves it as it was.
 */

/* Sets "sort" in the table on top. Raises for memory. */
void sort_open(lua_State *L);

#endif
