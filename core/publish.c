/* SPDX-License-Identifier: MIT */
#include "publish.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base.h"
#include "log.h"

/* Callers taken in one turn of the loop. */
#define ACCEPTS_MAX 64
/* Without descriptors or memory nobody is accepted for so long: a socket with somebody waiting is
 * readable, and would keep the loop busy. */
#define PAUSE_S 0.2
/* Ports of the alias for those who have none there or whose own is taken. */
#define ALIAS_PORT_FIRST 32768
#define ALIAS_TRIES 64

struct listener {
	struct list link;
	struct publish *publish;
	char *text; /* owned: what publish_add() was given */
	struct publish_spec spec;
	struct addr at; /* where it really listens */
	struct addr self, alias;
	bool named;
	int fd; /* owned */
	ev_io io;
	ev_timer pause;
	struct visit_port visits; /* UDP */
	uint64_t callers;
};

/* ---- the text ---- */

static int parse_address(struct addr *a, const char *text, const char *end)
{
	char copy[ADDR_TEXT_MAX];
	size_t n = (size_t)(end - text);
	unsigned port = addr_parse_port(text, end);

	if (port) {
		*a = (struct addr){.ip = {127, 0, 0, 1}, .v = 4, .port = (uint16_t)port};
		return 0;
	}
	if (n >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, n);
	copy[n] = '\0';
	return addr_parse(a, copy) == 0 && a->port ? 0 : -EINVAL;
}

int publish_parse(struct publish_spec *spec, const char *text)
{
	const char *end = text + strlen(text), *slash = strrchr(text, '/'), *colon;
	unsigned port;

	memset(spec, 0, sizeof(*spec));
	if (slash && (strcmp(slash, "/udp") == 0 || strcmp(slash, "/tcp") == 0)) {
		spec->udp = slash[1] == 'u';
		end = slash;
	}
	colon = memrchr(text, ':', (size_t)(end - text));
	port = addr_parse_port(colon ? colon + 1 : text, end);
	if (!port)
		return -EINVAL;
	spec->port = (uint16_t)port;
	if (!colon)
		return parse_address(&spec->at, text, end);
	if (*text != '/')
		return parse_address(&spec->at, text, colon);
	if (spec->udp || (size_t)(colon - text) >= sizeof(spec->path))
		return -EINVAL;
	memcpy(spec->path, text, (size_t)(colon - text));
	return 0;
}

/* ---- callers ---- */

static bool is_free(struct publish *p, const struct flow_key *key)
{
	return !flow_find(p->conns->flows, key);
}

/* How the child is to see a caller from @peer (v = 0: it has no address). */
static int present(struct listener *l, const struct addr *peer, struct flow_key *key)
{
	struct publish *p = l->publish;

	*key = (struct flow_key){.src = l->self, .dst = *peer, .proto = IPPROTO_TCP};
	if (!visit_is_presentable(peer, &l->self)) {
		key->dst = l->alias;
		key->dst.port = peer->port;
	}
	/* The kernel's own tuple is taken only by what it does not know of: another address of the
	 * loopback, or a connection of the child's own. */
	for (int i = 0; i < ALIAS_TRIES; i++) {
		if (key->dst.port && is_free(p, key))
			return 0;
		key->dst = l->alias;
		key->dst.port = p->next_alias_port++;
		if (p->next_alias_port < ALIAS_PORT_FIRST)
			p->next_alias_port = ALIAS_PORT_FIRST;
	}
	return -EADDRNOTAVAIL;
}

static void take_caller(struct listener *l, int fd, const struct sockaddr_storage *from)
{
	const struct linger hard = {.l_onoff = 1, .l_linger = 0};
	const int on = 1;
	struct addr peer = {0};
	struct flow_key key;

	l->callers++;
	if (l->spec.at.v) {
		/* The child's stack has gathered what it wants to send together. */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (addr_from_sockaddr(&peer, from) < 0)
			peer.v = 0;
	}
	if (present(l, &peer, &key) < 0) {
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		close(fd);
		return;
	}
	conn_open_inbound(l->publish->conns, &key, fd, l->named);
}

static void listener_on_pause(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(revents);
	ev_io_start(loop, &container_of(w, struct listener, pause)->io);
}

static void lacking(struct listener *l, int error)
{
	static struct log_limit limit = {.burst = 1};
	unsigned long missed;

	if (log_limit_pass(&limit, &missed))
		log_warn("callers of %s wait: %s; raise the limit of open files (ulimit -n)",
			l->text, strerror(error));
	ev_io_stop(l->publish->loop, &l->io);
	ev_timer_set(&l->pause, PAUSE_S, 0);
	ev_timer_start(l->publish->loop, &l->pause);
}

