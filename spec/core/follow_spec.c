/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/netlink.h>

#include "plane.h"

#include "core/follow.h"

/* Servers in one namespace, the host's loopback in another. */

static struct visits visits;
static struct publish publish;
static struct follow follow;
static int inside, host, diag;

static void into(int ns)
{
	assert_int_equal(setns(ns, CLONE_NEWNET), 0);
}

static int setup(void **state)
{
	int rc = plane_setup(state);

	if (rc || world_missing)
		return rc;
	visits_init(&visits, w.loop, &w.tun, &w.flows, &w.policy);
	publish = (struct publish){
		.loop = w.loop,
		.conns = &plane.conns,
		.visits = &visits,
		.self4 = world_addr("10.0.0.1"),
		.self6 = world_addr("fd00::1"),
		.alias4 = world_addr("10.0.0.100"),
		.alias6 = world_addr("fd00::100"),
	};
	publish_init(&publish);
	host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	world_lo_up();
	inside = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	into(host);
	assert_int_equal(follow_start(&follow, w.loop, &publish, diag), 0);
	return 0;
}

static int teardown(void **state)
{
	if (!world_missing) {
		follow_stop(&follow);
		publish_fini(&publish);
		visits_fini(&visits);
		close(diag);
		close(inside);
		close(host);
	}
	return plane_teardown(state);
}

/* A server in there; the address need not be one yet. */
static int serve(const char *at, int type)
{
	struct addr a = world_addr(at);
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&a, &ss);
	const int on = 1;
	int fd;

	into(inside);
	fd = socket(ss.ss_family, type | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)), 0);
	if (a.v == 6)
		assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 1), 0);
	into(host);
	return fd;
}

static size_t count(void)
{
	size_t n = 0;

	for (struct list *e = publish.all.next; e != &publish.all; e = e->next)
		n++;
	return n;
}

static bool has(unsigned v, uint16_t port, bool udp)
{
	const struct publish_port p = {.port = port, .v = (uint8_t)v, .udp = udp};

	return publish_has(&publish, &p);
}

/* Two rounds more: the first may be under way. */
static void rounds(void)
{
	const uint64_t until = follow.rounds + 2;

	world_until(follow.rounds >= until);
}

static void publishes_what_listens_for_as_long_as_it_does(void **state)
{
	int a, b, c;

	NEEDS_WORLD;
	a = serve("0.0.0.0:9001", SOCK_STREAM);
	b = serve("[fd00::1]:9002", SOCK_STREAM);
	c = serve("10.0.0.1:9003", SOCK_DGRAM);
	rounds();
	assert_true(has(4, 9001, false) && has(6, 9002, false) && has(4, 9003, true));
	assert_int_equal(count(), 3);
	close(a);
	rounds();
	assert_false(has(4, 9001, false));
	assert_int_equal(count(), 2);
	a = serve("0.0.0.0:9001", SOCK_STREAM);
	rounds();
	assert_true(has(4, 9001, false));
	close(a);
	close(b);
	close(c);
	rounds();
	assert_int_equal(count(), 0);
}

static void leaves_out_what_is_not_for_callers(void **state)
{
	static const char *const no[] = {"127.0.0.1:9001", "[::1]:9002", "192.0.2.1:9003",
		"[2001:db8::1]:9004", "127.9.9.9:9005"};
	int fds[2 * ARRAY_LEN(no)], lo, chosen;

	NEEDS_WORLD;
	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		fds[2 * i] = serve(no[i], SOCK_STREAM);
		fds[2 * i + 1] = serve(no[i], SOCK_DGRAM);
	}
	into(inside);
	lo = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(lo, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
	assert_int_equal(listen(lo, 1), 0); /* at a port of the kernel's choice */
	into(host);
	chosen = serve("0.0.0.0", SOCK_DGRAM);
	rounds();
	assert_int_equal(count(), 0);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	close(chosen);
	close(lo);
}

