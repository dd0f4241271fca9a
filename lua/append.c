/* SPDX-License-Identifier: MIT */
#include "lua/append.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>

#include "core/base.h"
#include "core/log.h"
#include "lua/failure.h"
#include "lua/loader.h"
#include "lua/text.h"
#include "lua/udata.h"

#define FILES_MAX 16            /* of a rule set */
#define WAITING_MAX (256 << 10) /* bytes that wait to be written, of each */
#define AGAIN_SECONDS .1        /* to a pipe that is full */

struct file {
	struct list link; /* ruleset.files */
	struct ruleset *rs;
	char *path;  /* owned */
	int fd;      /* owned; -1 before append_start() */
	char *bytes; /* owned: what waits */
	size_t len, cap;
	bool failed; /* told already; until one write goes well */
	struct deferred soon;
	ev_timer again;
};

static int file_gc(lua_State *L);
static int l_write(lua_State *L);

static const luaL_Reg methods[] = {{"write", l_write}, {NULL, NULL}};

static const struct udata_class file_class = {.name = "log file",
	.methods = {methods},
	.gc = file_gc};

/* Writes what waits, as far as the file takes it. */
static void file_flush(struct file *f)
{
	size_t done = 0;
	while (f->fd >= 0 && done < f->len) {
		ssize_t n = write(f->fd, f->bytes + done, f->len - done);
		if (n >= 0) {
			done += (size_t)n;
			f->failed = false;
		} else if (errno == EAGAIN) {
			break;
		} else if (errno != EINTR) {
			if (!f->failed)
				log_error("%s: %s; its lines are lost until that is mended",
					f->path, strerror(errno));
			f->failed = true;
			done = f->len;
		}
	}
	if (done)
		memmove(f->bytes, f->bytes + done, f->len - done);
	f->len -= done;
}

static void file_later(struct file *f)
{
	if (f->len && f->fd >= 0) {
		ev_timer_set(&f->again, AGAIN_SECONDS, 0.);
		ev_timer_start(f->rs->vm.loop, &f->again);
	}
}

static void file_on_soon(struct deferred *d)
{
	struct file *f = container_of(d, struct file, soon);
	file_flush(f);
	file_later(f);
}

static void file_on_again(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	struct file *f = container_of(w, struct file, again);
	file_flush(f);
	file_later(f);
}

static int file_gc(lua_State *L)
{
	struct file *f = lua_touserdata(L, 1);
	if (!f->rs)
		return 0;
	vm_undefer(&f->soon);
	ev_timer_stop(f->rs->vm.loop, &f->again);
	if (f->len && f->fd >= 0)
		file_flush(f);
	if (f->fd >= 0)
		close(f->fd);
	list_del(&f->link);
	f->rs->file_count--;
	f->rs = NULL;
	free(f->path);
	free(f->bytes);
	return 0;
}

/* f:write(line): true; or nil, a message, "limit": what waits is too much already. */
static int l_write(lua_State *L)
{
	struct file *f = udata_check(L, 1, &file_class, "write");
	size_t len;
	const char *line = luaL_checklstring(L, 2, &len);
	if (f->rs->world) { /* nothing is real */
		lua_pushboolean(L, true);
		return 1;
	}
	if (f->len + len + 1 > WAITING_MAX && f->fd >= 0)
		file_flush(f);
	if (f->len + len + 1 > f->cap) {
		size_t cap = MIN(MAX(f->cap * 2, f->len + len + 1), (size_t)WAITING_MAX);
		char *bytes = f->len + len + 1 > cap ? NULL : realloc(f->bytes, cap);
		if (!bytes)
			return failure_push(L, FAILURE_LIMIT, "too much waits to be written");
		f->bytes = bytes;
		f->cap = cap;
	}
	memcpy(f->bytes + f->len, line, len);
	f->len += len;
	f->bytes[f->len++] = '\n';
	if (!ev_is_active(&f->again))
		vm_defer(&f->rs->vm, &f->soon);
	lua_pushboolean(L, true);
	return 1;
}

static int l_append(lua_State *L)
{
	struct ruleset *rs = ruleset_of(L);
	size_t len;
	const char *path = luaL_checklstring(L, 1, &len);
	if (!rs->loading)
		return luaL_error(L,
			"nsnet.append must be called while the script loads, not from "
			"a hook; keep what it returns");
	if (!len || strlen(path) != len)
		return luaL_error(L, "nsnet.append takes the path of a file");
	if (lua_gettop(L) > 1)
		return luaL_error(L,
			"nsnet.append takes a path alone; what it returns has write(line)");
	if (rs->file_count >= FILES_MAX)
		return luaL_error(L, "nsnet.append: more than %d files", FILES_MAX);
	struct file *f = udata_new(L, &file_class, sizeof(*f));
	f->fd = -1;
	f->path = strdup(path);
	if (!f->path)
		return luaL_error(L, "not enough memory");
	loader_tell(L, path, true);
	f->soon.run = file_on_soon;
	ev_init(&f->again, file_on_again);
	f->rs = rs;
	list_init(&f->link);
	list_add_tail(&rs->files, &f->link);
	rs->file_count++;
	return 1;
}

static int file_start(struct file *f)
{
	struct stat st;
	const char *why = NULL;
	int fd = open(f->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		0600);
	if (fd == -1 || fstat(fd, &st) == -1)
		why = errno == ENXIO ? "nobody reads this pipe"
				     : loader_strerror(f->path, true, errno);
	else if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
		why = "neither a file nor a pipe";
	if (why) {
		log_error("nsnet.append: %s: %s", f->path, why);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	f->fd = fd;
	if (f->len)
		vm_defer(&f->rs->vm, &f->soon);
	return 0;
}

int append_start(struct ruleset *rs)
{
	struct list *e, *tmp;
	list_foreach (e, tmp, &rs->files) {
		struct file *f = container_of(e, struct file, link);
		if (!rs->world && f->fd < 0 && file_start(f))
			return -1;
	}
	return 0;
}

void append_open(lua_State *L)
{
	udata_class(L, &file_class);
	lua_pushcfunction(L, l_append);
	lua_setfield(L, -2, "append");
}
