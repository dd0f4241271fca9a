/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#include "plane.h"

/* A connection until it is open: the held SYN and what becomes of it. What is carried afterwards:
 * relay_spec.c, detour_spec.c. */

static const char *const child[] = {"10.0.0.1:40000", "[fd00::1]:40000"};
static const char *const nowhere[] = {"192.0.2.1:80", "[2001:db8::1]:80"};

static void ask_the_dialer(int answer)
{
	w.hooks.dial = world_on_dial;
	w.dial = answer;
}

/* A connected pair: what a dialer hands in, and its far end in *@far. */
static int dialed(int *far)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
		0);
	*far = pair[1];
	return pair[0];
}

static struct talk call(size_t f)
{
	struct addr peer = world_addr(nowhere[f]);
	struct talk t = talk_new(child[f], &peer);

	talk_syn(&t, talk_linux, sizeof(talk_linux));
	settle();
	return t;
}

static void repeat_syn(struct talk *t, uint32_t seq)
{
	t->seq = seq;
	talk_syn(t, talk_linux, sizeof(talk_linux));
	settle();
}

static void hang_up(struct talk *t)
{
	const unsigned before = w.closed;

	talk_send(t, RST, NULL, 0);
	world_until(w.closed == before + 1);
	assert_int_equal(w.cause, FLOW_CAUSE_CHILD_RESET);
	while (world_child_has())
		world_child_read();
}

/* Both can talk, until the child resets. */
static void finish(struct talk *t, int listener, int fd)
{
	talk_expect(t, SYN | ACK);
	talk_send(t, ACK, "hello", 5);
	plane_read(fd, "hello", 5);
	assert_int_equal(write(fd, "world", 5), 5);
	talk_get(t, "world", 5);
	if (listener >= 0)
		close(listener);
	hang_up(t);
	plane_read_end(fd, listener >= 0 ? ECONNRESET : 0);
	close(fd);
}

static void connects(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < 2; f++) {
		struct addr at;
		int listener = plane_listen(f ? 6 : 4, &at), fd;
		struct talk t = talk_new(child[f], &at);

		talk_syn(&t, talk_linux, sizeof(talk_linux));
		fd = plane_accept(listener);
		finish(&t, listener, fd);
	}
	assert_int_equal(w.asked, 2);
}

static void holds_the_syn_until_the_dial_is_done(void **state)
{
	NEEDS_WORLD;
	ask_the_dialer(-EINPROGRESS);
	for (size_t f = 0; f < 2; f++) {
		struct talk t = call(f);
		int far, fd = dialed(&far);

		segment_none();
		for (int i = 0; i < 3; i++) /* the child's kernel repeats it */
			repeat_syn(&t, 1000);
		segment_none();
		assert_int_equal(w.asked, f + 1);
		assert_int_equal(w.dials, f + 1);
		policy_dialed(&w.policy, w.last, fd, NULL, 0);
		finish(&t, -1, far);
		segment_none();
	}
}

static void answers_the_newest_syn(void **state)
{
	struct talk t;
	int far, fd;

	NEEDS_WORLD;
	ask_the_dialer(-EINPROGRESS);
	t = call(0);
	fd = dialed(&far);
	repeat_syn(&t, 777000); /* another connect() from the same port */
	repeat_syn(&t, 1000);
	repeat_syn(&t, 888000);
	assert_int_equal(w.asked, 1);
	policy_dialed(&w.policy, w.last, fd, NULL, 0);
	finish(&t, -1, far);
}

static void forgets_a_syn_that_is_taken_back(void **state)
{
	struct talk t;

	NEEDS_WORLD;
	ask_the_dialer(-EINPROGRESS);
	t = call(0);
	talk_send(&t, RST, NULL, 0);
	segment_none();
	assert_int_equal(w.closed, 1);
	assert_int_equal(w.cancelled, 1);
	assert_int_equal(w.cause, FLOW_CAUSE_CHILD_RESET);
	/* While policy thinks, too. */
	w.verdict = VERDICT_PENDING;
	t = call(1);
	talk_send(&t, RST | ACK, NULL, 0);
	segment_none();
	assert_int_equal(w.closed, 2);
	assert_int_equal(w.cancelled, 2);
}

