/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_SERVER_H
#define NSNET_SPEC_SERVER_H

/* server - a UDP server in the world of world.h, on the same loop: echoes, or keeps still. */

#include "world.h"

struct server {
	ev_io io;
	int fd;
	unsigned received;
	bool mute; /* do not echo */
	size_t len;
	struct sockaddr_storage from;
	socklen_t from_len;
	uint8_t bytes[65536];
};

static void server_on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct server *s = container_of(io, struct server, io);
	ssize_t n;

	(void)loop;
	(void)revents;
	s->from_len = sizeof(s->from);
	n = recvfrom(s->fd, s->bytes, sizeof(s->bytes), 0, (struct sockaddr *)&s->from,
		&s->from_len);
	if (n == -1)
		return;
	s->len = (size_t)n;
	s->received++;
	if (!s->mute)
		assert_int_equal(sendto(s->fd, s->bytes, s->len, 0, (struct sockaddr *)&s->from,
					 s->from_len),
			n);
}

static WORLD_UNUSED struct server *server_start(const char *at)
{
	struct server *s = calloc(1, sizeof(*s));
	struct addr a = world_addr(at);
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&a, &ss);
	int size = 8 << 20;

	assert_non_null(s);
	s->fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(s->fd >= 0);
	setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	assert_int_equal(bind(s->fd, (struct sockaddr *)&ss, len), 0);
	ev_io_init(&s->io, server_on_readable, s->fd, EV_READ);
	ev_io_start(w.loop, &s->io);
	return s;
}

static WORLD_UNUSED void server_stop(struct server *s)
{
	ev_io_stop(w.loop, &s->io);
	close(s->fd);
	free(s);
}

#endif
