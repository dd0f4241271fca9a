/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#include "server.h"

#define CHILD4 "10.0.0.1:4000"
#define CHILD6 "[fd00::1]:4000"
#define SERVER4 "127.0.0.1:7007"
#define SERVER6 "[::1]:7007"
#define NOBODY4 "127.0.0.1:7008"
#define NOBODY6 "[::1]:7008"

static uint8_t pattern[65536];

static const struct {
	const char *child, *server, *nobody;
	size_t max;
	uint8_t unreach, refused, prohibited, host_unreach;
} family[] = {
	{CHILD4, SERVER4, NOBODY4, 65507, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, ICMP_PKT_FILTERED,
		ICMP_HOST_ANO},
	{CHILD6, SERVER6, NOBODY6, 65527, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT,
		ICMP6_DST_UNREACH_ADMIN, 6},
};

static void denies_in_the_style_asked_for(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		const struct {
			enum deny_style style;
			uint8_t code;
			const char *to;
		} row[] = {
			{DENY_STYLE_REFUSE, family[f].refused, f ? "[::1]:1" : "127.0.0.1:1"},
			{DENY_STYLE_UNREACHABLE, family[f].host_unreach,
				f ? "[::1]:2" : "127.0.0.1:2"},
			{DENY_STYLE_PROHIBITED, family[f].prohibited,
				f ? "[::1]:3" : "127.0.0.1:3"},
			{DENY_STYLE_RESET, family[f].refused, f ? "[::1]:4" : "127.0.0.1:4"},
		};

		w.verdict = VERDICT_DENY;
		for (size_t i = 0; i < ARRAY_LEN(row); i++) {
			w.style = row[i].style;
			world_child_udp(family[f].child, row[i].to, "x", 1);
			assert_int_equal(w.cause, FLOW_CAUSE_DENIED);
			world_child_next();
			world_assert_error(family[f].unreach, row[i].code, family[f].child,
				row[i].to);
		}
		w.verdict = VERDICT_DROP;
		world_child_udp(family[f].child, family[f].nobody, "x", 1);
		world_child_udp(family[f].child, family[f].nobody, "x", 1);
		assert_false(world_child_has());
	}
	assert_int_equal(w.asked, 10);
	assert_int_equal(w.closed, 10);
	assert_int_equal(w.udp.set.refused, 12);
}

static void asks_once_for_a_flood_and_limits_the_answers(void **state)
{
	unsigned answers = 0;

	NEEDS_WORLD;
	w.verdict = VERDICT_DENY;
	for (int i = 0; i < 100; i++)
		world_child_udp(CHILD4, NOBODY4, "x", 1);
	while (world_child_has()) {
		world_child_read();
		answers++;
	}
	assert_int_equal(w.asked, 1);
	assert_int_equal(w.udp.set.refused, 100);
	assert_true(answers >= 6 && answers < 50);
}

static void a_denial_ends_and_policy_is_asked_again(void **state)
{
	NEEDS_WORLD;
	w.verdict = VERDICT_DENY;
	world_child_udp(CHILD4, SERVER4, "x", 1);
	world_child_next();
	assert_int_equal(w.udp.set.count, 1);
	/* Not to wait for 5 s: what is due is decided by this time alone. */
	expiry_first(&w.udp.set.denied)->used -= ASSOC_DENIED_S;
	expiry_use(expiry_first(&w.udp.set.denied));
	world_child_udp(CHILD4, SERVER4, "x", 1);
	assert_int_equal(w.asked, 1);
	ev_feed_event(w.loop, &w.udp.set.denied.timer, EV_TIMER);
	expiry_first(&w.udp.set.denied)->used -= ASSOC_DENIED_S;
	ev_run(w.loop, EVRUN_NOWAIT);
	assert_int_equal(w.udp.set.count, 0);
	world_child_udp(CHILD4, SERVER4, "x", 1);
	assert_int_equal(w.asked, 2);
}