static void waits_for_policy(void **state)
{
	struct decision d = {.named = true};
	struct talk t;
	int far, fd;

	NEEDS_WORLD;
	w.verdict = VERDICT_PENDING;
	ask_the_dialer(-EINPROGRESS);
	t = call(0);
	repeat_syn(&t, 1000);
	segment_none();
	assert_int_equal(w.dials, 0);
	policy_answer(&w.policy, w.last, VERDICT_ALLOW, &d);
	assert_int_equal(w.dials, 1);
	fd = dialed(&far);
	policy_dialed(&w.policy, w.last, fd, NULL, 0);
	finish(&t, -1, far);
	t = call(1);
	d = (struct decision){0};
	policy_answer(&w.policy, w.last, VERDICT_DENY, &d);
	talk_expect(&t, RST | ACK);
	assert_int_equal(w.cause, FLOW_CAUSE_DENIED);
}

/* With no payload the sequence numbers would be the same: it is not acknowledged, so it comes
 * again. */
static void leaves_the_payload_of_a_syn(void **state)
{
	static uint8_t much[1400];

	NEEDS_WORLD;
	ask_the_dialer(-EINPROGRESS);
	for (size_t f = 0; f < 2; f++) {
		struct addr peer = world_addr(nowhere[f]);
		struct talk t = talk_new(child[f], &peer);
		int far, fd = dialed(&far);

		talk_send(&t, SYN, much, sizeof(much));
		settle();
		t.seq -= sizeof(much);
		policy_dialed(&w.policy, w.last, fd, NULL, 0);
		finish(&t, -1, far);
	}
}

static void hears_the_truth_about_a_refusal(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < 2; f++) {
		struct addr at;
		struct talk t;

		close(plane_listen(f ? 6 : 4, &at));
		t = talk_new(child[f], &at);
		talk_syn(&t, talk_linux, sizeof(talk_linux));
		talk_expect(&t, RST | ACK);
		assert_int_equal(w.closed, f + 1);
		assert_int_equal(w.cause, FLOW_CAUSE_DIAL_FAILED);
		assert_int_equal(w.error, ECONNREFUSED);
	}
}

static void tells_each_failure_in_its_way(void **state)
{
	static const struct {
		int error, code4, code6; /* code -1: RST */
	} way[] = {
		{ECONNREFUSED, -1, -1},
		{ECONNRESET, -1, -1},
		{ENETUNREACH, ICMP_NET_UNREACH, ICMP6_DST_UNREACH_NOROUTE},
		{EADDRNOTAVAIL, ICMP_NET_UNREACH, ICMP6_DST_UNREACH_NOROUTE},
		{EHOSTUNREACH, ICMP_HOST_UNREACH, ICMP6_DST_UNREACH_ADDR},
		{EACCES, ICMP_PKT_FILTERED, ICMP6_DST_UNREACH_ADMIN},
		{EPERM, ICMP_PKT_FILTERED, ICMP6_DST_UNREACH_ADMIN},
		{EMFILE, -1, -1},
		{ENOMEM, -1, -1},
		{EPROTO, -1, -1},
	};

	NEEDS_WORLD;
	for (size_t i = 0; i < 2 * ARRAY_LEN(way); i++) {
		const size_t f = i & 1;
		const int code = f ? way[i / 2].code6 : way[i / 2].code4;
		struct talk t;

		/* Known at once, or later. */
		ask_the_dialer(i & 2 ? -EINPROGRESS : -way[i / 2].error);
		t = call(f);
		if (i & 2)
			policy_dialed(&w.policy, w.last, -way[i / 2].error, NULL, 0);
		if (code < 0) {
			talk_expect(&t, RST | ACK);
		} else {
			world_child_next();
			world_assert_error(f ? ICMP6_DST_UNREACH : ICMP_DEST_UNREACH, (uint8_t)code,
				child[f], nowhere[f]);
		}
		assert_int_equal(w.cause, FLOW_CAUSE_DIAL_FAILED);
		assert_int_equal(w.error, way[i / 2].error);
		segment_none();
	}
}

