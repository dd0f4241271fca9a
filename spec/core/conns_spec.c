/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plane.h"

#include <sys/syscall.h>
#include <sys/time.h>

/* What happens to connections in time: sweeps, ports used again, first bytes, the end of all. */

static uint8_t pattern[8 << 20];

static time_t stepped; /* by so much somebody has set the time of day */
static time_t passed;  /* by so much all clocks are ahead */

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ts);

	if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
		ts->tv_sec += stepped;
	ts->tv_sec += passed;
	return rc;
}

/* How libev reads it. */
int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &ts);
	*tv = (struct timeval){.tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000};
	return 0;
}

static int fill(void **state)
{
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)((i * 2654435761u) >> 13);
	return world_enter(state);
}

/* An open connection to a socket of ours, *@fd. */
static struct talk opened(int *fd)
{
	struct addr at;
	int listener = plane_listen(4, &at);
	struct talk t = talk_new("10.0.0.1:40000", &at);

	talk_syn(&t, talk_linux, sizeof(talk_linux));
	*fd = plane_accept(listener);
	close(listener);
	talk_expect(&t, SYN | ACK);
	talk_send(&t, ACK, NULL, 0);
	settle();
	return t;
}

static void drain(void)
{
	settle();
	stack_tick(2); /* no acknowledgment is delayed */
	while (world_child_has())
		segment_next();
}

static void ends_the_idle(void **state)
{
	struct talk t;
	int fd;

	NEEDS_WORLD;
	t = opened(&fd);
	ev_invoke(w.loop, &plane.conns.sweep, EV_TIMER);
	assert_int_equal(w.closed, 0); /* unless told to */
	plane.conns.idle_s = 1000;
	ev_invoke(w.loop, &plane.conns.sweep, EV_TIMER);
	assert_int_equal(w.closed, 0);
	plane_conn()->seen_at -= 1001;
	talk_send(&t, ACK, "x", 1); /* a byte counts */
	settle();
	ev_invoke(w.loop, &plane.conns.sweep, EV_TIMER);
	assert_int_equal(w.closed, 0);
	drain();
	plane_conn()->seen_at -= 1001;
	ev_invoke(w.loop, &plane.conns.sweep, EV_TIMER);
	assert_int_equal(w.closed, 1);
	assert_int_equal(w.cause, FLOW_CAUSE_IDLE);
	segment_next();
	assert_int_equal(got.flags & RST, RST);
	assert_int_equal(got.seq, t.ack);
	plane_read(fd, "x", 1);
	plane_read_end(fd, ECONNRESET);
	close(fd);
	ev_invoke(w.loop, &plane.conns.sweep, EV_TIMER);
	assert_false(ev_is_active(&plane.conns.sweep));
}

/* Sets the time of day, and has libev see it. */
static void set_clock(time_t by)
{
	const ev_tstamp before = ev_now(w.loop);

	stepped += by;
	passed++; /* libev does not look twice in half a second */
	ev_now_update(w.loop);
	assert_true(by > 0 ? ev_now(w.loop) > before + 3600 : ev_now(w.loop) < before - 3600);
}

static void survives_a_clock_that_is_set(void **state)
{
	struct talk t;
	int fd;

	NEEDS_WORLD;
	plane.conns.idle_s = 1000;
	t = opened(&fd);
	ev_invoke(w.loop, &plane.conns.sweep, EV_TIMER);
	set_clock(86400);
	ev_invoke(w.loop, &plane.conns.sweep, EV_TIMER);
	assert_int_equal(w.closed, 0); /* no idle day */
	set_clock(-2 * 86400);
	plane_conn()->seen_at -= 1001;
	ev_invoke(w.loop, &plane.conns.sweep, EV_TIMER);
	assert_int_equal(w.closed, 1);
	assert_int_equal(w.cause, FLOW_CAUSE_IDLE);
	drain();
	close(fd);
	(void)t;
	stepped = 0;
}

/* Bytes that are late, or wait for their rate, wait no day more. */
static void delays_no_longer_for_a_clock_that_is_set(void **state)
{
	struct talk t;
	int fd;

	NEEDS_WORLD;
	plane.shape = shape_new();
	plane.shape->latency_s = 0.02;
	plane.shape->down = bucket_new(1e6, 2000);
	t = opened(&fd);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(write(fd, pattern, 1500), 1500);
		settle();
		set_clock(-86400);
		talk_get(&t, pattern, 1500);
	}
	conn_abort(w.last, FLOW_CAUSE_ABORTED);
	drain();
	close(fd);
	stepped = 0;
}