static void listener_on_callers(struct ev_loop *loop, ev_io *w, int revents)
{
	struct listener *l = container_of(w, struct listener, io);

	UNUSED(loop);
	UNUSED(revents);
	if (l->spec.udp) {
		visit_receive(l->publish->visits, &l->visits);
		return;
	}
	for (int i = 0; i < ACCEPTS_MAX; i++) {
		struct sockaddr_storage from = {0};
		socklen_t len = sizeof(from);
		int fd = accept4(l->fd, (struct sockaddr *)&from, &len,
			SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd == -1) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
				errno == ENOBUFS)
				lacking(l, errno);
			else if (errno != EAGAIN) /* that caller has gone: the next, accept(2) */
				continue;
			return;
		}
		take_caller(l, fd, &from);
	}
}

/* ---- listening ---- */

static int open_unix(struct listener *l)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd;

	memcpy(sun.sun_path, l->spec.path, sizeof(sun.sun_path));
	/* Nobody answers there any more: it was left by one who was killed. */
	fd = control_connect(l->spec.path);
	if (fd >= 0)
		close(fd);
	else if (fd == -ECONNREFUSED)
		unlink(l->spec.path);
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd == -1)
		return -errno;
	if (bind(l->fd, (struct sockaddr *)&sun, sizeof(sun)) == -1)
		return -errno;
	return listen(l->fd, SOMAXCONN) == -1 ? -errno : 0;
}

static int open_inet(struct listener *l)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&l->spec.at, &ss);
	const int type = l->spec.udp ? SOCK_DGRAM : SOCK_STREAM, on = 1;

	l->fd = socket(ss.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd == -1)
		return -errno;
	if (ss.ss_family == AF_INET6)
		setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (l->spec.udp) {
		int rc = visit_prepare(l->fd, l->spec.at.v);

		if (rc < 0)
			return rc;
	} else { /* of UDP it would let others listen there, too */
		setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	}
	if (bind(l->fd, (struct sockaddr *)&ss, len) == -1)
		return -errno;
	if (!l->spec.udp && listen(l->fd, SOMAXCONN) == -1)
		return -errno;
	len = sizeof(ss);
	if (getsockname(l->fd, (struct sockaddr *)&ss, &len) == 0)
		addr_from_sockaddr(&l->at, &ss);
	return 0;
}

static void listener_close(struct listener *l)
{
	struct publish *p = l->publish;

	if (l->spec.udp && ev_is_active(&l->io))
		visit_close(p->visits, &l->visits);
	if (!l->spec.at.v && ev_is_active(&l->io))
		unlink(l->spec.path);
	ev_io_stop(p->loop, &l->io);
	ev_timer_stop(p->loop, &l->pause);
	if (l->fd >= 0)
		close(l->fd);
	list_del(&l->link);
	free(l->text);
	free(l);
}

static struct listener *find(struct publish *p, const char *text)
{
	for (struct list *e = p->all.next; e != &p->all; e = e->next) {
		struct listener *l = container_of(e, struct listener, link);

		if (strcmp(l->text, text) == 0)
			return l;
	}
	return NULL;
}

static const char *remedy(int error)
{
	switch (error) {
	case EADDRINUSE:
		return "somebody listens there already: choose another port of the host";
	case EACCES:
		return "choose a port from 1024 on, or a directory that you may write";
	case EADDRNOTAVAIL:
		return "it is no address of this host";
	default:
		return strerror(error);
	}
}

static void listener_start(struct listener *l)
{
	struct publish *p = l->publish;
	const bool v6 = l->spec.at.v == 6;

	l->self = v6 ? p->self6 : p->self4;
	l->self.port = l->spec.port;
	l->alias = v6 ? p->alias6 : p->alias4;
	l->visits = (struct visit_port){.fd = l->fd,
		.self = l->self,
		.alias = l->alias,
		.named = l->named};
	ev_io_init(&l->io, listener_on_callers, l->fd, EV_READ);
	ev_io_start(p->loop, &l->io);
	ev_init(&l->pause, listener_on_pause);
}