static void denies_in_each_style(void **state)
{
	static const struct {
		enum deny_style style;
		int code4, code6;
	} way[] = {
		{DENY_STYLE_REFUSE, -1, -1},
		{DENY_STYLE_RESET, -1, -1},
		{DENY_STYLE_UNREACHABLE, ICMP_HOST_UNREACH, ICMP6_DST_UNREACH_ADDR},
		{DENY_STYLE_PROHIBITED, ICMP_PKT_FILTERED, ICMP6_DST_UNREACH_ADMIN},
	};

	NEEDS_WORLD;
	w.verdict = VERDICT_DENY;
	for (size_t i = 0; i < 2 * ARRAY_LEN(way); i++) {
		const size_t f = i & 1;
		const int code = f ? way[i / 2].code6 : way[i / 2].code4;
		struct talk t;

		w.style = way[i / 2].style;
		t = call(f);
		if (code < 0) {
			talk_expect(&t, RST | ACK);
		} else {
			world_child_next();
			world_assert_error(f ? ICMP6_DST_UNREACH : ICMP_DEST_UNREACH, (uint8_t)code,
				child[f], nowhere[f]);
		}
		assert_int_equal(w.cause, FLOW_CAUSE_DENIED);
	}
	assert_int_equal(plane.conns.count, 0);
}

/* A repeated SYN of a dropped connection asks nobody again; another connect() does. */
static void stays_silent(void **state)
{
	struct talk t;

	NEEDS_WORLD;
	w.verdict = VERDICT_DROP;
	t = call(0);
	for (int i = 0; i < 5; i++)
		repeat_syn(&t, 1000);
	segment_none();
	assert_int_equal(w.asked, 1);
	assert_int_equal(w.closed, 1);
	assert_int_equal(w.cause, FLOW_CAUSE_DENIED);
	talk_send(&t, ACK, "x", 1); /* nor does it wake by anything else */
	talk_send(&t, RST, NULL, 0);
	segment_none();
	repeat_syn(&t, 5000);
	assert_int_equal(w.asked, 2);
	/* The same for a destination that does not answer. */
	w.verdict = VERDICT_ALLOW;
	ask_the_dialer(-EINPROGRESS);
	t = call(1);
	policy_dialed(&w.policy, w.last, -ETIMEDOUT, NULL, 0);
	repeat_syn(&t, 1000);
	segment_none();
	assert_int_equal(w.asked, 3);
	assert_int_equal(w.error, ETIMEDOUT);
	assert_int_equal(plane.conns.quiet_count, 2);
	assert_int_equal(plane.conns.count, 0);
}

static void keeps_few_silent_ones(void **state)
{
	struct addr peer;
	struct talk t;

	NEEDS_WORLD;
	w.verdict = VERDICT_DROP;
	peer = world_addr(nowhere[0]);
	t = talk_new(child[0], &peer);
	for (unsigned i = 0; i < 3000; i++) {
		t.self.port = (uint16_t)(1024 + i);
		talk_syn(&t, NULL, 0);
		settle();
	}
	assert_int_equal(w.asked, 3000);
	assert_int_equal(w.closed, 3000);
	assert_true(w.flows.count <= 1024);
	segment_none();
}

