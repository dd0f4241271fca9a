/* SPDX-License-Identifier: MIT */
#include "lua/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <lauxlib.h>

#include "core/addr.h"
#include "core/base.h"
#include "lua/socket.h"

/* What a call can have at once it gets at once; else it notes what it wants, waits, and the loop
 * goes on with it until it is complete or failed. A timeout of a read loses nothing: what came
 * stays for the next one. One reader and one writer at a time.
 *
 * While something waits, the registry holds the stream, since the waiting coroutine does not: a
 * yield drops the C function's arguments. */
#define IO_SECONDS 30. /* default for set_timeout */
#define STREAMS_MAX 512

/* One count for the state: the registry would do, but the collector calls us at odd times. */
static size_t open_streams;

static int stream_gc(lua_State *L);
static int stream_field(lua_State *L, void *self, int id);

enum {
	FIELD_LOCAL_ADDRESS,
	FIELD_PEER
};
static const char *const field_names[] = {"local_address", "peer", NULL};

static int l_close(lua_State *L);
static int l_set_timeout(lua_State *L);
static int l_enclose(lua_State *L);

static const luaL_Reg methods[] = {
	{"close", l_close},
	{"set_timeout", l_set_timeout},
	{"enclose", l_enclose},
	{NULL, NULL},
};

const struct udata_class stream_class = {
	.name = "stream",
	.fields = field_names,
	.methods = {methods, reader_methods, writer_methods},
	.field = stream_field,
	.gc = stream_gc,
};

void stream_open(lua_State *L)
{
	udata_class(L, &stream_class);
}

struct stream *stream_test(lua_State *L, int i)
{
	return udata_test(L, i, &stream_class);
}

size_t stream_count(void)
{
	return open_streams;
}

/* --- life ------------------------------------------------------------------------------------ */

static void stream_wake(struct deferred *d);

struct stream *stream_new(lua_State *L, struct list *owned)
{
	if (!owned)
		luaL_error(L, "a stream cannot be opened here");
	if (open_streams >= STREAMS_MAX)
		luaL_error(L, "more than %d streams are open", STREAMS_MAX);
	struct stream *s = udata_new(L, &stream_class, sizeof(*s));
	s->vm = vm_of(L);
	s->fd = s->tied = -1;
	s->timeout = IO_SECONDS;
	s->anchor = s->out_ref = LUA_NOREF;
	s->wake.run = stream_wake;
	reader_init(s);
	writer_init(s);
	list_init(&s->owner);
	list_add_tail(owned, &s->owner);
	open_streams++;
	return s;
}

void stream_attach(struct stream *s, int fd, bool datagram)
{
	assert(s->fd < 0 && !s->gone);
	s->fd = fd;
	s->datagram = datagram;
	ev_io_set(&s->rd.io, fd, EV_READ);
	ev_io_set(&s->wr.io, fd, EV_WRITE);
}

void pending_stop(struct stream *s, struct pending *p)
{
	ev_io_stop(s->vm->loop, &p->io);
	ev_timer_stop(s->vm->loop, &p->timer);
}

/* Ends all use. Whoever waits is told from the loop. */
void socket_end(struct stream *s, const char *why)
{
	if (s->gone)
		return;
	s->gone = true;
	snprintf(s->why, sizeof(s->why), "%s", why);
	pending_stop(s, &s->rd);
	pending_stop(s, &s->wr);
	if (s->fd >= 0)
		close(s->fd);
	if (s->tied >= 0)
		close(s->tied);
	s->fd = s->tied = -1;
	free(s->envelope);
	s->envelope = NULL;
	list_del(&s->owner);
	open_streams--;
	if (s->rd.task || s->wr.task)
		vm_defer(s->vm, &s->wake);
}

static void stream_free(struct stream *s)
{
	vm_undefer(&s->wake);
	free(s->in);
	free(s->mark);
	s->in = s->mark = NULL;
}

static int stream_gc(lua_State *L)
{
	struct stream *s = lua_touserdata(L, 1);
	if (s->vm) {
		socket_end(s, "stream is closed");
		stream_free(s);
	}
	return 0;
}

void stream_close(struct stream *s, const char *why)
{
	socket_end(s, why);
}

void stream_close_all(struct list *owned, const char *why)
{
	while (!list_empty(owned))
		socket_end(container_of(owned->next, struct stream, owner), why);
}

bool stream_is_datagram(const struct stream *s)
{
	return s->datagram;
}

const char *stream_take(struct stream *s, struct stream_taken *taken)
{
	*taken = (struct stream_taken){.fd = -1, .tied = -1};
	if (s->gone)
		return s->why;
	if (s->fd < 0 || s->rd.task || s->wr.task)
		return "it is still in use by another coroutine";
	taken->fd = s->fd;
	taken->tied = s->tied;
	taken->envelope = s->envelope;
	/* What is left of an enclosed datagram is none of the child's. */
	if (s->len && !s->envelope) {
		memmove(s->in, s->in + s->start, s->len);
		taken->early = s->in;
		taken->early_len = s->len;
		s->in = NULL;
	}
	s->fd = s->tied = -1;
	s->envelope = NULL;
	socket_end(s, "stream was handed to the relay");
	return NULL;
}

