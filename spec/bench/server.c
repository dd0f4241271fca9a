/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "clock.h"
#include "json.h"
#include "net.h"
#include "pattern.h"
#include "wire.h"

#define SERVER_EVENTS 256
#define SERVER_SUMS 4096    /* streams remembered for WIRE_SUM */
#define SERVER_DATAGRAMS 64 /* answered per wake-up, so that TCP is not starved */

enum server_kind {
	SERVER_CLOSED,
	SERVER_LISTENER,
	SERVER_DATAGRAM,
	SERVER_ASKING, /* the ask is not complete */
	SERVER_BUSY,
	SERVER_DRAINING, /* everything is sent; waits for the client to close */
};

struct server_conn {
	enum server_kind kind;
	unsigned got; /* bytes of the ask */
	struct wire_ask ask;
	uint64_t bytes, bad, end_ns;
};

struct server {
	int epoll;
	unsigned limit;
	bool full;                /* out of descriptors was reported */
	struct server_conn *conn; /* indexed by descriptor */
	struct wire_sum sum[SERVER_SUMS];
	unsigned sums;
	uint8_t buf[PATTERN_CHUNK];
};

static int server_watch(struct server *s, int fd, enum server_kind kind, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.fd = fd};

	if ((unsigned)fd >= s->limit)
		return -EMFILE;
	s->conn[fd] = (struct server_conn){.kind = kind};
	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) == -1 ? -errno : 0;
}

static void server_interest(struct server *s, int fd, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.fd = fd};

	if (epoll_ctl(s->epoll, EPOLL_CTL_MOD, fd, &e) == -1)
		perror("load: server: epoll_ctl");
}

static void server_drop(struct server *s, int fd)
{
	s->conn[fd].kind = SERVER_CLOSED;
	close(fd);
}

static void server_remember(struct server *s, const struct server_conn *c)
{
	s->sum[s->sums++ % SERVER_SUMS] =
		(struct wire_sum){.id = c->ask.id, .bytes = c->bytes, .bad = c->bad, .known = 1};
}

static void server_accept(struct server *s, int listener)
{
	int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd == -1) {
		if (errno != EMFILE && errno != ENFILE)
			return;
		if (!s->full)
			perror("load: server: accept");
		s->full = true;
		usleep(1000); /* the listener stays readable: no spin until somebody closes */
		return;
	}
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == -1 ||
		server_watch(s, fd, SERVER_ASKING, EPOLLIN) < 0)
		close(fd);
}

static void server_datagrams(struct server *s, int fd)
{
	struct sockaddr_storage from;
	socklen_t len;
	ssize_t n;
	int i;

	for (i = 0; i < SERVER_DATAGRAMS; i++) {
		len = sizeof(from);
		n = recvfrom(fd, s->buf, sizeof(s->buf), 0, (struct sockaddr *)&from, &len);
		if (n == -1)
			return;
		/* A lost answer is the client's to count. */
		(void)!sendto(fd, s->buf, (size_t)n, 0, (struct sockaddr *)&from, len);
	}
}

static int server_send_all(int fd, const void *data, size_t len)
{
	return send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -EPIPE;
}

static void server_drain(struct server *s, int fd)
{
	s->conn[fd].kind = SERVER_DRAINING;
}

/* The connection's ask is complete. */
static void server_begin(struct server *s, int fd)
{
	struct server_conn *c = &s->conn[fd];
	struct wire_sum sum = {.id = c->ask.id};
	unsigned i;

	c->kind = SERVER_BUSY;
	switch (c->ask.op) {
	case WIRE_ECHO:
	case WIRE_SINK:
		return;
	case WIRE_ANSWER:
		if (c->ask.size > PATTERN_CHUNK ||
			server_send_all(fd, pattern_at(0), c->ask.size) < 0 ||
			c->ask.flags & WIRE_SERVER_CLOSES)
			server_drop(s, fd);
		else
			server_drain(s, fd);
		return;
	case WIRE_SOURCE:
		c->end_ns = clock_ns() + c->ask.ms * CLOCK_MS;
		server_interest(s, fd, EPOLLOUT);
		return;
	case WIRE_SUM:
		for (i = 0; i < SERVER_SUMS; i++)
			if (s->sum[i].known && s->sum[i].id == c->ask.id)
				sum = s->sum[i];
		if (server_send_all(fd, &sum, sizeof(sum)) < 0)
			server_drop(s, fd);
		else
			server_drain(s, fd);
		return;
	default:
		server_drop(s, fd);
	}
}

