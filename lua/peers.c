/* SPDX-License-Identifier: MIT */
#include "lua/peers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <lauxlib.h>

#include "core/base.h"
#include "lua/address.h"
#include "lua/net.h"

struct peer_name {
	struct list link;
	char *name;
	struct addr *list;
	size_t n;
};

/* A dial or a lookup of a script, until it is answered. */
struct peer_call {
	struct list link;
	struct peers *peers;
	struct call *call;
	ev_timer timer;
	char *network, *address; /* or a name, network NULL */
	int family;
	double timeout;
	bool silent;
};

static struct peer *find_exactly(struct peers *p, const char *network, const char *address)
{
	struct list *e, *tmp;
	list_foreach (e, tmp, &p->peers) {
		struct peer *one = container_of(e, struct peer, link);
		if (!strcmp(one->network, network) && !strcmp(one->address, address))
			return one;
	}
	return NULL;
}

static struct peer_name *find_name(struct peers *p, const char *name)
{
	struct list *e, *tmp;
	list_foreach (e, tmp, &p->names) {
		struct peer_name *one = container_of(e, struct peer_name, link);
		if (!strcmp(one->name, name))
			return one;
	}
	return NULL;
}

/* The peer at @address; a name is looked for by itself, then by what it resolves to. */
static struct peer *find(struct peers *p, const char *network, const char *address)
{
	struct peer *one = find_exactly(p, network, address);
	char name[DNAME_MAX], text[ADDR_TEXT_MAX];
	struct addr a;
	uint16_t port;
	if (one || !strcmp(network, "unix") || address_read(address, &a, name, &port) != 1)
		return one;
	struct peer_name *known = find_name(p, name);
	for (size_t i = 0; known && !one && i < known->n; i++) {
		a = known->list[i];
		a.port = port;
		one = find_exactly(p, network, addr_format(&a, true, text));
	}
	return one;
}