/* The open stream at 1, or raises. */
struct stream *socket_check(lua_State *L, const char *verb)
{
	struct stream *s = udata_check(L, 1, &stream_class, verb);
	if (s->gone)
		luaL_error(L, "stream:%s: %s", verb, s->why);
	return s;
}

/* --- waiting --------------------------------------------------------------------------------- */

void socket_anchor(lua_State *L, struct stream *s)
{
	if (s->anchor != LUA_NOREF)
		return;
	lua_pushvalue(L, 1);
	s->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
}

void socket_hold(lua_State *L, struct stream *s)
{
	if (s->anchor != LUA_NOREF)
		lua_rawgeti(L, LUA_REGISTRYINDEX, s->anchor);
}

void socket_unanchor(struct stream *s)
{
	if (s->rd.task || s->wr.task)
		return;
	luaL_unref(s->vm->L, LUA_REGISTRYINDEX, s->anchor);
	s->anchor = LUA_NOREF;
}

int pending_wait(lua_State *L, struct stream *s, struct pending *p, struct task *t,
	task_cancel_fn *cancel)
{
	p->task = t;
	ev_io_start(s->vm->loop, &p->io);
	ev_timer_set(&p->timer, s->timeout, 0.);
	ev_timer_start(s->vm->loop, &p->timer);
	return vm_wait(L, t, cancel, s);
}

/* The wait is over: p->failed and so on say how. */
void pending_end(struct stream *s, struct pending *p, vm_push_fn *push)
{
	struct task *t = p->task;
	pending_stop(s, p);
	vm_wake(t, push, s); /* last: @s may be gone */
}

void pending_fail(struct pending *p, enum failure f, int error)
{
	p->failed = true;
	p->failure = f;
	p->error = error;
}

/* --- the rest -------------------------------------------------------------------------------- */

/* The stream was closed under a waiting coroutine. Waking one may let the collector take the
 * stream, if it does not wait for the other. */
static void stream_wake(struct deferred *d)
{
	struct stream *s = container_of(d, struct stream, wake);
	if (s->rd.task) {
		if (s->wr.task)
			vm_defer(s->vm, &s->wake);
		reader_closed(s);
	} else if (s->wr.task) {
		writer_closed(s);
	}
}

static int l_close(lua_State *L)
{
	struct stream *s = udata_check(L, 1, &stream_class, "close");
	socket_end(s, "stream is closed");
	return 0;
}

static int l_set_timeout(lua_State *L)
{
	struct stream *s = socket_check(L, "set_timeout");
	lua_Number n = luaL_checknumber(L, 2);
	if (!(n > 0 && n < 1e6))
		return luaL_error(L, "stream:set_timeout takes seconds, above 0");
	s->timeout = n;
	return 0;
}

/* s:enclose(head[, control]): the relay is to put @head before each datagram and take its like off,
 * and the flow is to end with @control, a stream that is given away hereby. */
static int l_enclose(lua_State *L)
{
	struct stream *s = socket_check(L, "enclose");
	size_t len;
	const char *head = luaL_checklstring(L, 2, &len), *why = NULL;
	struct stream *control = lua_isnoneornil(L, 3) ? NULL : stream_test(L, 3);
	struct stream_taken taken = {.tied = -1};
	if (!s->datagram || s->envelope)
		return luaL_error(L, "stream:enclose is for a datagram socket, once");
	if (!lua_isnoneornil(L, 3) && (!control || control->datagram || control->tied >= 0))
		return luaL_error(L, "stream:enclose takes (header[, the stream it lives with])");
	struct envelope *e = envelope_new(head, len);
	if (!e)
		return luaL_error(L,
			errno == ENOMEM ? "not enough memory"
					: "stream:enclose: this is no header of a "
					  "SOCKS5 datagram (RFC 1928 section 7)");
	if (control)
		why = stream_take(control, &taken);
	if (why) {
		free(e);
		return luaL_error(L, "stream:enclose: %s", why);
	}
	free(taken.early);
	s->envelope = e;
	s->tied = control ? taken.fd : -1;
	return 0;
}

static int stream_field(lua_State *L, void *self, int id)
{
	struct stream *s = self;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr a;
	char text[ADDR_TEXT_MAX];
	int rc = id == FIELD_PEER ? getpeername(s->fd, (struct sockaddr *)&ss, &len)
				  : getsockname(s->fd, (struct sockaddr *)&ss, &len);
	if (rc == -1)
		lua_pushnil(L);
	else if (ss.ss_family == AF_UNIX)
		lua_pushstring(L,
			len > sizeof(sa_family_t) ? ((struct sockaddr_un *)&ss)->sun_path : "");
	else if (addr_from_sockaddr(&a, &ss))
		lua_pushnil(L);
	else
		lua_pushstring(L, addr_format(&a, true, text));
	return 1;
}