static void sends_nobody_an_error_about_a_group(void **state)
{
	NEEDS_WORLD;
	w.verdict = VERDICT_DENY;
	world_child_udp(CHILD4, "224.0.0.251:5353", "x", 1);
	world_child_udp(CHILD6, "[ff02::fb]:5353", "x", 1);
	world_child_udp("0.0.0.0:1", NOBODY4, "x", 1);
	assert_false(world_child_has());
	assert_int_equal(w.asked, 3);
}

static void holds_datagrams_until_policy_answers(void **state)
{
	struct decision d = {.named = true};
	struct server *s;
	uint8_t i;

	NEEDS_WORLD;
	s = server_start(SERVER4);
	w.verdict = VERDICT_PENDING;
	for (i = 0; i < 20; i++)
		world_child_udp(CHILD4, SERVER4, &i, 1);
	assert_int_equal(w.asked, 1);
	assert_int_equal(w.udp.set.waiting_dropped, 20 - BACKLOG_MAX);
	assert_int_equal(s->received, 0);
	policy_answer(&w.policy, w.last, VERDICT_ALLOW, &d);
	for (i = 0; i < BACKLOG_MAX; i++) {
		world_child_next();
		assert_int_equal(w.bytes[w.p.payload], i);
	}
	assert_int_equal(w.udp.set.waiting_bytes, 0);
	/* The same, refused. */
	world_child_udp("10.0.0.1:4001", SERVER4, "x", 1);
	d = (struct decision){.style = DENY_STYLE_REFUSE};
	policy_answer(&w.policy, w.last, VERDICT_DENY, &d);
	world_child_next();
	world_assert_error(ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, "10.0.0.1:4001", SERVER4);
	/* The same, never answered: policy is told. */
	world_child_udp("10.0.0.1:4002", SERVER4, "x", 1);
	w.last->ops->abort(w.last, FLOW_CAUSE_ABORTED);
	assert_int_equal(w.cancelled, 1);
	assert_int_equal(w.cause, FLOW_CAUSE_ABORTED);
	server_stop(s);
}

static void what_waits_is_bounded_in_bytes(void **state)
{
	char from[32];

	NEEDS_WORLD;
	w.verdict = VERDICT_PENDING;
	for (int i = 0; i < 10; i++) {
		snprintf(from, sizeof(from), "10.0.0.1:%d", 5000 + i);
		for (int k = 0; k < BACKLOG_MAX; k++)
			world_child_udp(from, SERVER4, pattern, 65507);
	}
	assert_true(w.udp.set.waiting_bytes <= BACKLOG_BYTES);
	assert_true(w.udp.set.waiting_bytes > BACKLOG_BYTES / 2);
	assert_true(buf_used() < BACKLOG_BYTES + 65536);
	assert_true(w.udp.set.waiting_dropped > 0);
}

static void an_ended_network_comes_back(void **state)
{
	NEEDS_WORLD;
	world_child_udp(CHILD4, "192.0.2.1:9", "x", 1);
	world_child_next();
	expiry_first(&w.udp.set.failed)->used -= ASSOC_FAILED_S;
	ev_feed_event(w.loop, &w.udp.set.failed.timer, EV_TIMER);
	ev_run(w.loop, EVRUN_NOWAIT);
	assert_int_equal(w.udp.set.count, 0);
}

