/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_SANDBOX_H
#define NSNET_LUA_SANDBOX_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* sandbox - what a script finds in its world: the safe parts of the standard library, and globals
 * that must be known.
 *
 * Built up from nothing, not torn down: no ffi, jit, io, package, no os.execute, no bytecode, no
 * foreign finalizers, so nothing of them is left in a corner.
 */

/* Gives @L a fresh table of globals with the libraries. The raw coroutine functions stay on the
 * stack, one table, for the library's boot module. @env_allow names what os.getenv may
 * read, comma separated, or NULL for nothing; borrowed for the state's life. Raises. */
void sandbox_open(lua_State *L, const char *env_allow);

/* From now on an unknown global raises, whether read or written. Raises. */
void sandbox_seal(lua_State *L);

/* Compiles @len bytes of source text, never bytecode: pushes the function and returns 0, or
 * pushes the message and returns a Lua error number. Does not raise but for memory. */
int sandbox_compile(lua_State *L, const char *text, size_t len, const char *chunk);

/* True if a text that was compiled speaks of "process": then conn.process or process= may be used,
 * and the host has to be able to look at processes. */
bool sandbox_saw_process(lua_State *L);

#endif