/* Connects to @one. The near end, or a negative errno. */
static int connect_to(struct peers *p, const struct peer *one)
{
	bool datagram = !strcmp(one->network, "udp") || !strcmp(one->network, "icmp");
	int fd[2];
	switch (one->mode) {
	case PEER_REFUSE:
		return -ECONNREFUSED;
	case PEER_UNREACHABLE:
		return -EHOSTUNREACH;
	case PEER_BLACKHOLE:
		return -ETIMEDOUT;
	case PEER_ACCEPT:
		break;
	}
	if (socketpair(AF_UNIX,
		    (datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		    fd) == -1)
		return -errno;
	p->serve(p->arg, one, fd[1], datagram);
	return fd[0];
}

int peers_reach(void *arg, const struct flow *f)
{
	struct peers *p = arg;
	char text[ADDR_TEXT_MAX];
	const struct peer *one = find_exactly(p, f->ops->network,
		addr_format(&f->decision.target, strcmp(f->ops->network, "icmp") != 0, text));
	return one ? connect_to(p, one) : -ENODATA;
}

/* --- what scripts ask ------------------------------------------------------------------------ */

static void call_free(struct peer_call *c)
{
	ev_timer_stop(c->peers->loop, &c->timer);
	list_del(&c->link);
	free(c->network);
	free(c->address);
	free(c);
}

static void answer_dial(struct peer_call *c)
{
	struct peers *p = c->peers;
	const struct peer *one = find(p, c->network, c->address);
	struct call *call = c->call;
	bool datagram = !strcmp(c->network, "udp");
	if (!c->silent)
		p->dialed(p->arg, c->network, c->address);
	if (!one)
		p->missed(p->arg, c->network, c->address);
	if (one && one->mode == PEER_BLACKHOLE && !c->silent) {
		c->silent = true;
		ev_timer_set(&c->timer, c->timeout, 0.);
		ev_timer_start(p->loop, &c->timer);
		return;
	}
	int fd = one ? connect_to(p, one) : -ECONNREFUSED;
	call_free(c);
	if (fd >= 0)
		net_dialed(call, fd, datagram, 0, NULL);
	else if (fd == -ETIMEDOUT)
		net_dialed(call, -1, datagram, FAILURE_TIMEOUT, "timeout");
	else
		net_dialed(call, -1, datagram, failure_of_errno(-fd), strerror(-fd));
}

static void answer_resolve(struct peer_call *c)
{
	struct peers *p = c->peers;
	const struct peer_name *known = find_name(p, c->address);
	struct call *call = c->call;
	struct addr list[16];
	size_t n = 0;
	if (!known)
		p->missed(p->arg, "name", c->address);
	for (size_t i = 0; known && i < known->n && n < ARRAY_LEN(list); i++) {
		if (!c->family || known->list[i].v == c->family)
			list[n++] = known->list[i];
	}
	call_free(c);
	net_resolved(call, list, n, "Domain name not found");
}

static void on_answer(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	struct peer_call *c = container_of(w, struct peer_call, timer);
	if (c->network)
		answer_dial(c);
	else
		answer_resolve(c);
}

/* From inside Lua: to be answered by the loop. Without memory it stays unanswered, and the script's
 * own deadline counts. */
static struct peer_call *call_new(struct peers *p, struct call *call, const char *network,
	const char *address)
{
	struct peer_call *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->peers = p;
	c->call = call;
	c->network = network ? strdup(network) : NULL;
	c->address = strdup(address);
	list_init(&c->link);
	list_add_tail(&p->calls, &c->link);
	ev_timer_init(&c->timer, on_answer, 0., 0.);
	ev_timer_start(p->loop, &c->timer);
	return c;
}

static void world_dial(void *arg, struct call *call, const char *network, const char *address,
	double timeout)
{
	struct peer_call *c = call_new(arg, call, network, address);
	if (c)
		c->timeout = timeout;
}

static void world_resolve(void *arg, struct call *call, const char *name, int family)
{
	struct peer_call *c = call_new(arg, call, NULL, name);
	if (c)
		c->family = family;
}

static void world_cancel(void *arg, struct call *call)
{
	struct peers *p = arg;
	struct list *e, *tmp;
	list_foreach (e, tmp, &p->calls) {
		struct peer_call *c = container_of(e, struct peer_call, link);
		if (c->call == call)
			call_free(c);
	}
}

/* --- what the test says ---------------------------------------------------------------------- */

void peers_init(struct peers *p, struct ev_loop *loop)
{
	memset(p, 0, sizeof(*p));
	p->loop = loop;
	p->world = (struct world){.dial = world_dial,
		.resolve = world_resolve,
		.cancel = world_cancel,
		.arg = p};
	list_init(&p->peers);
	list_init(&p->names);
	list_init(&p->calls);
}

static void peer_free(struct peer *one)
{
	list_del(&one->link);
	free(one->network);
	free(one->address);
	free(one);
}

static void name_free(struct peer_name *one)
{
	list_del(&one->link);
	free(one->name);
	free(one->list);
	free(one);
}

void peers_clear(struct peers *p)
{
	struct list *e, *tmp;
	list_foreach (e, tmp, &p->calls)
		call_free(container_of(e, struct peer_call, link));
	list_foreach (e, tmp, &p->peers)
		peer_free(container_of(e, struct peer, link));
	list_foreach (e, tmp, &p->names)
		name_free(container_of(e, struct peer_name, link));
}

int peers_add(struct peers *p, const char *network, const char *address, enum peer_mode mode,
	int ref)
{
	struct peer *one = find_exactly(p, network, address);
	if (one) {
		int old = one->ref;
		one->mode = mode;
		one->ref = ref;
		return old;
	}
	one = calloc(1, sizeof(*one));
	if (!one)
		return -ENOMEM;
	one->network = strdup(network);
	one->address = strdup(address);
	one->mode = mode;
	one->ref = ref;
	list_init(&one->link);
	if (!one->network || !one->address) {
		peer_free(one);
		return -ENOMEM;
	}
	list_add_tail(&p->peers, &one->link);
	return LUA_NOREF;
}

int peers_addresses(struct peers *p, const char *name, const struct addr **list)
{
	const struct peer_name *one = find_name(p, name);
	if (!one)
		return -ENOENT;
	*list = one->list;
	return (int)one->n;
}

int peers_name(struct peers *p, const char *name, const struct addr *list, size_t n)
{
	struct peer_name *one = find_name(p, name);
	if (one)
		name_free(one);
	one = calloc(1, sizeof(*one));
	if (!one)
		return -ENOMEM;
	list_init(&one->link);
	one->name = strdup(name);
	one->list = calloc(n + 1, sizeof(*one->list));
	if (!one->name || !one->list) {
		name_free(one);
		return -ENOMEM;
	}
	memcpy(one->list, list, n * sizeof(*list));
	one->n = n;
	list_add_tail(&p->names, &one->link);
	return 0;
}