static void asks_seldom_when_nothing_changes(void **state)
{
	int fd;

	NEEDS_WORLD;
	world_until(follow.period_s >= FOLLOW_MOST_S);
	assert_true(follow.period_s <= FOLLOW_MOST_S);
	assert_true(follow.rounds < 12);
	fd = serve("0.0.0.0:9001", SOCK_STREAM);
	world_until(has(4, 9001, false));
	assert_true(follow.period_s <= FOLLOW_LEAST_S);
	close(fd);
}

static void does_without_what_is_published_by_name(void **state)
{
	char why[PUBLISH_WHY_MAX];
	int fd;

	NEEDS_WORLD;
	assert_int_equal(publish_add(&publish, "9101:9001", true, why), 0);
	fd = serve("0.0.0.0:9001", SOCK_STREAM);
	rounds();
	assert_int_equal(count(), 1);
	close(fd);
	rounds();
	assert_int_equal(count(), 1); /* it is not ours to take away */
	assert_true(has(4, 9001, false));
}

static void waits_until_the_port_is_free(void **state)
{
	struct addr a = world_addr("127.0.0.1:9001");
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&a, &ss);
	int taken, fd;

	NEEDS_WORLD;
	taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(taken, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(listen(taken, 1), 0);
	fd = serve("0.0.0.0:9001", SOCK_STREAM);
	rounds();
	assert_int_equal(count(), 0);
	assert_true(follow.ports[0].failed);
	close(taken);
	world_until(has(4, 9001, false));
	close(fd);
}

static void keeps_all_while_it_cannot_ask(void **state)
{
	int pair[2], own, fd;

	NEEDS_WORLD;
	fd = serve("0.0.0.0:9001", SOCK_STREAM);
	rounds();
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	own = follow.diag;
	follow.diag = pair[0];
	close(fd);
	rounds();
	assert_true(follow.deaf);
	assert_int_equal(count(), 1);
	follow.diag = own;
	world_until(count() == 0);
	assert_false(follow.deaf);
	close(pair[0]);
	close(pair[1]);
}

/* Somebody has said no to this one, for as long as it listens. */
static void leaves_withdrawn_what_was_withdrawn(void **state)
{
	int fd;

	NEEDS_WORLD;
	fd = serve("0.0.0.0:9001", SOCK_STREAM);
	rounds();
	assert_int_equal(publish_remove(&publish, "127.0.0.1:9001:9001"), 0);
	rounds();
	assert_int_equal(count(), 0);
	close(fd);
	rounds();
	fd = serve("0.0.0.0:9001", SOCK_STREAM);
	world_until(has(4, 9001, false));
	close(fd);
}

static void needs_a_kernel_that_tells(void **state)
{
	static struct follow f;

	NEEDS_WORLD;
	assert_int_equal(follow_start(&f, w.loop, &publish, -1), -EOPNOTSUPP);
	follow_stop(&f);
}

static void publishes_so_many_and_no_more(void **state)
{
	static int fds[FOLLOW_PORTS + 5];

	NEEDS_WORLD;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		char text[32];

		snprintf(text, sizeof(text), "0.0.0.0:%zu", 10000 + i);
		fds[i] = serve(text, SOCK_STREAM);
	}
	rounds();
	assert_int_equal(count(), FOLLOW_PORTS);
	assert_true(follow.full);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	rounds();
	assert_int_equal(count(), 0);
	assert_false(follow.full);
}

static const struct CMUnitTest tests[] = {
#define IT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	IT(publishes_what_listens_for_as_long_as_it_does),
	IT(leaves_out_what_is_not_for_callers),
	IT(asks_seldom_when_nothing_changes),
	IT(does_without_what_is_published_by_name),
	IT(waits_until_the_port_is_free),
	IT(keeps_all_while_it_cannot_ask),
	IT(leaves_withdrawn_what_was_withdrawn),
	IT(needs_a_kernel_that_tells),
	IT(publishes_so_many_and_no_more),
};

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, world_enter, NULL);
}
