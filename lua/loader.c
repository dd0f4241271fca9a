/* SPDX-License-Identifier: MIT */
#include "lua/loader.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>

#include "core/base.h"
#include "core/nearest.h"
#include "lua/modules.h"
#include "lua/sandbox.h"
#include "lua/udata.h"

#define FILE_MAX (64 << 20)

struct blob {
	char *bytes; /* malloc'd: file contents stay out of the Lua heap */
};

static int blob_gc(lua_State *L)
{
	struct blob *b = lua_touserdata(L, 1);
	free(b->bytes);
	b->bytes = NULL;
	return 0;
}

static const struct udata_class blob_class = {.name = "file", .gc = blob_gc};

void loader_open(lua_State *L)
{
	udata_class(L, &blob_class);
}

/* All of @fd, NUL-ended, malloc'd; NULL with errno set. */
static char *read_all(int fd, size_t *len)
{
	char *bytes = NULL;
	size_t n = 0, cap = 0;
	for (;;) {
		if (cap - n < 2) {
			cap = cap ? cap * 2 : 16384;
			char *p = cap > 2 * (size_t)FILE_MAX ? NULL : realloc(bytes, cap);
			if (!p) {
				free(bytes);
				errno = cap > 2 * (size_t)FILE_MAX ? EFBIG : ENOMEM;
				return NULL;
			}
			bytes = p;
		}
		ssize_t got = read(fd, bytes + n, cap - n - 1);
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1) {
			free(bytes);
			return NULL;
		}
		if (!got)
			break;
		n += (size_t)got;
	}
	if (n > FILE_MAX) {
		free(bytes);
		errno = EFBIG;
		return NULL;
	}
	bytes[n] = 0;
	*len = n;
	return bytes;
}

static char witness_key; /* its address is the key in the registry */

void loader_set_witness(lua_State *L, const struct loader_witness *w)
{
	lua_pushlightuserdata(L, &witness_key);
	lua_pushlightuserdata(L, (void *)w);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

static const struct loader_witness *witness(lua_State *L)
{
	lua_pushlightuserdata(L, &witness_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
	const struct loader_witness *w = lua_touserdata(L, -1);
	lua_pop(L, 1);
	return w;
}

void loader_tell(lua_State *L, const char *path, bool writes)
{
	const struct loader_witness *w = witness(L);
	if (w && w->opened)
		w->opened(w->arg, path, writes);
}

/* By its owner and mode, which is not what the cage (core/cage.h) asks. */
static bool is_permitted(const char *path, bool writes)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	if (access(path, writes ? W_OK : R_OK) == 0)
		return true;
	if (!writes || errno != ENOENT)
		return false;
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	return access(*dir ? dir : "/", W_OK) == 0;
}

const char *loader_strerror(const char *path, bool writes, int err)
{
	if (err == ESPIPE)
		return "no regular file: it can only be read at the start; keep it in a file";
	if (err == EACCES && is_permitted(path, writes))
		return "Permission denied: once the command runs, only the directories of files "
		       "that were opened before are open; start again";
	return strerror(err);
}

/* Opens @path for reading; if @regular, nothing that may have to be waited for. */
static int open_file(const char *path, bool regular)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | (regular ? O_NONBLOCK : 0));
	if (fd == -1 || !regular || fstat(fd, &st) == -1 || S_ISREG(st.st_mode) ||
		S_ISDIR(st.st_mode))
		return fd;
	close(fd);
	errno = ESPIPE;
	return -1;
}

char *loader_push_file(lua_State *L, const char *path, size_t *len)
{
	struct blob *b = udata_new(L, &blob_class, sizeof(*b));
	const struct loader_witness *w = witness(L);
	int fd = open_file(path, w && w->running);
	if (fd != -1) {
		b->bytes = read_all(fd, len);
		int err = errno;
		close(fd);
		errno = err;
	}
	if (!b->bytes) {
		lua_pop(L, 1);
		return NULL;
	}
	loader_tell(L, path, false);
	return b->bytes;
}

/* Pushes the directory of the code at @level with a slash at its end, or "". */
static void push_directory(lua_State *L, int level)
{
	lua_Debug ar;
	const char *slash = NULL;
	if (lua_getstack(L, level, &ar) && lua_getinfo(L, "S", &ar) && ar.source[0] == '@')
		slash = strrchr(ar.source, '/');
	if (slash)
		lua_pushlstring(L, ar.source + 1, (size_t)(slash - ar.source));
	else
		lua_pushliteral(L, "");
}

