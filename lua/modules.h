/* SPDX-License-Identifier: MIT */
#ifndef NSNET_MODULES_H
#define NSNET_MODULES_H

#include <stddef.h>

/* modules - the Lua library, each .lua file of lua/nsnet/, inside the program; and what editors are
 * told about it, the files of lua/editor/.
 *
 * lua/embed.lua writes both tables at build time: lua/nsnet/init.lua is "nsnet", lua/nsnet/a.lua is
 * "nsnet.a"; lua/editor/luarc.json is ".luarc.json", lua/editor/nsnet.d.lua "nsnet.d.lua". They end
 * with an entry whose name is NULL.
 */

struct lua_module {
	const char *name; /* as require() takes it; of a file for editors: where it is written */
	const char *text; /* the source, ended by a NUL that len does not count */
	size_t len;
};

extern const struct lua_module lua_modules[];
extern const struct lua_module lua_editor[];

#endif