static void makes_room_by_ending_what_was_idle_longest(void **state)
{
	struct server *s;
	struct flow_key key = {.proto = IPPROTO_UDP};

	NEEDS_WORLD;
	s = server_start(SERVER4);
	w.udp.set.max = 3;
	world_child_udp("10.0.0.1:1", SERVER4, "x", 1);
	world_child_udp("10.0.0.1:2", SERVER4, "x", 1);
	world_child_udp("10.0.0.1:3", SERVER4, "x", 1);
	world_child_udp("10.0.0.1:1", SERVER4, "x", 1); /* used again */
	assert_int_equal(w.closed, 0);
	world_child_udp("10.0.0.1:4", SERVER4, "x", 1);
	assert_int_equal(w.closed, 1);
	assert_int_equal(w.cause, FLOW_CAUSE_EVICTED);
	assert_int_equal(w.up, 1);
	assert_int_equal(w.udp.set.count, 3);
	key.dst = world_addr(SERVER4);
	key.src = world_addr("10.0.0.1:2");
	assert_null(flow_find(&w.flows, &key));
	key.src = world_addr("10.0.0.1:1");
	assert_non_null(flow_find(&w.flows, &key));
	/* A negative entry goes before one that lives. */
	w.verdict = VERDICT_DENY;
	world_child_udp("10.0.0.1:5", SERVER4, "x", 1);
	world_child_udp("10.0.0.1:6", SERVER4, "x", 1);
	assert_non_null(flow_find(&w.flows, &key));
	assert_int_equal(w.udp.set.count, 3);
	server_stop(s);
}

static void ends_what_is_idle(void **state)
{
	struct server *s;

	NEEDS_WORLD;
	s = server_start(SERVER4);
	w.udp.set.idle_s = 0.05;
	world_child_udp(CHILD4, SERVER4, "abc", 3);
	world_child_next();
	world_until(w.closed == 1);
	assert_int_equal(w.cause, FLOW_CAUSE_IDLE);
	assert_int_equal(w.up, 3);
	assert_int_equal(w.down, 3);
	assert_int_equal(w.udp.set.expired, 1);
	/* The next datagram is a new flow. */
	world_child_udp(CHILD4, SERVER4, "abc", 3);
	assert_int_equal(w.asked, 2);
	/* One that waits for policy ends as well. */
	w.verdict = VERDICT_PENDING;
	world_child_udp("10.0.0.1:4001", SERVER4, "x", 1);
	world_until(w.closed == 3);
	assert_int_equal(w.cancelled, 1);
	server_stop(s);
}

static void a_want_of_descriptors_costs_one_datagram(void **state)
{
	struct rlimit old, limit;

	NEEDS_WORLD;
	log_set_level(LOG_LEVEL_ERROR);
	getrlimit(RLIMIT_NOFILE, &old);
	limit = old;
	limit.rlim_cur = 3; /* below what is open */
	setrlimit(RLIMIT_NOFILE, &limit);
	world_child_udp(CHILD4, SERVER4, "x", 1);
	setrlimit(RLIMIT_NOFILE, &old);
	log_set_level(LOG_LEVEL_WARN);
	assert_int_equal(w.udp.set.no_memory, 1);
	assert_int_equal(w.error, EMFILE);
	assert_false(world_child_has());
}

static void uses_the_socket_of_a_dialer(void **state)
{
	int pair[2];
	char bytes[8];

	NEEDS_WORLD;
	w.hooks.dial = world_on_dial;
	w.dial = -EINPROGRESS;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
		0);
	world_child_udp(CHILD4, SERVER4, "one", 3);
	assert_int_equal(w.dials, 1);
	assert_int_equal(w.last->state, FLOW_STATE_DIALING);
	policy_dialed(&w.policy, w.last, pair[0], "early", 5);
	assert_int_equal(read(pair[1], bytes, sizeof(bytes)), 3);
	world_child_next();
	assert_int_equal(w.p.len - w.p.payload, 5);
	assert_int_equal(write(pair[1], "", 0), 0);
	world_child_next();
	world_assert_from_to(SERVER4, CHILD4);
	assert_int_equal(w.p.len - w.p.payload, 0);
	close(pair[1]);
	assert_true(world_idle_wakes() < 200);
	/* One that failed. */
	world_child_udp("10.0.0.1:2", SERVER4, "x", 1);
	policy_dialed(&w.policy, w.last, -ECONNREFUSED, NULL, 0);
	world_child_next();
	world_assert_error(ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, "10.0.0.1:2", SERVER4);
	w.dial = -EHOSTUNREACH;
	world_child_udp("10.0.0.1:3", SERVER4, "x", 1);
	world_child_next();
	world_assert_error(ICMP_DEST_UNREACH, ICMP_HOST_ANO, "10.0.0.1:3", SERVER4);
	/* One whose way ends. */
	w.dial = -EINPROGRESS;
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	world_child_udp("10.0.0.1:4", SERVER4, "x", 1);
	policy_dialed(&w.policy, w.last, pair[0], NULL, 0);
	close(pair[1]);
	world_until(w.closed == 3);
	assert_int_equal(w.cause, FLOW_CAUSE_CLOSED);
}