const char *loader_push_path(lua_State *L, int i)
{
	const char *path = lua_tostring(L, i);
	if (path[0] == '/') {
		lua_pushvalue(L, i);
	} else {
		push_directory(L, 1);
		lua_pushstring(L, path);
		lua_concat(L, 2);
	}
	return lua_tostring(L, -1);
}

const char *loader_distrust(const char *path)
{
	struct stat st;
	if (stat(path, &st) == -1 || !S_ISREG(st.st_mode))
		return NULL;
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return "belongs to another user";
	if (st.st_mode & S_IWOTH)
		return "is writable by everybody";
	/* A group of one's own is the usual umask 002; any other may hold other people. */
	if ((st.st_mode & S_IWGRP) && st.st_gid != getegid() && st.st_gid != 0)
		return "is writable by a group that is not yours";
	return NULL;
}

static bool module_name_ok(const char *name)
{
	for (const char *p = name; *p; p++) {
		bool word = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			(*p >= '0' && *p <= '9') || *p == '_' || *p == '-';
		if (!word && (*p != '.' || p == name || p[1] == '.' || !p[1]))
			return false;
	}
	return *name;
}

/* Tries @path: pushes the module's function and its path and returns 2; returns 0 with words
 * pushed if there is no such file. Raises if it is one that does not compile. */
static int try_file(lua_State *L, const char *path)
{
	size_t len;
	char *text = loader_push_file(L, path, &len);
	if (!text) {
		lua_pushfstring(L, " no %s (%s);", path, loader_strerror(path, false, errno));
		return 0;
	}
	const char *why = loader_distrust(path);
	if (why) {
		/* Told with the place of who requires it, which is not this function's caller. */
		lua_pushfstring(L, "require: %s %s; change its owner or mode", path, why);
		lua_error(L);
	}
	lua_pushfstring(L, "@%s", path);
	if (sandbox_compile(L, text, len, lua_tostring(L, -1)))
		lua_error(L);
	lua_pushstring(L, path);
	return 2;
}

static int try_built_in(lua_State *L, const char *name)
{
	struct nearest near = nearest_to(name);
	for (const struct lua_module *m = lua_modules; m->name; m++) {
		if (!strcmp(m->name, "nsnet.boot"))
			continue;
		nearest_try(&near, m->name);
		if (strcmp(m->name, name) != 0)
			continue;
		lua_pushfstring(L, "=%s", name);
		if (sandbox_compile(L, m->text, m->len, lua_tostring(L, -1)))
			lua_error(L);
		lua_pushfstring(L, "built-in %s", name);
		return 2;
	}
	lua_pushfstring(L, " no built-in module %s%s%s%s", name,
		near.best ? "; did you mean '" : "", near.best ? near.best : "",
		near.best ? "'?" : "");
	return 0;
}

int loader_find(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	if (!module_name_ok(name)) {
		lua_pushnil(L);
		lua_pushliteral(L, " it is no module name; use a.b for a/b.lua");
		return 2;
	}
	const char *file = luaL_gsub(L, name, ".", "/");
	const char *override = getenv("NSNET_LUA_PATH");
	const char *config = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	lua_pushliteral(L, ""); /* grows by what was tried */
	int tried = lua_gettop(L);
	for (int place = 0; place < 4; place++) {
		if (place == 0) {
			/* Level 0 is this function, 1 is require, 2 is who calls it. */
			push_directory(L, 2);
			lua_pushfstring(L, "%s%s.lua", lua_tostring(L, -1), file);
		} else if (place == 1 && config) {
			lua_pushfstring(L, "%s/nsnet/lua/%s.lua", config, file);
		} else if (place == 1 && home) {
			lua_pushfstring(L, "%s/.config/nsnet/lua/%s.lua", home, file);
		} else if (place == 2 && override) {
			lua_pushfstring(L, "%s/%s.lua", override, file);
		} else if (place < 3) {
			continue;
		}
		int n = place == 3 ? try_built_in(L, name) : try_file(L, lua_tostring(L, -1));
		if (n)
			return n;
		lua_pushvalue(L, tried);
		lua_insert(L, -2);
		lua_concat(L, 2);
		lua_replace(L, tried);
	}
	lua_pushnil(L);
	lua_pushvalue(L, tried);
	return 2;
}
