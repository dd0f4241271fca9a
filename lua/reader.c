/* SPDX-License-Identifier: MIT */
#include "lua/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <lauxlib.h>

#include "core/base.h"

static void read_cancel(void *arg)
{
	struct stream *s = arg;
	pending_stop(s, &s->rd);
	s->rd.task = NULL;
	socket_unanchor(s);
}

/* How many of the bytes read ahead the reader gets; 0 = more must come. */
static size_t read_complete(const struct stream *s)
{
	const char *at;
	switch (s->want) {
	case WANT_SOME:
		return MIN(s->len, s->want_n);
	case WANT_EXACT:
		return s->len >= s->want_n ? s->want_n : 0;
	default:
		at = s->len ? memmem(s->in + s->start, s->len, s->mark, s->mark_len) : NULL;
		return at ? (size_t)(at - (s->in + s->start)) + s->mark_len : 0;
	}
}

/* Room behind the bytes read ahead. 0 or -ENOMEM. */
static int read_room(struct stream *s)
{
	if (s->start && (s->start + s->len == s->cap || !s->len)) {
		memmove(s->in, s->in + s->start, s->len);
		s->start = 0;
	}
	if (s->start + s->len < s->cap)
		return 0;
	size_t cap = s->cap ? s->cap * 2 : 4096;
	char *in = realloc(s->in, cap);
	if (!in)
		return -ENOMEM;
	s->in = in;
	s->cap = cap;
	return 0;
}

/* Reads until the wish is fulfilled. True: done, or rd.failed; false: wait for more. */
static bool read_go(struct stream *s)
{
	for (;;) {
		if (read_complete(s))
			return true;
		if (s->want == WANT_UNTIL && s->len >= s->want_n) {
			pending_fail(&s->rd, FAILURE_LIMIT, 0);
			return true;
		}
		if (s->eof || (s->datagram ? 0 : read_room(s))) {
			pending_fail(&s->rd, s->eof ? FAILURE_CLOSED : FAILURE_LIMIT, 0);
			return true;
		}
		ssize_t n = recv(s->fd, s->in + s->start + s->len, s->cap - s->start - s->len, 0);
		if (n > 0) {
			s->len += (size_t)n;
		} else if (n == 0 && !s->datagram) {
			s->eof = true;
		} else if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			return false;
		} else if (n == -1 && errno != EINTR) {
			pending_fail(&s->rd, failure_of_errno(errno), errno);
			return true;
		}
	}
}

static const char *read_failure_text(const struct stream *s)
{
	if (s->rd.failure == FAILURE_LIMIT && s->want == WANT_UNTIL)
		return s->strip ? "the line is too long" : "the end was not found in so many bytes";
	if (s->rd.failure == FAILURE_CLOSED && s->len)
		return "closed before all was there";
	return s->rd.error ? strerror(s->rd.error) : NULL;
}

static int read_push(lua_State *L, void *arg)
{
	struct stream *s = arg;
	size_t n = s->rd.failed ? 0 : read_complete(s);
	socket_hold(L, s);
	read_cancel(s);
	if (!n)
		return failure_push(L, s->rd.failure, read_failure_text(s));
	size_t shown = n;
	if (s->strip) {
		shown -= s->mark_len;
		if (shown && s->in[s->start + shown - 1] == '\r')
			shown--;
	}
	lua_pushlstring(L, s->in + s->start, shown);
	s->start += n;
	s->len -= n;
	return 1;
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	struct stream *s = container_of(w, struct stream, rd.io);
	if (read_go(s))
		pending_end(s, &s->rd, read_push);
}

static void on_read_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	struct stream *s = container_of(w, struct stream, rd.timer);
	pending_fail(&s->rd, FAILURE_TIMEOUT, 0);
	pending_end(s, &s->rd, read_push);
}