static void gives_up_a_dial_in_time(void **state)
{
	struct sockaddr_storage ss;
	char text[ADDR_TEXT_MAX];
	struct addr at;
	struct talk t;
	int listener, filler[4];

	NEEDS_WORLD;
	listener = plane_listen(4, &at);
	assert_int_equal(listen(listener, 0), 0); /* one fits, then SYNs are dropped */
	for (size_t i = 0; i < ARRAY_LEN(filler); i++) {
		filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(filler[i], (struct sockaddr *)&ss, addr_to_sockaddr(&at, &ss));
	}
	plane.conns.dial_timeout_s = 0.1;
	t = talk_new(child[0], &at);
	talk_syn(&t, talk_linux, sizeof(talk_linux));
	world_until(w.closed == 1);
	assert_int_equal(w.error, ETIMEDOUT);
	world_child_next();
	world_assert_error(ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, child[0],
		addr_format(&at, false, text));
	for (size_t i = 0; i < ARRAY_LEN(filler); i++)
		close(filler[i]);
	close(listener);
}

static void refuses_above_its_limit(void **state)
{
	struct talk a, b;
	int far, fd;

	NEEDS_WORLD;
	ask_the_dialer(-EINPROGRESS);
	plane.conns.max = 1;
	a = call(0);
	b = call(1);
	talk_expect(&b, RST | ACK);
	assert_int_equal(plane.conns.refused, 1);
	assert_int_equal(w.asked, 1);
	talk_send(&a, RST, NULL, 0);
	settle();
	b = call(1);
	fd = dialed(&far);
	policy_dialed(&w.policy, w.last, fd, NULL, 0);
	finish(&b, -1, far);
	assert_int_equal(plane.conns.refused, 1);
}

static void gives_early_bytes_first(void **state)
{
	static char early[100005];
	struct talk t;
	int far, fd;

	NEEDS_WORLD;
	memset(early, 'e', 100000);
	memcpy(early + 100000, "later", 5);
	ask_the_dialer(-EINPROGRESS);
	for (int shown = 0; shown < 2; shown++) {
		if (shown)
			plane.shape = shape_new();
		t = call(0);
		fd = dialed(&far);
		assert_int_equal(write(far, "later", 5), 5);
		policy_dialed(&w.policy, w.last, fd, early, 100000);
		talk_expect(&t, SYN | ACK);
		talk_send(&t, ACK, NULL, 0);
		talk_get(&t, early, sizeof(early));
		assert_int_equal(w.last->bytes_down, sizeof(early));
		hang_up(&t);
		close(far);
	}
}

static void tells_both_when_a_script_ends_it(void **state)
{
	struct talk t;
	int far, fd;

	NEEDS_WORLD;
	ask_the_dialer(-EINPROGRESS);
	t = call(0);
	w.last->ops->abort(w.last, FLOW_CAUSE_ABORTED); /* while it waits */
	talk_expect(&t, RST | ACK);
	assert_int_equal(w.cancelled, 1);
	t = call(0);
	fd = dialed(&far);
	policy_dialed(&w.policy, w.last, fd, NULL, 0);
	talk_expect(&t, SYN | ACK);
	talk_send(&t, ACK, NULL, 0);
	settle();
	w.last->ops->abort(w.last, FLOW_CAUSE_ABORTED);
	segment_next();
	assert_int_equal(got.flags & RST, RST);
	assert_int_equal(got.seq, t.ack);
	plane_read_end(far, 0);
	close(far);
	assert_int_equal(w.closed, 2);
}

static const struct CMUnitTest tests[] = {
#define IT(name) cmocka_unit_test_setup_teardown(name, plane_setup, plane_teardown)
	IT(connects),
	IT(holds_the_syn_until_the_dial_is_done),
	IT(answers_the_newest_syn),
	IT(forgets_a_syn_that_is_taken_back),
	IT(waits_for_policy),
	IT(leaves_the_payload_of_a_syn),
	IT(hears_the_truth_about_a_refusal),
	IT(tells_each_failure_in_its_way),
	IT(denies_in_each_style),
	IT(stays_silent),
	IT(keeps_few_silent_ones),
	IT(gives_up_a_dial_in_time),
	IT(refuses_above_its_limit),
	IT(gives_early_bytes_first),
	IT(tells_both_when_a_script_ends_it),
};

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, world_enter, NULL);
}
