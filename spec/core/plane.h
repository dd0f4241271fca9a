/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_PLANE_H
#define NSNET_SPEC_PLANE_H

/* plane - the whole data plane between segment.h's child and real sockets of the world. */

#include <linux/sockios.h>
#include <netinet/tcp.h>

#include "segment.h"

#include "core/gate.h"

static struct plane {
	struct frag frag;
	struct dns dns;
	struct conns conns;
	struct gate gate;

	/* what hooks.connect adds to its answer */
	bool first_bytes, data;
	struct shape *shape; /* given away once */
} plane;

static enum verdict plane_on_connect(void *arg, struct flow *f, struct decision *d)
{
	d->first_bytes = plane.first_bytes;
	d->data = plane.data;
	f->shape = plane.shape;
	plane.shape = NULL;
	return world_on_flow(arg, f, d);
}

static WORLD_UNUSED int plane_setup(void **state)
{
	int rc = world_setup(state);
	struct dns_config config = {.loop = w.loop,
		.tun = &w.tun,
		.stack = &stack,
		.flows = &w.flows,
		.policy = &w.policy,
		.resolv_conf = "/nonexistent/resolv.conf"};

	if (rc || world_missing)
		return rc;
	log_set_level(LOG_LEVEL_ERROR);
	memset(&plane, 0, sizeof(plane));
	stack_up(65520);
	frag_init(&plane.frag, w.loop);
	assert_int_equal(dns_init(&plane.dns, &config), 0);
	w.hooks.connect = plane_on_connect;
	conns_init(&plane.conns, w.loop, &w.tun, &stack, &w.flows, &w.policy);
	plane.gate = (struct gate){
		.tun = &w.tun,
		.stack = &stack,
		.flows = &w.flows,
		.policy = &w.policy,
		.frag = &plane.frag,
		.conns = &plane.conns,
		.udp = &w.udp,
		.ping = &w.ping,
		.dns = &plane.dns,
	};
	gate_start(&plane.gate);
	return 0;
}

static WORLD_UNUSED int plane_teardown(void **state)
{
	if (world_missing)
		return 0;
	conns_fini(&plane.conns);
	assert_int_equal(plane.conns.count, 0);
	assert_int_equal(plane.conns.quiet_count, 0);
	dns_fini(&plane.dns);
	frag_fini(&plane.frag);
	stack_down();
	buf_set_limit((size_t)256 << 20);
	shape_free(plane.shape);
	return world_teardown(state);
}

/* --- sockets of the world --- */

/* A listening socket on the loopback of version @v; its address in *@at. */
static WORLD_UNUSED int plane_listen(unsigned v, struct addr *at)
{
	struct addr any = world_addr(v == 4 ? "127.0.0.1" : "::1");
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&any, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(listen(fd, 64), 0);
	len = sizeof(ss);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(at, &ss), 0);
	return fd;
}

static void plane_on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	(void)loop;
	(void)io;
	(void)revents;
}

static WORLD_UNUSED void plane_wait(int fd)
{
	ev_io io;

	ev_io_init(&io, plane_on_readable, fd, EV_READ);
	ev_io_start(w.loop, &io);
	world_until(world_readable(fd));
	ev_io_stop(w.loop, &io);
}

static WORLD_UNUSED int plane_accept(int listener)
{
	int fd;

	plane_wait(listener);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fd >= 0);
	return fd;
}

/* Reads exactly @n bytes, equal to @data. */
static WORLD_UNUSED void plane_read(int fd, const void *data, size_t n)
{
	const uint8_t *want = data;
	static uint8_t bytes[65536];

	while (n) {
		ssize_t k;

		plane_wait(fd);
		k = recv(fd, bytes, MIN(n, sizeof(bytes)), 0);
		if (k <= 0)
			fail_msg("%zu bytes are missing: %s", n, k ? strerror(errno) : "EOF");
		assert_memory_equal(bytes, want, (size_t)k);
		want += k;
		n -= (size_t)k;
	}
}

/* The next thing to read is the end: 0, or a reset. */
static WORLD_UNUSED void plane_read_end(int fd, int error)
{
	char c;

	plane_wait(fd);
	if (error) {
		assert_int_equal(recv(fd, &c, 1, 0), -1);
		assert_int_equal(errno, error);
	} else {
		assert_int_equal(recv(fd, &c, 1, 0), 0);
	}
}

/* Nothing is there to be read. */
static WORLD_UNUSED void plane_read_none(int fd)
{
	char c;

	settle();
	assert_int_equal(recv(fd, &c, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
}

/* close() that sends RST. */
static WORLD_UNUSED void plane_reset(int fd)
{
	const struct linger hard = {.l_onoff = 1, .l_linger = 0};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
	close(fd);
}

static WORLD_UNUSED struct conn *plane_conn(void)
{
	assert_non_null(w.last);
	return conn_of(w.last);
}

#endif
