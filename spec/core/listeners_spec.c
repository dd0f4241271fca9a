/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/netlink.h>

#include "world.h"

#include "core/listeners.h"

/* Sockets of a namespace of their own, asked about as the host would. */

#define TOLD_MAX 256

static struct {
	struct listening all[TOLD_MAX];
	size_t count;
} told;

static void on_told(void *arg, const struct listening *l)
{
	assert_ptr_equal(arg, &told);
	assert_true(told.count < TOLD_MAX);
	told.all[told.count++] = *l;
}

static void ask(int diag, int proto)
{
	told.count = 0;
	assert_int_equal(listeners_ask(diag, proto, on_told, &told), 0);
}

static const struct listening *of(uint16_t port)
{
	for (size_t i = 0; i < told.count; i++)
		if (told.all[i].at.port == port)
			return &told.all[i];
	return NULL;
}

static int diag_of_this(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	assert_true(fd >= 0);
	return fd;
}

/* A socket of @type at @at; IPv6 only if @only. */
static int bound(const char *at, int type, int only)
{
	struct sockaddr_storage ss;
	struct addr a = world_addr(at);
	socklen_t len = addr_to_sockaddr(&a, &ss);
	int fd = socket(ss.ss_family, type | SOCK_CLOEXEC, 0);

	if (a.v == 6)
		assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	return fd;
}

static void tells_who_listens_where(void **state)
{
	static const struct {
		const char *bind, *told;
		int only;
		bool both;
	} rows[] = {
		{"127.0.0.1:9001", "127.0.0.1:9001", 0, false},
		{"0.0.0.0:9002", "0.0.0.0:9002", 0, false},
		{"[::]:9003", "[::]:9003", 1, false},
		{"[::]:9004", "[::]:9004", 0, true},
		{"[::1]:9005", "[::1]:9005", 0, false},
		{"[::ffff:127.0.0.1]:9006", "127.0.0.1:9006", 0, false},
		{"[::ffff:0.0.0.0]:9007", "0.0.0.0:9007", 0, false},
	};
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
	int fds[ARRAY_LEN(rows)], diag;

	NEEDS_WORLD;
	diag = diag_of_this();
	for (size_t t = 0; t < 2; t++) {
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			fds[i] = bound(rows[i].bind, types[t], rows[i].only);
			if (types[t] == SOCK_STREAM)
				assert_int_equal(listen(fds[i], 1), 0);
		}
		ask(diag, types[t] == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP);
		assert_int_equal(told.count, ARRAY_LEN(rows));
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			const struct listening *l = of((uint16_t)(9001 + i));
			char text[ADDR_TEXT_MAX];

			assert_non_null(l);
			assert_string_equal(addr_format(&l->at, true, text), rows[i].told);
			assert_int_equal(l->both, rows[i].both);
			assert_int_equal(l->device, 0);
			close(fds[i]);
		}
		ask(diag, types[t] == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP);
		assert_int_equal(told.count, 0);
	}
	close(diag);
}

static void leaves_out_who_waits_for_nobody(void **state)
{
	struct addr to = world_addr("127.0.0.1:9010");
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&to, &ss);
	int diag, bound_only, udp, tcp, l;

	NEEDS_WORLD;
	diag = diag_of_this();
	bound_only = bound("127.0.0.1:9011", SOCK_STREAM, 0);
	l = bound("127.0.0.1:9010", SOCK_STREAM, 0);
	assert_int_equal(listen(l, 1), 0);
	tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(tcp, (struct sockaddr *)&ss, len), 0);
	ask(diag, IPPROTO_TCP);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.all[0].at.port, 9010);
	udp = bound("127.0.0.1:9012", SOCK_DGRAM, 0);
	ask(diag, IPPROTO_UDP);
	assert_int_equal(told.count, 1);
	assert_int_equal(connect(udp, (struct sockaddr *)&ss, len), 0);
	ask(diag, IPPROTO_UDP);
	assert_int_equal(told.count, 0);
	close(udp);
	close(tcp);
	close(l);
	close(bound_only);
	close(diag);
}

static void tells_the_device_of_a_socket_that_is_bound_to_one(void **state)
{
	int diag, fd;

	NEEDS_WORLD;
	diag = diag_of_this();
	fd = bound("0.0.0.0:9020", SOCK_STREAM, 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
	assert_int_equal(listen(fd, 1), 0);
	ask(diag, IPPROTO_TCP);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.all[0].device, if_nametoindex("lo"));
	close(fd);
	close(diag);
}

/* The kernel's answer comes in several pieces, and not mixed with that to another question. */
static void tells_of_many(void **state)
{
	enum {
		MANY = 240
	};
	int fds[MANY], diag;

	NEEDS_WORLD;
	diag = diag_of_this();
	for (size_t i = 0; i < MANY; i++) {
		char text[32];

		snprintf(text, sizeof(text), "0.0.0.0:%zu", 10000 + i);
		fds[i] = bound(text, SOCK_STREAM, 0);
		assert_int_equal(listen(fds[i], 1), 0);
	}
	for (int again = 0; again < 3; again++) {
		ask(diag, IPPROTO_TCP);
		assert_int_equal(told.count, MANY);
		for (size_t i = 0; i < MANY; i++)
			assert_non_null(of((uint16_t)(10000 + i)));
		/* Somebody's question whose answer nobody read. */
		assert_true(send(diag, "", 1, MSG_DONTWAIT) == 1 || errno);
	}
	for (size_t i = 0; i < MANY; i++)
		close(fds[i]);
	close(diag);
}

static void says_that_it_cannot_ask(void **state)
{
	int fd, pair[2];

	NEEDS_WORLD;
	assert_int_equal(listeners_ask(-1, IPPROTO_TCP, on_told, &told), -EBADF);
	/* Nobody answers. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(listeners_ask(pair[0], IPPROTO_TCP, on_told, &told), -EAGAIN);
	close(pair[0]);
	close(pair[1]);
	/* The kernel says no: there is no such protocol. */
	fd = diag_of_this();
	assert_true(listeners_ask(fd, 250, on_told, &told) < 0);
	close(fd);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(tells_who_listens_where),
	cmocka_unit_test(leaves_out_who_waits_for_nobody),
	cmocka_unit_test(tells_the_device_of_a_socket_that_is_bound_to_one),
	cmocka_unit_test(tells_of_many),
	cmocka_unit_test(says_that_it_cannot_ask),
};

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, world_enter, NULL);
}
