/* SPDX-License-Identifier: MIT */
#include "lua/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <lauxlib.h>

#include "core/base.h"
#include "lua/address.h"
#include "lua/args.h"
#include "lua/dialing.h"
#include "lua/failure.h"
#include "lua/ruleset.h"
#include "lua/stream.h"
#include "lua/world.h"

#define DIAL_SECONDS 10. /* default for timeout= */

enum {
	NETWORK_TCP,
	NETWORK_UDP,
	NETWORK_UNIX
};
static const char *const network_names[] = {"tcp", "udp", "unix", NULL};
static const char *const family_names[] = {"4", "6", NULL};

struct options {
	double timeout;
	int family;       /* 0, 4, 6 */
	struct addr from; /* bind=; v = 0: any */
};

/* A dial or a lookup that waits. */
struct call {
	struct task *task;
	struct dialing dialing;
	struct lookup_query *query;
	const struct world *world; /* that was asked; NULL = the real one */
	struct stream *stream;     /* held by ref; NULL for resolve */
	int ref;
	uint16_t port;
	struct addr from;
};

/* How it ended, for the time of vm_wake(). */
struct outcome {
	struct stream *stream;
	int ref, fd;
	bool datagram;
	enum failure failure;
	const char *text;
	const struct addr *list;
	size_t n;
};

