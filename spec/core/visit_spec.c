/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "world.h"

#include "core/visit.h"

static struct visits visits;
static struct visit_port port;
static ev_io io;

static const char *const self[] = {"10.0.0.1:53", "[fd00::1]:53"};
static const char *const alias[] = {"10.0.0.100", "fd00::100"};
static const char *const loopback[] = {"127.0.0.1", "::1"};

static void on_readable(struct ev_loop *loop, ev_io *w_, int revents)
{
	(void)loop;
	(void)w_;
	(void)revents;
	visit_receive(&visits, &port);
}

/* A socket of family @f, bound to @at and a free port, in *@bound. */
static int socket_at(size_t f, const char *at, struct addr *bound)
{
	struct addr a = world_addr(at);
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&a, &ss);
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;

	if (f)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	len = sizeof(ss);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(bound, &ss), 0);
	return fd;
}

static struct addr published; /* where callers send to; its address is that of loopback */

static void open_port(size_t f)
{
	int fd = socket_at(f, f ? "::" : "0.0.0.0", &published);
	struct addr at = world_addr(loopback[f]);

	assert_int_equal(visit_prepare(fd, f ? 6 : 4), 0);
	at.port = published.port;
	published = at;
	port = (struct visit_port){.fd = fd,
		.self = world_addr(self[f]),
		.alias = world_addr(alias[f]),
		.named = true};
	ev_io_init(&io, on_readable, fd, EV_READ);
	ev_io_start(w.loop, &io);
}

static void close_port(void)
{
	visit_close(&visits, &port);
	ev_io_stop(w.loop, &io);
	close(port.fd);
}

static int up(void **state)
{
	int rc = world_setup(state);

	if (rc || world_missing)
		return rc;
	log_set_level(LOG_LEVEL_ERROR);
	visits_init(&visits, w.loop, &w.tun, &w.flows, &w.policy);
	w.policy.default_deny = true; /* what the user named is open all the same */
	w.verdict = VERDICT_NONE;
	return 0;
}

static int down(void **state)
{
	if (!world_missing) {
		visits_fini(&visits);
		assert_int_equal(visits.count, 0);
		assert_int_equal(visits.waiting_bytes, 0);
	}
	return world_teardown(state);
}

static void send_to(int fd, const struct addr *to, const char *text)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(to, &ss);

	assert_int_equal(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&ss, len),
		(ssize_t)strlen(text));
}

/* Lets the host look at all that was sent. */
static void look(void)
{
	for (int i = 0; i < 3; i++)
		ev_run(w.loop, EVRUN_NOWAIT);
}

/* The child gets @text from @from. */
static void child_gets(const struct addr *from, size_t f, const char *text)
{
	char a[ADDR_TEXT_MAX];

	world_child_next();
	world_assert_from_to(addr_format(from, true, a), self[f]);
	assert_int_equal(w.p.len - w.p.payload, strlen(text));
	assert_memory_equal(w.p.data + w.p.payload, text, strlen(text));
}

static struct addr seen_as(size_t f, const struct addr *caller)
{
	struct addr a = world_addr(alias[f]);

	a.port = caller->port;
	return a;
}

static void child_says(size_t f, const struct addr *to, const char *text)
{
	char a[ADDR_TEXT_MAX];

	world_child_udp(self[f], addr_format(to, true, a), text, strlen(text));
	look();
}

/* @fd gets @text, from @from. */
static void caller_gets(int fd, const struct addr *from, const char *text)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr a;
	char got[64];

	assert_true(world_readable(fd));
	assert_int_equal(recvfrom(fd, got, sizeof(got), 0, (struct sockaddr *)&ss, &len),
		(ssize_t)strlen(text));
	assert_memory_equal(got, text, strlen(text));
	assert_int_equal(addr_from_sockaddr(&a, &ss), 0);
	assert_true(addr_equal(&a, from));
}

static void carries_datagrams_both_ways(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < 2; f++) {
		struct addr one, two, as;
		int a = socket_at(f, loopback[f], &one), b = socket_at(f, loopback[f], &two);

		open_port(f);
		send_to(a, &published, "first");
		look();
		as = seen_as(f, &one);
		child_gets(&as, f, "first");
		assert_true(w.last->inbound);
		child_says(f, &as, "answer");
		caller_gets(a, &published, "answer");
		send_to(b, &published, "");
		look();
		as = seen_as(f, &two);
		child_gets(&as, f, "");
		child_says(f, &as, "to b");
		caller_gets(b, &published, "to b");
		assert_false(world_readable(a));
		close_port();
		close(a);
		close(b);
	}
	assert_int_equal(w.asked, 4);
	assert_int_equal(w.closed, 4);
}

/* On a wildcard socket the answer must not come from another of the host's addresses. */
static void answers_from_where_it_was_called(void **state)
{
	struct addr caller, as, to;
	int fd;

	NEEDS_WORLD;
	open_port(0);
	fd = socket_at(0, "127.0.0.1", &caller);
	to = world_addr("127.0.0.77");
	to.port = published.port;
	send_to(fd, &to, "x");
	look();
	as = seen_as(0, &caller);
	child_gets(&as, 0, "x");
	child_says(0, &as, "y");
	caller_gets(fd, &to, "y");
	close_port();
	close(fd);
}