static void forgets_the_silent(void **state)
{
	struct addr at;
	struct talk t;

	NEEDS_WORLD;
	w.verdict = VERDICT_DROP;
	at = world_addr("192.0.2.1:80");
	t = talk_new("10.0.0.1:40000", &at);
	talk_syn(&t, NULL, 0);
	settle();
	ev_invoke(w.loop, &plane.conns.sweep, EV_TIMER);
	assert_int_equal(plane.conns.quiet_count, 1);
	container_of(plane.conns.quiet.next, struct conn, quiet)->seen_at -= 131;
	ev_invoke(w.loop, &plane.conns.sweep, EV_TIMER);
	assert_int_equal(plane.conns.quiet_count, 0);
	assert_int_equal(w.flows.count, 0);
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static void keeps_the_world_alive(void **state)
{
	NEEDS_WORLD;
	plane.conns.keepalive_s = 31;
	for (int shaped = 0; shaped < 2; shaped++) {
		struct conn *c;
		int fd, own;

		if (shaped)
			plane.shape = shape_new();
		opened(&fd);
		c = plane_conn();
		own = c->detour ? c->detour->fd : c->relay.fd;
		assert_int_equal(option(own, SOL_SOCKET, SO_KEEPALIVE), 0);
		ev_invoke(w.loop, &plane.conns.sweep, EV_TIMER);
		assert_int_equal(option(own, SOL_SOCKET, SO_KEEPALIVE), 1);
		assert_int_equal(option(own, IPPROTO_TCP, TCP_KEEPIDLE), 31);
		assert_int_equal(option(own, IPPROTO_TCP, TCP_KEEPINTVL), 15);
		conn_abort(w.last, FLOW_CAUSE_ABORTED);
		close(fd);
		drain();
	}
}

/* The child has closed its connection and uses the port for another, while the destination of the
 * first has yet to take its last bytes. */
static void delivers_for_a_port_used_again(void **state)
{
	struct talk t, u;
	size_t sent = 0;
	struct flow *old;
	int fd, other;

	NEEDS_WORLD;
	t = opened(&fd);
	old = w.last;
	do {
		talk_send(&t, ACK, pattern + sent, 60000);
		sent += 60000;
		drain();
		assert_true(sent < sizeof(pattern) - 60000);
	} while (conn_of(old)->child.inbox.len < 1000000);
	talk_send(&t, FIN | ACK, NULL, 0);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	world_until(conn_of(old)->child.tx_fin);
	drain();
	t.ack++;
	talk_send(&t, ACK, NULL, 0);
	world_until(!conn_of(old)->child.pcb);
	assert_int_equal(w.closed, 0);
	assert_int_equal(conns_undelivered(&plane.conns), 1);

	u = opened(&other); /* from the same port, to another */
	assert_int_equal(w.asked, 2);
	close(other);
	talk_send(&u, RST, NULL, 0);
	world_until(w.closed == 1);
	t.seq = 5000000; /* and to the same */
	t.ack = 0;
	w.verdict = VERDICT_DENY;
	talk_syn(&t, NULL, 0);
	drain();
	assert_int_equal(w.asked, 3);
	assert_int_equal(w.closed, 2);
	assert_true(old->retired);
	talk_syn(&t, NULL, 0);
	drain();
	assert_int_equal(w.asked, 4);

	plane_read(fd, pattern, sent);
	plane_read_end(fd, 0);
	world_until(w.closed == 4);
	assert_int_equal(w.cause, FLOW_CAUSE_CLOSED);
	assert_int_equal(w.up, sent);
	assert_int_equal(conns_undelivered(&plane.conns), 0);
	close(fd);
}

/* ---- first bytes ---- */

static struct {
	enum verdict verdict;
	unsigned asked;
	size_t n;
	bool more;
} first;

static enum verdict on_first_bytes(void *arg, struct flow *f, const void *bytes, size_t n,
	bool more, struct decision *d)
{
	(void)arg;
	(void)f;
	(void)d;
	first.asked++;
	first.n = n;
	first.more = more;
	assert_memory_equal(bytes, pattern, n);
	return first.verdict;
}

static struct talk opened_to_be_judged(int *fd, bool shaped)
{
	memset(&first, 0, sizeof(first));
	first.verdict = VERDICT_MORE;
	w.hooks.first_bytes = on_first_bytes;
	plane.first_bytes = true;
	if (shaped)
		plane.shape = shape_new();
	return opened(fd);
}

static void holds_the_first_bytes(void **state)
{
	NEEDS_WORLD;
	for (int shaped = 0; shaped < 2; shaped++) {
		struct decision d = {0};
		struct talk t;
		int fd;

		t = opened_to_be_judged(&fd, shaped);
		assert_int_equal(first.asked, 0);
		talk_send(&t, ACK, pattern, 10);
		plane_read_none(fd);
		assert_int_equal(first.asked, 1);
		assert_int_equal(first.n, 10);
		assert_true(first.more);
		assert_int_equal(write(fd, "banner", 6), 6); /* the server may speak first */
		talk_get(&t, "banner", 6);
		first.verdict = VERDICT_PENDING;
		talk_send(&t, ACK, pattern + 10, 10);
		plane_read_none(fd);
		assert_int_equal(first.n, 20);
		talk_send(&t, ACK, pattern + 20, 10); /* nobody is asked twice at a time */
		plane_read_none(fd);
		assert_int_equal(first.asked, 2);
		policy_answer(&w.policy, w.last, VERDICT_ALLOW, &d);
		plane_read(fd, pattern, 30);
		talk_send(&t, ACK | FIN, pattern + 30, 10);
		plane_read(fd, pattern + 30, 10);
		plane_read_end(fd, 0);
		assert_int_equal(first.asked, 2);
		conn_abort(w.last, FLOW_CAUSE_ABORTED);
		close(fd);
		drain();
	}
}

static void sends_nothing_of_what_is_denied(void **state)
{
	NEEDS_WORLD;
	for (int i = 0; i < 12; i++) {
		const int way = i / 2;
		struct decision d = {0};
		struct talk t;
		int fd;

		t = opened_to_be_judged(&fd, i & 1);
		switch (way) {
		case 0: /* at once */
			first.verdict = VERDICT_DENY;
			talk_send(&t, ACK, pattern, 100);
			break;
		case 1: /* later */
			first.verdict = VERDICT_PENDING;
			talk_send(&t, ACK, pattern, 100);
			world_until(first.asked);
			policy_answer(&w.policy, w.last, VERDICT_DENY, &d);
			break;
		case 2: /* MORE of what has ended */
			talk_send(&t, ACK | FIN, pattern, 100);
			break;
		case 3: /* the end of nothing */
			talk_send(&t, ACK | FIN, NULL, 0);
			break;
		case 4: /* MORE than is kept */
			for (size_t n = 0; n < 80000; n += 16000)
				talk_send(&t, ACK, pattern + n, 16000);
			break;
		default: /* a verdict that makes no sense here */
			first.verdict = VERDICT_REDIRECT;
			talk_send(&t, ACK, pattern, 100);
		}
		world_until(w.closed == (unsigned)i + 1);
		assert_int_equal(w.cause, FLOW_CAUSE_DENIED);
		plane_read_end(fd, ECONNRESET);
		close(fd);
		do
			segment_next();
		while (!(got.flags & RST));
		assert_int_equal(got.seq, t.ack);
		drain();
	}
}

static void forgets_a_question_about_first_bytes(void **state)
{
	struct talk t;
	int fd;

	NEEDS_WORLD;
	t = opened_to_be_judged(&fd, false);
	first.verdict = VERDICT_PENDING;
	talk_send(&t, ACK, pattern, 100);
	world_until(first.asked);
	talk_send(&t, RST, NULL, 0);
	world_until(w.closed == 1);
	assert_int_equal(w.cancelled, 1);
	plane_read_end(fd, ECONNRESET);
	close(fd);
}

static void ends_all(void **state)
{
	struct addr at;
	struct talk t;
	int fd;

	NEEDS_WORLD;
	opened(&fd);
	at = world_addr("192.0.2.1:80");
	w.hooks.dial = world_on_dial;
	w.dial = -EINPROGRESS;
	t = talk_new("10.0.0.1:40001", &at);
	talk_syn(&t, NULL, 0);
	settle();
	w.verdict = VERDICT_DROP;
	t.self.port++;
	talk_syn(&t, NULL, 0);
	settle();
	assert_int_equal(w.flows.count, 3);
	conns_fini(&plane.conns);
	assert_int_equal(w.flows.count, 0);
	assert_int_equal(w.cancelled, 1);
	assert_int_equal(w.closed, 3);
	plane_read_end(fd, ECONNRESET);
	close(fd);
}

static const struct CMUnitTest tests[] = {
#define IT(name) cmocka_unit_test_setup_teardown(name, plane_setup, plane_teardown)
	IT(ends_the_idle),
	IT(survives_a_clock_that_is_set),
	IT(delays_no_longer_for_a_clock_that_is_set),
	IT(forgets_the_silent),
	IT(keeps_the_world_alive),
	IT(delivers_for_a_port_used_again),
	IT(holds_the_first_bytes),
	IT(sends_nothing_of_what_is_denied),
	IT(forgets_a_question_about_first_bytes),
	IT(ends_all),
};

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, fill, NULL);
}