/* RFC 1928 section 7: what leaves is in an envelope, and what comes without the right one is not
 * for the child. */
static void puts_datagrams_in_the_envelope_of_the_flow(void **state)
{
	static const char head[] = "\0\0\0\1\xcb\0\x71\5\0\x35";
	const size_t n = sizeof(head) - 1;
	int pair[2];
	char bytes[64];

	NEEDS_WORLD;
	w.hooks.dial = world_on_dial;
	w.dial = -EINPROGRESS;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
		0);
	world_child_udp(CHILD4, SERVER4, "one", 3);
	w.last->envelope = envelope_new(head, n);
	assert_non_null(w.last->envelope);
	policy_dialed(&w.policy, w.last, pair[0], NULL, 0);
	/* The one that waited, an empty one, and several of one batch. */
	world_child_udp(CHILD4, SERVER4, "", 0);
	for (int i = 0; i < 3; i++)
		world_child_udp(CHILD4, SERVER4, "many", 4);
	assert_int_equal(read(pair[1], bytes, sizeof(bytes)), n + 3);
	assert_memory_equal(bytes, head, n);
	assert_memory_equal(bytes + n, "one", 3);
	assert_int_equal(read(pair[1], bytes, sizeof(bytes)), n);
	for (int i = 0; i < 3; i++)
		assert_int_equal(read(pair[1], bytes, sizeof(bytes)), n + 4);
	assert_int_equal(w.last->bytes_up, 3 + 3 * 4);
	/* Strangers, nonsense, and then the peer. */
	assert_int_equal(write(pair[1], "\0\0\0\1\xcb\0\x71\6\0\x35no", n + 2), n + 2);
	assert_int_equal(write(pair[1], "no", 2), 2);
	assert_int_equal(write(pair[1], "", 0), 0);
	memcpy(bytes, head, n);
	memcpy(bytes + n, "yes", 3);
	assert_int_equal(write(pair[1], bytes, n + 3), n + 3);
	assert_int_equal(write(pair[1], bytes, n), n);
	world_child_next();
	world_assert_from_to(SERVER4, CHILD4);
	assert_int_equal(w.p.len - w.p.payload, 3);
	assert_memory_equal(w.p.data + w.p.payload, "yes", 3);
	world_child_next();
	assert_int_equal(w.p.len - w.p.payload, 0);
	assert_int_equal(w.udp.set.rx.foreign, 3);
	close(pair[1]);
}

static void a_dialer_that_is_asked_for_and_missing_fails(void **state)
{
	struct decision d = {.named = true};

	NEEDS_WORLD;
	w.verdict = VERDICT_PENDING;
	world_child_udp(CHILD4, SERVER4, "x", 1);
	policy_answer(&w.policy, w.last, VERDICT_VIA, &d);
	world_child_next();
	world_assert_error(ICMP_DEST_UNREACH, ICMP_HOST_ANO, CHILD4, SERVER4);
}

static int abort_flow(void *arg, const struct iovec *iov, int n)
{
	(void)arg;
	(void)iov;
	(void)n;
	if (w.last)
		w.last->ops->abort(w.last, FLOW_CAUSE_ABORTED);
	return true;
}

static bool packet_hook(void *arg, enum hook_dir dir, struct packet *p)
{
	(void)arg;
	(void)dir;
	(void)p;
	return true;
}

