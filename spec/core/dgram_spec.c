/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "server.h"

#include "core/dgram.h"

#define SERVER4 "127.0.0.1:7007"
#define NOBODY4 "127.0.0.1:7008"
#define NOBODY6 "[::1]:7008"

static struct dgram d;
static struct dgram_rx rx;
static unsigned received, errors, failures, ends;
static int last_error;
static uint8_t last[65536];
static size_t last_len, last_segment;
static unsigned calls;
static bool closes; /* the next event closes @d */

static void on_received(struct dgram *x, const struct dgram_in *in, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		received++;
		last_len = in[i].len;
		last_segment = in[i].segment;
		memcpy(last, in[i].data, in[i].len);
		memset(in[i].data - BUF_HEADROOM, 0xee, BUF_HEADROOM); /* it is ours */
	}
	calls++;
	if (closes)
		dgram_close(x);
}

static void on_error(struct dgram *x, const struct sock_extended_err *ee, const struct addr *from,
	uint8_t *data, size_t n)
{
	errors++;
	last_error = (int)ee->ee_errno;
	last_len = n;
	memcpy(last, data, n);
	memset(data - BUF_HEADROOM, 0xee, BUF_HEADROOM);
	memset(data + n, 0xee, 8);
	assert_true(from->v == 4 || from->v == 6);
	if (closes)
		dgram_close(x);
}

static void on_failed(struct dgram *x, int error, bool ended)
{
	failures++;
	ends += ended;
	last_error = error;
	if (ended)
		dgram_close(x);
}

static const struct dgram_ops ops = {.received = on_received,
	.error = on_error,
	.failed = on_failed};

static int setup(void **state)
{
	if (world_missing)
		return 0;
	calls = received = errors = failures = ends = 0;
	last_error = 0;
	closes = false;
	memset(&d, 0, sizeof(d));
	d.fd = -1;
	if (world_setup(state))
		return -1;
	dgram_rx_init(&rx);
	return 0;
}

static int teardown(void **state)
{
	if (world_missing)
		return 0;
	dgram_close(&d);
	dgram_rx_fini(&rx);
	return world_teardown(state);
}

static void start(const char *to)
{
	struct addr a = world_addr(to);
	int fd = dgram_open(&a, false);

	assert_true(fd >= 0);
	dgram_start(&d, &ops, w.loop, &rx, fd, &a, false);
}

static void start_dialed(int type, int *other)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	dgram_start(&d, &ops, w.loop, &rx, pair[0], NULL, false);
	*other = pair[1];
}

static void opens_what_does_not_block_or_leak(void **state)
{
	struct addr a;
	int fd;

	NEEDS_WORLD;
	a = world_addr(SERVER4);
	fd = dgram_open(&a, false);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	a = world_addr("192.0.2.1:1");
	assert_int_equal(dgram_open(&a, false), -ENETUNREACH);
}

static void reads_more_than_a_batch(void **state)
{
	struct server *s;

	NEEDS_WORLD;
	s = server_start(SERVER4);
	start(SERVER4);
	for (uint8_t i = 0; i < 2 * DGRAM_BATCH + 1; i++)
		assert_int_equal(dgram_send(&d, &i, 1), 0);
	world_until(received == 2 * DGRAM_BATCH + 1);
	assert_int_equal(last[0], 2 * DGRAM_BATCH);
	server_stop(s);
}

static void may_be_closed_by_what_it_reads(void **state)
{
	struct server *s;

	NEEDS_WORLD;
	s = server_start(SERVER4);
	start(SERVER4);
	for (uint8_t i = 0; i < 8; i++)
		assert_int_equal(dgram_send(&d, &i, 1), 0);
	while (s->received < 8) /* all are there before the first is read */
		server_on_readable(w.loop, &s->io, EV_READ);
	closes = true;
	world_until(received > 0);
	assert_int_equal(calls, 1);
	assert_int_equal(d.fd, -1);
	dgram_close(&d); /* again */
	server_stop(s);
}

static void empties_the_error_queue(void **state)
{
	const char *const to[] = {NOBODY4, NOBODY6};

	NEEDS_WORLD;
	for (size_t i = 0; i < ARRAY_LEN(to); i++) {
		errors = 0;
		start(to[i]);
		assert_int_equal(dgram_send(&d, "hello", 5), 0);
		world_until(errors == 1);
		assert_int_equal(last_error, ECONNREFUSED);
		assert_int_equal(last_len, 5);
		assert_memory_equal(last, "hello", 5);
		assert_true(world_idle_wakes() < 5);
		assert_int_equal(failures, 0);
		dgram_close(&d);
	}
}

static void an_old_error_eats_no_datagram(void **state)
{
	struct server *s;

	NEEDS_WORLD;
	start(NOBODY4);
	assert_int_equal(dgram_send(&d, "lost", 4), 0);
	s = server_start(NOBODY4);
	assert_int_equal(dgram_send(&d, "kept", 4), 0);
	assert_int_equal(errors, 1);
	world_until(received == 1);
	assert_memory_equal(last, "kept", 4);
	/* An error's event that closes is seen by who sends. */
	server_stop(s);
	assert_int_equal(dgram_send(&d, "lost", 4), 0);
	closes = true;
	assert_int_equal(dgram_send(&d, "lost", 4), -ECANCELED);
	assert_int_equal(d.fd, -1);
}