/* Connects a datagram or unix socket, which is done at once. The fd or negative errno. */
static int connect_now(int type, const struct addr *from, const struct sockaddr *sa, socklen_t len)
{
	struct sockaddr_storage ss;
	socklen_t from_len = from ? addr_to_sockaddr(from, &ss) : 0;
	int fd = socket(sa->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -errno;
	if ((from && bind(fd, (struct sockaddr *)&ss, from_len) == -1) ||
		connect(fd, sa, len) == -1) {
		int err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int connect_udp(const struct addr *from, const struct addr *a)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(a, &ss);
	return connect_now(SOCK_DGRAM, from->v ? from : NULL, (struct sockaddr *)&ss, len);
}

static int connect_unix(lua_State *L, const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	if (!path[0] || strlen(path) >= sizeof(sun.sun_path))
		return luaL_error(L, "nsnet.dial: a unix socket's path has 1 to %d bytes",
			(int)sizeof(sun.sun_path) - 1);
	memcpy(sun.sun_path, path, strlen(path));
	return connect_now(SOCK_STREAM, NULL, (struct sockaddr *)&sun, sizeof(sun));
}

/* The stream on top of the stack gets @fd, or the failure is pushed. */
static int finish_now(lua_State *L, struct stream *s, int fd, bool datagram)
{
	if (fd >= 0) {
		stream_attach(s, fd, datagram);
		return 1;
	}
	stream_close(s, "stream was never connected");
	return failure_push(L, failure_of_errno(-fd), strerror(-fd));
}

static int dial_push(lua_State *L, void *arg)
{
	struct outcome *o = arg;
	lua_rawgeti(L, LUA_REGISTRYINDEX, o->ref);
	luaL_unref(L, LUA_REGISTRYINDEX, o->ref);
	if (o->fd >= 0) {
		stream_attach(o->stream, o->fd, o->datagram);
		return 1;
	}
	stream_close(o->stream, "stream was never connected");
	return failure_push(L, o->failure, o->text);
}

static void dial_cancel(void *arg)
{
	struct call *c = arg;
	if (c->dialing.loop)
		dialing_stop(&c->dialing);
	if (c->query)
		lookup_cancel(c->query);
	if (c->world)
		c->world->cancel(c->world->arg, c);
	if (c->stream)
		stream_close(c->stream, "stream was never connected");
	luaL_unref(c->task->vm->L, LUA_REGISTRYINDEX, c->ref);
	free(c);
}

void net_dialed(struct call *c, int fd, bool datagram, enum failure f, const char *text)
{
	struct task *t = c->task;
	struct outcome o = {.stream = c->stream,
		.ref = c->ref,
		.fd = fd,
		.datagram = datagram,
		.failure = f,
		.text = text};
	free(c);
	vm_wake(t, dial_push, &o);
}

static void dial_on_end(struct dialing *d, int fd, enum failure f, const char *text)
{
	net_dialed(container_of(d, struct call, dialing), fd, false, f, text);
}

/* A name for a datagram socket: its first address. */
static void dial_on_lookup(void *arg, const struct addr *list, size_t n, const char *error)
{
	struct call *c = arg;
	struct task *t = c->task;
	struct outcome o = {.stream = c->stream,
		.ref = c->ref,
		.fd = -1,
		.datagram = true,
		.failure = FAILURE_RESOLVE,
		.text = error};
	if (n) {
		struct addr a = list[0];
		a.port = c->port;
		o.fd = connect_udp(&c->from, &a);
		o.failure = failure_of_errno(-o.fd);
		o.text = o.fd < 0 ? strerror(-o.fd) : NULL;
	}
	free(c);
	vm_wake(t, dial_push, &o);
}

/* The stream on top, held by the call that waits for it. Raises for memory. */
static struct call *dial_call(lua_State *L, struct task *t, struct stream *s)
{
	lua_pushvalue(L, -1);
	int ref = luaL_ref(L, LUA_REGISTRYINDEX);
	struct call *c = calloc(1, sizeof(*c));
	if (!c) {
		luaL_unref(L, LUA_REGISTRYINDEX, ref);
		luaL_error(L, "not enough memory");
		return NULL;
	}
	*c = (struct call){.task = t, .stream = s, .ref = ref};
	return c;
}

static int dial_world(lua_State *L, struct task *t, struct stream *s, const struct world *w,
	int network, const char *address, double timeout)
{
	struct call *c = dial_call(L, t, s);
	c->world = w;
	w->dial(w->arg, c, network_names[network], address, timeout);
	return vm_wait(L, t, dial_cancel, c);
}

/* The part of dial that may have to wait; the stream is on top. */
static int dial_wait(lua_State *L, struct task *t, struct stream *s, int network,
	const char *address, const struct options *o)
{
	char name[DNAME_MAX];
	struct addr a;
	uint16_t port = 0;
	int named = address_read(address, &a, name, &port);
	if (named < 0)
		return luaL_error(L, "nsnet.dial: \"%s\" is no address or name with a port",
			address);
	if (!named && o->from.v && o->from.v != a.v)
		return luaL_error(L, "nsnet.dial: bind= is an address of another family than %s",
			address);
	struct ruleset *rs = ruleset_of(L);
	if (rs->world) {
		char text[DNAME_MAX + 8];
		if (named)
			snprintf(text, sizeof(text), "%s:%u", name, port);
		return dial_world(L, t, s, rs->world, network,
			named ? text : addr_format(&a, true, text), o->timeout);
	}
	if (network == NETWORK_UDP && !named)
		return finish_now(L, s, connect_udp(&o->from, &a), true);
	struct call *c = dial_call(L, t, s);
	c->port = port;
	c->from = o->from;
	int err = 0;
	if (network == NETWORK_UDP) {
		c->query = lookup_start(&rs->lookup, name, o->family, dial_on_lookup, c);
		err = c->query ? 0 : -ENOMEM;
	} else {
		c->dialing.loop = rs->vm.loop;
		c->dialing.lookup = &rs->lookup;
		c->dialing.from = o->from;
		c->dialing.fn = dial_on_end;
		err = dialing_start(&c->dialing, &a, named ? name : NULL, port, o->family,
			o->timeout);
	}
	if (err) {
		luaL_unref(L, LUA_REGISTRYINDEX, c->ref);
		free(c);
		return finish_now(L, s, err, false);
	}
	return vm_wait(L, t, dial_cancel, c);
}

/* Reads the table of options at 3, if there is one. */
static void read_options(lua_State *L, struct options *o)
{
	static const char *const keys[] = {"timeout", "family", "bind", NULL};
	*o = (struct options){.timeout = DIAL_SECONDS};
	if (lua_isnoneornil(L, 3))
		return;
	luaL_checktype(L, 3, LUA_TTABLE);
	args_keys(L, 3, keys, "nsnet.dial");
	o->timeout = args_seconds(L, 3, "timeout", DIAL_SECONDS);
	lua_getfield(L, 3, "family");
	if (lua_type(L, -1) == LUA_TNUMBER)
		lua_tostring(L, -1);
	if (!lua_isnil(L, -1))
		o->family = args_enum(L, -1, "family", family_names) ? 6 : 4;
	lua_getfield(L, 3, "bind");
	if (!lua_isnil(L, -1)) {
		const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
		if (addr_parse(&o->from, text))
			luaL_error(L, "nsnet.dial: bind= must be an address of this host");
		if (o->family && o->family != o->from.v)
			luaL_error(L, "nsnet.dial: bind= and family= contradict each other");
		o->family = o->from.v;
	}
	lua_pop(L, 2);
}

static int l_dial(lua_State *L)
{
	struct options o;
	struct task *t = vm_blocker(L, "nsnet.dial");
	int network = args_enum(L, 1, "network", network_names);
	const char *address = luaL_checkstring(L, 2);
	read_options(L, &o);
	if (network == NETWORK_UNIX && o.family)
		return luaL_error(L, "nsnet.dial: a unix socket has no bind= and no family=");
	const struct world *world = ruleset_of(L)->world;
	struct stream *s = stream_new(L, t->owned);
	if (network == NETWORK_UNIX && world)
		return dial_world(L, t, s, world, network, address, o.timeout);
	if (network == NETWORK_UNIX)
		return finish_now(L, s, connect_unix(L, address), false);
	return dial_wait(L, t, s, network, address, &o);
}

/* --- resolve --------------------------------------------------------------------------------- */

static int push_list(lua_State *L, const struct addr *list, size_t n)
{
	char text[ADDR_TEXT_MAX];
	lua_createtable(L, (int)n, 0);
	for (size_t i = 0; i < n; i++) {
		lua_pushstring(L, addr_format(&list[i], false, text));
		lua_rawseti(L, -2, (int)i + 1);
	}
	return 1;
}

static int resolve_push(lua_State *L, void *arg)
{
	struct outcome *o = arg;
	return o->n ? push_list(L, o->list, o->n) : failure_push(L, FAILURE_RESOLVE, o->text);
}

void net_resolved(struct call *c, const struct addr *list, size_t n, const char *error)
{
	struct task *t = c->task;
	struct outcome o = {.list = list, .n = n, .text = error};
	free(c);
	vm_wake(t, resolve_push, &o);
}

static void resolve_on_lookup(void *arg, const struct addr *list, size_t n, const char *error)
{
	net_resolved(arg, list, n, error);
}

/* nsnet.resolve(name[, "A" or "AAAA"]): a list of addresses. */
static int l_resolve(lua_State *L)
{
	static const char *const types[] = {"A", "AAAA", NULL};
	struct task *t = vm_blocker(L, "nsnet.resolve");
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);
	int family = 0;
	char name[DNAME_MAX];
	struct addr a;
	if (!lua_isnoneornil(L, 2))
		family = args_enum(L, 2, "type", types) ? 6 : 4;
	if (!addr_parse(&a, text) && !a.port)
		return push_list(L, &a, 1);
	if (dname_normalise(name, text, len) < 0)
		return luaL_error(L, "nsnet.resolve: \"%s\" is no name", text);
	struct call *c = calloc(1, sizeof(*c));
	if (!c)
		return luaL_error(L, "not enough memory");
	c->task = t;
	c->ref = LUA_NOREF;
	c->world = ruleset_of(L)->world;
	if (c->world)
		c->world->resolve(c->world->arg, c, name, family);
	else
		c->query = lookup_start(&ruleset_of(L)->lookup, name, family, resolve_on_lookup, c);
	if (!c->world && !c->query) {
		free(c);
		return luaL_error(L, "not enough memory");
	}
	return vm_wait(L, t, dial_cancel, c);
}

void net_open(lua_State *L)
{
	lua_pushcfunction(L, l_dial);
	lua_setfield(L, -2, "dial");
	lua_pushcfunction(L, l_resolve);
	lua_setfield(L, -2, "resolve");
}
