/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_LOADER_H
#define NSNET_LUA_LOADER_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* loader - from files to functions: scripts, modules for require, lists. Source text only. */

/* Makes the class of file contents known. Raises for memory. */
void loader_open(lua_State *L);

/* Pushes the path at @i as seen from the directory of the script that is running. Raises
 * for memory. Returns it, lent by the stack. */
const char *loader_push_path(lua_State *L, int i);

/* Pushes an object that owns the contents of the file @path and returns them: @len bytes and a
 * NUL, which the caller may change. NULL with errno set, nothing pushed: cannot be read, no
 * file (EISDIR), larger than 64 MiB (EFBIG), a pipe or device in a running program
 * (ESPIPE). Raises for memory. */
char *loader_push_file(lua_State *L, const char *path, size_t *len);

/* What loader_push_file() says of @path with errno @err; @writes: what open() says of a file that
 * lines are to be added to. */
const char *loader_strerror(const char *path, bool writes, int err);

/* Told of each file that scripts have read, or will write to: @path as it is opened. */
struct loader_witness {
	void (*opened)(void *arg, const char *path, bool writes); /* NULL: nobody cares */
	void *arg;
	/* The loop runs, which must not wait for whoever writes to a pipe; one that was read at the
	 * start has nothing more to say, and no rules must not take the place of its rules. */
	bool running;
};

/* Makes @w, borrowed for @L's life, the witness. Raises for memory. */
void loader_set_witness(lua_State *L, const struct loader_witness *w);
void loader_tell(lua_State *L, const char *path, bool writes);

/* Why the script at @path should not be run: writable by others, or somebody else's. NULL if it
 * may. Pipes and other special files are the caller's business. */
const char *loader_distrust(const char *path);

/* The function find(name) of require: returns a compiled module and where it is, or nil and
 * where it was looked for. */
int loader_find(lua_State *L);

#endif