static void a_hook_may_abort_the_flow_at_any_time(void **state)
{
	struct server *s;
	unsigned before;

	NEEDS_WORLD;
	w.tun.filter = abort_flow;
	w.hooks.packet = packet_hook; /* it is shown each datagram by itself */
	s = server_start(SERVER4);
	s->mute = true;
	/* While a batch of replies is being read. */
	world_child_udp(CHILD4, SERVER4, "x", 1);
	world_until(s->received == 1);
	for (int i = 0; i < 5; i++)
		assert_int_equal(sendto(s->fd, "y", 1, 0, (struct sockaddr *)&s->from, s->from_len),
			1);
	world_until(w.closed == 1);
	world_child_next();
	assert_false(world_child_has());
	/* While an error is being passed on, from the loop and from a send. */
	world_child_udp(CHILD4, NOBODY4, "x", 1);
	world_until(w.closed == 2);
	world_child_udp(CHILD6, NOBODY6, "x", 1);
	world_child_udp(CHILD6, NOBODY6, "x", 1);
	world_until(w.closed == 3);
	/* While it is being answered. */
	world_child_udp(CHILD4, "192.0.2.1:9", "x", 1);
	assert_int_equal(w.closed, 4);
	/* While what was put off is being sent. */
	world_child_udp(CHILD4, NOBODY4, "x", 1);
	w.in_batch = true;
	for (int i = 0; i < 4; i++)
		world_child_udp(CHILD4, NOBODY4, "x", 1);
	w.in_batch = false;
	udp_flush(&w.udp);
	before = w.closed;
	assert_true(before > 4);
	/* While policy is being asked. */
	w.quits = true;
	world_child_udp("10.0.0.1:5", SERVER4, "x", 1);
	assert_int_equal(w.closed, before + 1);
	assert_int_equal(w.udp.set.active.entries.next == &w.udp.set.active.entries, true);
	server_stop(s);
}

static void an_end_takes_what_was_put_off_along(void **state)
{
	struct server *s;

	NEEDS_WORLD;
	s = server_start(SERVER4);
	w.in_batch = true;
	for (int i = 0; i < 5; i++)
		world_child_udp(CHILD4, SERVER4, "x", 1);
	assert_int_equal(w.udp.set.up, 1); /* the first of a batch does not wait */
	w.last->ops->abort(w.last, FLOW_CAUSE_ABORTED);
	assert_int_equal(w.udp.set.up_dropped, 4);
	udp_flush(&w.udp);
	assert_int_equal(w.udp.set.up, 1);
	/* But who makes room sends first. */
	w.udp.set.max = 1;
	for (int i = 0; i < 5; i++)
		world_child_udp(CHILD4, SERVER4, "x", 1);
	world_child_udp(CHILD6, SERVER6, "x", 1);
	assert_int_equal(w.cause, FLOW_CAUSE_EVICTED);
	assert_int_equal(w.up, 5);
	server_stop(s);
}

int main(void)
{
#define IN_WORLD(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		IN_WORLD(denies_in_the_style_asked_for),
		IN_WORLD(asks_once_for_a_flood_and_limits_the_answers),
		IN_WORLD(a_denial_ends_and_policy_is_asked_again),
		IN_WORLD(sends_nobody_an_error_about_a_group),
		IN_WORLD(holds_datagrams_until_policy_answers),
		IN_WORLD(what_waits_is_bounded_in_bytes),
		IN_WORLD(an_ended_network_comes_back),
		IN_WORLD(makes_room_by_ending_what_was_idle_longest),
		IN_WORLD(ends_what_is_idle),
		IN_WORLD(a_want_of_descriptors_costs_one_datagram),
		IN_WORLD(uses_the_socket_of_a_dialer),
		IN_WORLD(puts_datagrams_in_the_envelope_of_the_flow),
		IN_WORLD(a_dialer_that_is_asked_for_and_missing_fails),
		IN_WORLD(an_end_takes_what_was_put_off_along),
		IN_WORLD(a_hook_may_abort_the_flow_at_any_time),
	};

	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 7 + (i >> 8));
	return cmocka_run_group_tests(tests, world_enter, NULL);
}