int publish_add(struct publish *p, const char *text, bool named, char why[PUBLISH_WHY_MAX])
{
	struct listener *l;
	int rc;

	if (find(p, text)) {
		snprintf(why, PUBLISH_WHY_MAX, "%s is published already", text);
		return -EEXIST;
	}
	l = calloc(1, sizeof(*l));
	if (l)
		l->text = strdup(text);
	if (!l || !l->text) {
		free(l);
		snprintf(why, PUBLISH_WHY_MAX, "out of memory");
		return -ENOMEM;
	}
	l->publish = p;
	l->named = named;
	l->fd = -1;
	list_init(&l->link);
	rc = publish_parse(&l->spec, text);
	if (rc < 0) {
		snprintf(why, PUBLISH_WHY_MAX, "'%s' %s", text,
			*text != '/' && strchr(text, '/') && !l->spec.udp
				? "is a relative path: give the whole one, as in /tmp/my.sock:80"
				: "names no port: give [ADDR:]HOSTPORT:PORT[/udp] or /PATH:PORT, "
				  "as in 8080:80");
	} else {
		rc = l->spec.at.v ? open_inet(l) : open_unix(l);
		if (rc < 0)
			snprintf(why, PUBLISH_WHY_MAX, "cannot publish %s: %s", text, remedy(-rc));
	}
	if (rc < 0) {
		listener_close(l);
		return rc;
	}
	list_add_tail(&p->all, &l->link);
	listener_start(l);
	return 0;
}

int publish_remove(struct publish *p, const char *text)
{
	struct listener *l = find(p, text);

	if (!l)
		return -ENOENT;
	listener_close(l);
	return 0;
}

/* ---- without a name ---- */

static bool leads_to(const struct listener *l, const struct publish_port *port)
{
	return l->spec.port == port->port && l->spec.udp == port->udp && l->spec.at.v == port->v;
}

bool publish_has(const struct publish *p, const struct publish_port *port)
{
	for (const struct list *e = p->all.next; e != &p->all; e = e->next)
		if (leads_to(container_of(e, struct listener, link), port))
			return true;
	return false;
}

int publish_add_port(struct publish *p, const struct publish_port *port, char why[PUBLISH_WHY_MAX])
{
	char text[64];

	snprintf(text, sizeof(text), "%s:%u:%u%s", port->v == 4 ? "127.0.0.1" : "[::1]", port->port,
		port->port, port->udp ? "/udp" : "");
	return publish_add(p, text, false, why);
}

void publish_remove_port(struct publish *p, const struct publish_port *port)
{
	struct list *e, *tmp;

	list_foreach (e, tmp, &p->all) {
		struct listener *l = container_of(e, struct listener, link);

		if (!l->named && leads_to(l, port))
			listener_close(l);
	}
}

void publish_init(struct publish *p)
{
	list_init(&p->all);
	p->next_alias_port = ALIAS_PORT_FIRST;
}

void publish_fini(struct publish *p)
{
	struct list *e, *tmp;

	list_foreach (e, tmp, &p->all)
		listener_close(container_of(e, struct listener, link));
}

/* ---- the control socket ---- */

static int command_publish(void *arg, const char *argument, cJSON *reply)
{
	char why[PUBLISH_WHY_MAX];
	int rc = publish_add(arg, argument ? argument : "", true, why);

	if (rc < 0)
		cJSON_AddStringToObject(reply, "error", why);
	else
		cJSON_AddStringToObject(reply, "published", argument);
	return rc;
}

static int command_unpublish(void *arg, const char *argument, cJSON *reply)
{
	int rc = publish_remove(arg, argument ? argument : "");

	if (rc < 0)
		cJSON_AddStringToObject(reply, "error",
			"no such port; give it as published lists it");
	return rc;
}

static int command_published(void *arg, const char *argument, cJSON *reply)
{
	struct publish *p = arg;
	cJSON *list = cJSON_AddArrayToObject(reply, "published");

	UNUSED(argument);
	for (struct list *e = p->all.next; e != &p->all; e = e->next) {
		const struct listener *l = container_of(e, struct listener, link);
		char text[ADDR_TEXT_MAX];
		cJSON *o = cJSON_CreateObject();

		cJSON_AddStringToObject(o, "spec", l->text);
		cJSON_AddStringToObject(o, "network", l->spec.udp ? "udp" : "tcp");
		cJSON_AddStringToObject(o, "at",
			l->spec.at.v ? addr_format(&l->at, true, text) : l->spec.path);
		cJSON_AddNumberToObject(o, "port", l->spec.port);
		if (!l->spec.udp)
			cJSON_AddNumberToObject(o, "callers", (double)l->callers);
		cJSON_AddItemToArray(list, o);
	}
	return 0;
}

void publish_control(struct publish *p, struct control *c)
{
	const struct control_command all[] = {
		{"publish", "[ADDR:]HOSTPORT:PORT[/udp]", "let callers in, as -p does",
			command_publish, p},
		{"unpublish", "SPEC", "let no more in", command_unpublish, p},
		{"published", "", "where callers come in", command_published, p},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		control_add(c, &all[i]);
}
