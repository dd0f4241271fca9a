/* SPDX-License-Identifier: MIT */
#include "askudp.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base.h"
#include "dnsmsg.h"

#define READS_MAX 16 /* per wake, so that a flood does not starve the loop */

struct askudp_socket {
	struct askudp *pool;
	ev_io io;
	struct resolvconf_server to;
	struct list link;    /* askudp.sockets */
	struct list tickets; /* struct askudp_ticket.link; the socket lives while there are some */
	size_t count;
};

int askudp_init(struct askudp *u, struct ev_loop *loop)
{
	memset(u, 0, sizeof(*u));
	u->loop = loop;
	list_init(&u->sockets);
	u->scratch = malloc(DNSMSG_MAX);
	return u->scratch ? 0 : -ENOMEM;
}

void askudp_fini(struct askudp *u)
{
	free(u->scratch);
	u->scratch = NULL;
}

static void socket_free(struct askudp_socket *s)
{
	struct askudp *u = s->pool;

	if (u->reading == s)
		u->reading = NULL;
	ev_io_stop(u->loop, &s->io);
	close(s->io.fd);
	list_del(&s->link);
	u->count--;
	free(s);
}

static struct askudp_ticket *ticket_find(struct askudp_socket *s, uint16_t id)
{
	struct list *e, *tmp;

	list_foreach (e, tmp, &s->tickets) {
		struct askudp_ticket *t = container_of(e, struct askudp_ticket, link);
		if (t->id == id)
			return t;
	}
	return NULL;
}

/* Tells all who wait at @s. Each may drop any ticket, the last drop frees @s: so those not yet
 * told wait on a list of their own, where a drop finds them as well. */
static void socket_failed(struct askudp_socket *s, int err)
{
	struct askudp *u = s->pool;
	struct list rest;

	list_init(&rest);
	while (!list_empty(&s->tickets)) {
		struct list *e = s->tickets.next;
		list_del(e);
		list_add_tail(&rest, e);
	}
	while (u->reading == s && !list_empty(&rest)) {
		struct list *e = rest.next;
		struct askudp_ticket *t = container_of(e, struct askudp_ticket, link);
		list_del(e);
		list_add_tail(&s->tickets, e);
		t->done(t, NULL, err);
	}
}

static void socket_on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct askudp_socket *s = container_of(w, struct askudp_socket, io);
	struct askudp *u = s->pool;

	UNUSED(loop);
	UNUSED(revents);
	u->reading = s;
	for (int i = 0; i < READS_MAX && u->reading == s; i++) {
		ssize_t n = recv(s->io.fd, u->scratch, DNSMSG_MAX, 0);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n == -1) {
			socket_failed(s, -errno);
			continue;
		}
		struct askudp_ticket *t = NULL;
		if (n >= DNSMSG_HEADER && u->scratch[2] & 0x80)
			t = ticket_find(s, (uint16_t)(u->scratch[0] << 8 | u->scratch[1]));
		if (t)
			t->done(t, u->scratch, n);
		else
			u->strays++;
	}
	u->reading = NULL;
}

static int socket_new(struct askudp *u, const struct resolvconf_server *to,
	struct askudp_socket **out)
{
	struct sockaddr_storage ss;
	socklen_t len = resolvconf_sockaddr(to, &ss);
	struct askudp_socket *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	/* connect() lets the kernel choose a random port. */
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1 || connect(fd, (struct sockaddr *)&ss, len) == -1) {
		int err = -errno;
		if (fd != -1)
			close(fd);
		free(s);
		return err;
	}
	s->pool = u;
	s->to = *to;
	list_init(&s->tickets);
	list_add_tail(&u->sockets, &s->link);
	u->count++;
	ev_io_init(&s->io, socket_on_readable, fd, EV_READ);
	ev_io_start(u->loop, &s->io);
	*out = s;
	return 0;
}

/* A new socket while there is room; else the one to @to with the fewest questions. */
static int socket_get(struct askudp *u, const struct resolvconf_server *to,
	struct askudp_socket **out)
{
	struct askudp_socket *best = NULL;
	struct list *e, *tmp;
	int err = -EBUSY;

	if (u->count < ASKUDP_SOCKETS_MAX) {
		err = socket_new(u, to, out);
		if (err != -EMFILE && err != -ENFILE && err != -ENOMEM && err != -ENOBUFS)
			return err;
	}
	list_foreach (e, tmp, &u->sockets) {
		struct askudp_socket *s = container_of(e, struct askudp_socket, link);
		if (resolvconf_same_server(&s->to, to) && (!best || s->count < best->count))
			best = s;
	}
	*out = best;
	return best ? 0 : err;
}

static int ticket_start(struct askudp *u, struct askudp_ticket *t,
	const struct resolvconf_server *to)
{
	struct askudp_socket *s = NULL;
	int err = socket_get(u, to, &s);

	if (err < 0)
		return err;
	do {
		/* At most as many are taken as there are questions: far below 65536. */
		if (getrandom(&t->id, sizeof(t->id), 0) != sizeof(t->id)) {
			err = errno ? -errno : -EIO;
			if (!s->count)
				socket_free(s);
			return err;
		}
	} while (ticket_find(s, t->id));
	t->socket = s;
	list_add_tail(&s->tickets, &t->link);
	s->count++;
	return 0;
}

int askudp_send(struct askudp *u, struct askudp_ticket *t, const struct resolvconf_server *to,
	uint8_t *msg, size_t len)
{
	int err = t->socket ? 0 : ticket_start(u, t, to);

	if (err < 0)
		return err;
	dnsmsg_set_id(msg, t->id);
	/* A refusal of an earlier question on a shared socket is reported here instead of to
	 * recv(), once: it says nothing about this one. */
	for (int i = 0; i < 2; i++) {
		if (send(t->socket->io.fd, msg, len, MSG_NOSIGNAL) != -1)
			return 0;
		err = -errno;
		if (err != -ECONNREFUSED)
			break;
	}
	if (err == -EAGAIN || err == -ENOBUFS || err == -ECONNREFUSED)
		return 0; /* lost, as on any wire: it will be repeated */
	askudp_drop(u, t);
	return err;
}

void askudp_drop(struct askudp *u, struct askudp_ticket *t)
{
	struct askudp_socket *s = t->socket;

	UNUSED(u);
	if (!s)
		return;
	t->socket = NULL;
	list_del(&t->link);
	if (--s->count == 0)
		socket_free(s);
}