static void server_asking(struct server *s, int fd)
{
	struct server_conn *c = &s->conn[fd];
	ssize_t n = recv(fd, (char *)&c->ask + c->got, sizeof(c->ask) - c->got, 0);

	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0) {
		server_drop(s, fd);
		return;
	}
	c->got += (unsigned)n;
	if (c->got < sizeof(c->ask))
		return;
	if (c->ask.magic == WIRE_MAGIC)
		server_begin(s, fd);
	else
		server_drop(s, fd);
}

static void server_source(struct server *s, int fd)
{
	struct server_conn *c = &s->conn[fd];
	ssize_t n = send(fd, pattern_at(c->bytes), PATTERN_CHUNK, MSG_NOSIGNAL);

	if (n == -1 && errno == EAGAIN)
		return;
	if (n == -1) {
		server_drop(s, fd);
		return;
	}
	c->bytes += (uint64_t)n;
	if (clock_ns() < c->end_ns)
		return;
	server_remember(s, c);
	shutdown(fd, SHUT_WR);
	server_interest(s, fd, EPOLLIN);
	server_drain(s, fd);
}

static void server_input(struct server *s, int fd)
{
	struct server_conn *c = &s->conn[fd];
	ssize_t n = recv(fd, s->buf, sizeof(s->buf), 0);
	struct wire_sum sum;

	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0) {
		if (n == 0 && c->kind == SERVER_BUSY && c->ask.op == WIRE_SINK) {
			server_remember(s, c);
			sum = s->sum[(s->sums - 1) % SERVER_SUMS];
			(void)!send(fd, &sum, sizeof(sum), MSG_NOSIGNAL);
		}
		server_drop(s, fd);
		return;
	}
	if (c->kind == SERVER_DRAINING)
		return;
	if (c->ask.op == WIRE_ECHO) {
		if (server_send_all(fd, s->buf, (size_t)n) < 0)
			server_drop(s, fd);
		return;
	}
	if (c->ask.flags & WIRE_VERIFY)
		c->bad += pattern_differs(s->buf, (size_t)n, c->bytes);
	c->bytes += (uint64_t)n;
}

static void server_event(struct server *s, int fd)
{
	switch (s->conn[fd].kind) {
	case SERVER_LISTENER:
		server_accept(s, fd);
		return;
	case SERVER_DATAGRAM:
		server_datagrams(s, fd);
		return;
	case SERVER_ASKING:
		server_asking(s, fd);
		return;
	case SERVER_BUSY:
		if (s->conn[fd].ask.op == WIRE_SOURCE)
			server_source(s, fd);
		else
			server_input(s, fd);
		return;
	case SERVER_DRAINING:
		server_input(s, fd);
		return;
	case SERVER_CLOSED:
		return; /* an event of this batch for a connection that an earlier one closed */
	}
}

static int server_open(struct server *s, const struct option_set *o)
{
	unsigned i;
	int fd, err;

	s->limit = net_raise_files();
	s->conn = calloc(s->limit, sizeof(*s->conn));
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!s->conn || s->epoll == -1)
		return -errno;
	for (i = 0; i < o->ports; i++) {
		fd = net_listen(o, i);
		err = fd < 0 ? fd : server_watch(s, fd, SERVER_LISTENER, EPOLLIN);
		if (err)
			return err;
	}
	fd = net_datagram_listen(o);
	return fd < 0 ? fd : server_watch(s, fd, SERVER_DATAGRAM, EPOLLIN);
}

int server_run(const struct option_set *o)
{
	static struct server s;
	struct epoll_event e[SERVER_EVENTS];
	struct json j = {.out = stdout};
	int i, n, err = server_open(&s, o);

	if (err) {
		fprintf(stderr, "load: server: cannot listen: %s\n", strerror(-err));
		return 1;
	}
	json_open(&j, NULL);
	json_string(&j, "mode", "server");
	json_flag(&j, "listening", true);
	json_count(&j, "files", s.limit);
	json_end(&j);
	for (;;) {
		n = epoll_wait(s.epoll, e, SERVER_EVENTS, -1);
		if (n == -1 && errno != EINTR) {
			perror("load: server: epoll_wait");
			return 1;
		}
		for (i = 0; i < n; i++)
			server_event(&s, e[i].data.fd);
	}
}
