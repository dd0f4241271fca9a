/* SPDX-License-Identifier: MIT */
#ifndef NSNET_MODULES_H
#define NSNET_MODULES_H

#include <stddef.h>

/* modules - the Lua library, each .lua file of lua/nsnet/, inside the program.
 *
 * lua/embed.lua writes the table at build time: lua/nsnet/init.lua is "nsnet", lua/nsnet/a.lua is
 * "nsnet.a". It ends with an entry whose name is NULL.
 */

struct lua_module {
	const char *name; /* as require() takes it */
	const char *text; /* the source, ended by a NUL that len does not count */
	size_t len;
};

extern const struct lua_module lua_modules[];

#endif