static void sends_with_a_mark(void **state)
{
	uint8_t control[128];
	struct iovec iov = {.iov_base = last, .iov_len = sizeof(last)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control};
	const int on = 1;
	struct server *s;
	int ttl = 0, tos = 0;

	NEEDS_WORLD;
	s = server_start(SERVER4);
	ev_io_stop(w.loop, &s->io);
	setsockopt(s->fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on));
	setsockopt(s->fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on));
	start(SERVER4);
	dgram_mark(&d, 7, 0xb8 | 1);
	assert_int_equal(dgram_send(&d, "x", 1), 0);
	m.msg_controllen = sizeof(control);
	assert_int_equal(recvmsg(s->fd, &m, 0), 1);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_type == IP_TTL)
			memcpy(&ttl, CMSG_DATA(c), sizeof(ttl));
		else if (c->cmsg_type == IP_TOS)
			tos = *CMSG_DATA(c);
	}
	assert_int_equal(ttl, 7);
	assert_int_equal(tos, 0xb8); /* without ECN */
	dgram_mark(&d, 0, 0);        /* no TTL: goes as before */
	assert_int_equal(dgram_send(&d, "x", 1), 0);
	server_stop(s);
}

static void tells_the_end_of_a_dialers_socket(void **state)
{
	struct addr a;
	int other;

	NEEDS_WORLD;
	start_dialed(SOCK_SEQPACKET, &other);
	assert_int_equal(write(other, "x", 1), 1);
	close(other);
	world_until(ends == 1);
	assert_int_equal(received, 1);
	/* An empty datagram is none. */
	start_dialed(SOCK_DGRAM, &other);
	assert_int_equal(write(other, "", 0), 0);
	world_until(received == 2);
	assert_int_equal(ends, 1);
	close(other);
	dgram_close(&d);
	/* Readable for ever and nothing to read. */
	a = world_addr(SERVER4);
	memset(&d, 0, sizeof(d));
	dgram_start(&d, &ops, w.loop, &rx, dgram_open(&a, false), NULL, false);
	assert_int_equal(shutdown(d.fd, SHUT_RD), 0);
	world_until(ends == 2);
}

static unsigned open_descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1000; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

/* Whoever a dialer has connected to may send descriptors along with a datagram: they would stay. */
static void takes_no_descriptor_from_strangers(void **state)
{
	static const int type[] = {SOCK_DGRAM, SOCK_SEQPACKET};

	NEEDS_WORLD;
	for (size_t i = 0; i < 2; i++) {
		union {
			struct cmsghdr h;
			char bytes[CMSG_SPACE(sizeof(int))];
		} control;
		struct iovec iov = {.iov_base = "x", .iov_len = 1};
		struct msghdr m = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control)};
		unsigned before;
		int other;

		memset(&d, 0, sizeof(d));
		start_dialed(type[i], &other);
		received = 0;
		memset(&control, 0, sizeof(control));
		control.h = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.h), &other, sizeof(other));
		before = open_descriptors();
		for (int k = 0; k < 20; k++)
			assert_int_equal(sendmsg(other, &m, 0), 1);
		world_until(received == 20);
		assert_int_equal(open_descriptors(), before);
		dgram_close(&d);
		close(other);
		/* The next socket of ours has its control messages again. */
		memset(&d, 0, sizeof(d));
		start(NOBODY4);
		assert_int_equal(dgram_send(&d, "x", 1), 0);
		errors = 0;
		world_until(errors == 1);
		dgram_close(&d);
	}
}

static void calls_a_full_socket_a_shortage(void **state)
{
	int other, rc = 0;

	NEEDS_WORLD;
	start_dialed(SOCK_DGRAM, &other);
	for (int i = 0; i < 100000 && rc == 0; i++)
		rc = dgram_send(&d, last, 1000);
	assert_int_equal(rc, -EAGAIN);
	assert_true(dgram_is_shortage(-rc));
	assert_false(dgram_is_shortage(ECONNREFUSED));
	close(other);
}

static void knows_the_mtu_of_its_own_sockets(void **state)
{
	int other;

	NEEDS_WORLD;
	start(SERVER4);
	assert_int_equal(dgram_mtu(&d), 65535);
	dgram_close(&d);
	start_dialed(SOCK_DGRAM, &other);
	assert_int_equal(dgram_mtu(&d), 0);
	close(other);
}

int main(void)
{
#define IN_WORLD(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		IN_WORLD(opens_what_does_not_block_or_leak),
		IN_WORLD(reads_more_than_a_batch),
		IN_WORLD(may_be_closed_by_what_it_reads),
		IN_WORLD(empties_the_error_queue),
		IN_WORLD(an_old_error_eats_no_datagram),
		IN_WORLD(sends_with_a_mark),
		IN_WORLD(tells_the_end_of_a_dialers_socket),
		IN_WORLD(takes_no_descriptor_from_strangers),
		IN_WORLD(calls_a_full_socket_a_shortage),
		IN_WORLD(knows_the_mtu_of_its_own_sockets),
	};

	return cmocka_run_group_tests(tests, world_enter, NULL);
}
