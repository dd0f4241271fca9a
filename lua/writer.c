/* SPDX-License-Identifier: MIT */
#include "lua/socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <lauxlib.h>

#include "core/base.h"
#include "lua/args.h"

/* No copy: what waits to be written counts as the script's memory. */
static void keep_bytes(lua_State *L, struct stream *s, const char *bytes)
{
	s->out_ref = luaL_ref(L, LUA_REGISTRYINDEX); /* pops it; strings do not move */
	s->out = bytes;
}

static void drop_bytes(struct stream *s)
{
	luaL_unref(s->vm->L, LUA_REGISTRYINDEX, s->out_ref);
	s->out_ref = LUA_NOREF;
	s->out = NULL;
}

static void write_cancel(void *arg)
{
	struct stream *s = arg;
	pending_stop(s, &s->wr);
	s->wr.task = NULL;
	drop_bytes(s);
	socket_unanchor(s);
	/* Half of a message may be out: nobody can go on with this. */
	socket_end(s, "stream is closed: a write was abandoned");
}

/* Sends what is left. True: all is out, or wr.failed; false: wait. */
static bool write_go(struct stream *s, const char *bytes)
{
	while (s->out_sent < s->out_len) {
		ssize_t n =
			send(s->fd, bytes + s->out_sent, s->out_len - s->out_sent, MSG_NOSIGNAL);
		if (n >= 0) {
			s->out_sent += (size_t)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			return false;
		} else if (errno != EINTR) {
			pending_fail(&s->wr, failure_of_errno(errno), errno);
			return true;
		}
	}
	return true;
}

static int write_push(lua_State *L, void *arg)
{
	struct stream *s = arg;
	char text[128];
	socket_hold(L, s);
	pending_stop(s, &s->wr);
	s->wr.task = NULL;
	socket_unanchor(s);
	drop_bytes(s);
	if (!s->wr.failed) {
		lua_pushboolean(L, true);
		return 1;
	}
	snprintf(text, sizeof(text), "%s: %zu of %zu bytes were sent",
		s->wr.error ? strerror(s->wr.error) : failure_code(s->wr.failure), s->out_sent,
		s->out_len);
	socket_end(s, "stream is closed: a write failed");
	return failure_push(L, s->wr.failure, text);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	struct stream *s = container_of(w, struct stream, wr.io);
	if (write_go(s, s->out))
		pending_end(s, &s->wr, write_push);
}

static void on_write_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	struct stream *s = container_of(w, struct stream, wr.timer);
	pending_fail(&s->wr, FAILURE_TIMEOUT, 0);
	pending_end(s, &s->wr, write_push);
}

/* Pushes the bytes to write: a string, or a list of strings put together. */
static const char *push_bytes(lua_State *L, size_t *len)
{
	if (lua_type(L, 2) == LUA_TSTRING) {
		lua_pushvalue(L, 2);
		return lua_tolstring(L, -1, len);
	}
	luaL_checktype(L, 2, LUA_TTABLE);
	luaL_Buffer b;
	luaL_buffinit(L, &b);
	int n = args_length(L, 2, "stream:write: the argument");
	for (int i = 1; i <= n; i++) {
		lua_rawgeti(L, 2, i);
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "stream:write: element %d is no string", i);
		luaL_addvalue(&b);
	}
	luaL_pushresult(&b);
	return lua_tolstring(L, -1, len);
}

static int l_write(lua_State *L)
{
	struct stream *s = socket_check(L, "write");
	struct task *t = vm_blocker(L, "stream:write");
	size_t len;
	const char *bytes = push_bytes(L, &len);
	if (s->wr.task)
		return failure_push(L, FAILURE_BUSY, "another coroutine is writing to this stream");
	s->out_len = len;
	s->out_sent = 0;
	s->wr.failed = false;
	if (write_go(s, bytes))
		return write_push(L, s);
	keep_bytes(L, s, bytes);
	socket_anchor(L, s);
	return pending_wait(L, s, &s->wr, t, write_cancel);
}

static int l_shutdown(lua_State *L)
{
	struct stream *s = socket_check(L, "shutdown");
	if (s->wr.task)
		return failure_push(L, FAILURE_BUSY, "another coroutine is writing to this stream");
	if (shutdown(s->fd, SHUT_WR) == -1)
		return failure_push(L, failure_of_errno(errno), strerror(errno));
	lua_pushboolean(L, true);
	return 1;
}

static int closed_push(lua_State *L, void *arg)
{
	struct stream *s = arg;
	socket_hold(L, s);
	s->wr.task = NULL;
	drop_bytes(s);
	socket_unanchor(s);
	return failure_push(L, FAILURE_CLOSED, s->why);
}

void writer_closed(struct stream *s)
{
	vm_wake(s->wr.task, closed_push, s);
}

void writer_init(struct stream *s)
{
	ev_init(&s->wr.io, on_writable);
	ev_init(&s->wr.timer, on_write_timeout);
}

const luaL_Reg writer_methods[] = {
	{"write", l_write},
	{"shutdown", l_shutdown},
	{NULL, NULL},
};