static void asks_once_and_keeps_a_denial(void **state)
{
	struct addr caller;
	int fd;

	NEEDS_WORLD;
	w.verdict = VERDICT_DENY;
	open_port(0);
	fd = socket_at(0, "127.0.0.1", &caller);
	for (int i = 0; i < 5; i++)
		send_to(fd, &published, "x");
	look();
	assert_false(world_child_has());
	assert_int_equal(w.asked, 1);
	assert_int_equal(w.closed, 1);
	assert_int_equal(w.cause, FLOW_CAUSE_DENIED);
	assert_int_equal(visits.refused, 5);
	close_port();
	close(fd);
}

static void waits_for_policy(void **state)
{
	struct decision d = {0};
	struct addr caller, as;
	int fd;

	NEEDS_WORLD;
	w.verdict = VERDICT_PENDING;
	open_port(0);
	fd = socket_at(0, "127.0.0.1", &caller);
	as = seen_as(0, &caller);
	send_to(fd, &published, "one");
	send_to(fd, &published, "two");
	look();
	assert_false(world_child_has());
	assert_int_equal(w.asked, 1);
	policy_answer(&w.policy, w.last, VERDICT_ALLOW, &d);
	child_gets(&as, 0, "one");
	child_gets(&as, 0, "two");
	close_port();

	open_port(0);
	send_to(fd, &published, "three");
	look();
	close_port(); /* while it waits */
	assert_int_equal(w.cancelled, 1);
	close(fd);
}

static void may_be_ended_by_the_hook_that_is_asked(void **state)
{
	struct addr caller;
	int fd;

	NEEDS_WORLD;
	w.quits = true;
	open_port(0);
	fd = socket_at(0, "127.0.0.1", &caller);
	send_to(fd, &published, "x");
	look();
	assert_false(world_child_has());
	assert_int_equal(visits.count, 0);
	close_port();
	close(fd);
}

static void makes_room_for_another_caller(void **state)
{
	struct addr caller;
	int fd[3];

	NEEDS_WORLD;
	visits.max = 2;
	open_port(0);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		fd[i] = socket_at(0, "127.0.0.1", &caller);
		send_to(fd[i], &published, "x");
		look();
		world_child_next();
	}
	assert_int_equal(visits.count, 2);
	assert_int_equal(w.closed, 1);
	assert_int_equal(w.cause, FLOW_CAUSE_EVICTED);
	close_port();
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		close(fd[i]);
}

static void ends_what_is_idle(void **state)
{
	struct addr caller;
	int fd;

	NEEDS_WORLD;
	visits.idle_s = 0.05;
	open_port(0);
	fd = socket_at(0, "127.0.0.1", &caller);
	send_to(fd, &published, "x");
	look();
	world_until(visits.count == 0);
	assert_int_equal(w.cause, FLOW_CAUSE_IDLE);
	close_port();
	close(fd);
}

/* 127.0.0.1 and 127.0.0.2 with one port look alike inside: the second is not mixed with the first.
 */
static void does_not_mix_callers_that_look_alike(void **state)
{
	struct addr one, two, as;
	struct sockaddr_storage ss;
	int a, b;

	NEEDS_WORLD;
	open_port(0);
	a = socket_at(0, "127.0.0.1", &one);
	two = world_addr("127.0.0.2");
	two.port = one.port;
	b = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(b, (struct sockaddr *)&ss, addr_to_sockaddr(&two, &ss)), 0);
	send_to(a, &published, "a");
	look();
	as = seen_as(0, &one);
	child_gets(&as, 0, "a");
	send_to(b, &published, "b");
	look();
	assert_false(world_child_has());
	assert_int_equal(visits.dropped, 1);
	close_port();
	close(a);
	close(b);
}

static void presents_who_can_be(void **state)
{
	static const struct {
		const char *peer, *own;
		bool as_it_is;
	} all[] = {
		{"203.0.113.1", "10.0.0.1", true},
		{"10.0.0.7", "10.0.0.1", true},
		{"10.0.0.1", "10.0.0.1", false},
		{"127.0.0.1", "10.0.0.1", false},
		{"127.9.9.9", "10.0.0.1", false},
		{"0.0.0.0", "10.0.0.1", false},
		{"224.0.0.1", "10.0.0.1", false},
		{"2001:db8::1", "fd00::1", true},
		{"fd00::1", "fd00::1", false},
		{"::1", "fd00::1", false},
		{"fe80::1", "fd00::1", false},
		{"febf::1", "fd00::1", false},
		{"ff02::1", "fd00::1", false},
		{"2001:db8::1", "10.0.0.1", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct addr peer = world_addr(all[i].peer), own = world_addr(all[i].own);

		assert_int_equal(visit_is_presentable(&peer, &own), all[i].as_it_is);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(presents_who_can_be),
#define IT(name) cmocka_unit_test_setup_teardown(name, up, down)
	IT(carries_datagrams_both_ways),
	IT(answers_from_where_it_was_called),
	IT(asks_once_and_keeps_a_denial),
	IT(waits_for_policy),
	IT(may_be_ended_by_the_hook_that_is_asked),
	IT(makes_room_for_another_caller),
	IT(ends_what_is_idle),
	IT(does_not_mix_callers_that_look_alike),
};

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, world_enter, NULL);
}