/* The rest of every read: the wish is noted in @s. */
static int read_start(lua_State *L, struct stream *s, const char *verb)
{
	struct task *t = vm_blocker(L, verb);
	s->rd.failed = false;
	if (s->datagram && !s->in) {
		s->cap = SOCKET_READ_MAX;
		s->in = malloc(s->cap);
		if (!s->in)
			return luaL_error(L, "not enough memory");
	}
	if (read_go(s))
		return read_push(L, s);
	socket_anchor(L, s);
	return pending_wait(L, s, &s->rd, t, read_cancel);
}

static size_t check_size(lua_State *L, int i, size_t otherwise)
{
	if (otherwise && lua_isnoneornil(L, i))
		return otherwise;
	lua_Number n = luaL_checknumber(L, i);
	if (!(n >= 1 && n <= SOCKET_READ_MAX))
		luaL_error(L, "a read must ask for 1 to %d bytes", SOCKET_READ_MAX);
	return (size_t)n;
}

/* The stream for a read, or NULL: busy, the answer is pushed. */
static struct stream *reader_check(lua_State *L, const char *verb, bool bytes)
{
	struct stream *s = socket_check(L, verb);
	if (bytes && s->datagram)
		luaL_error(L, "stream:%s: this is a datagram socket; use read", verb);
	if (s->rd.task) {
		failure_push(L, FAILURE_BUSY, "another coroutine is reading this stream");
		return NULL;
	}
	s->strip = false;
	return s;
}

static int l_read(lua_State *L)
{
	struct stream *s = reader_check(L, "read", false);
	if (!s)
		return 3;
	s->want = WANT_SOME;
	s->want_n = check_size(L, 2, SOCKET_READ_MAX);
	if (s->datagram)
		s->start = s->len =
			0; /* what did not fit in the last read is lost, as with recv(2) */
	return read_start(L, s, "stream:read");
}

static int l_read_exact(lua_State *L)
{
	struct stream *s = reader_check(L, "read_exact", true);
	if (!s)
		return 3;
	s->want = WANT_EXACT;
	s->want_n = check_size(L, 2, 0);
	return read_start(L, s, "stream:read_exact");
}

static void set_mark(lua_State *L, struct stream *s, const char *mark, size_t len)
{
	char *copy = malloc(len);
	if (!copy)
		luaL_error(L, "not enough memory");
	memcpy(copy, mark, len);
	free(s->mark);
	s->mark = copy;
	s->mark_len = len;
	s->want = WANT_UNTIL;
}

static int l_read_until(lua_State *L)
{
	struct stream *s = reader_check(L, "read_until", true);
	if (!s)
		return 3;
	size_t len;
	const char *mark = luaL_checklstring(L, 2, &len);
	if (!len || len > 256)
		return luaL_error(L, "stream:read_until: the mark must have 1 to 256 bytes");
	s->want_n = check_size(L, 3, SOCKET_READ_MAX);
	set_mark(L, s, mark, len);
	return read_start(L, s, "stream:read_until");
}

static int l_read_line(lua_State *L)
{
	struct stream *s = reader_check(L, "read_line", true);
	if (!s)
		return 3;
	s->want_n = check_size(L, 2, 8192);
	set_mark(L, s, "\n", 1);
	s->strip = true;
	return read_start(L, s, "stream:read_line");
}

static int closed_push(lua_State *L, void *arg)
{
	struct stream *s = arg;
	socket_hold(L, s);
	read_cancel(s);
	return failure_push(L, FAILURE_CLOSED, s->why);
}

void reader_closed(struct stream *s)
{
	vm_wake(s->rd.task, closed_push, s);
}

void reader_init(struct stream *s)
{
	ev_init(&s->rd.io, on_readable);
	ev_init(&s->rd.timer, on_read_timeout);
}

const luaL_Reg reader_methods[] = {
	{"read", l_read},
	{"read_exact", l_read_exact},
	{"read_until", l_read_until},
	{"read_line", l_read_line},
	{NULL, NULL},
};
