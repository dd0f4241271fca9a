/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plane.h"
#include "server.h"
#include "spec/support/maker.h"

/* What observers are told, and when. */

struct witness {
	struct observer o;
	char events[64]; /* a letter each */
	size_t n;
	struct flow_times times;
	enum verdict verdict, would;
	char rule[64];
	enum flow_cause cause;
	uint64_t up, down;
	int error;
	struct flow_key key; /* of what was refused */
};

static struct witness see;

static void note(struct observer *o, char event, const struct flow *f)
{
	struct witness *s = container_of(o, struct witness, o);

	assert_true(s->n + 1 < sizeof(s->events));
	s->events[s->n++] = event;
	if (!f)
		return;
	s->times = f->times;
	s->verdict = f->decision.verdict;
	s->would = f->decision.would;
	s->cause = f->cause;
	s->error = f->error;
	s->up = f->bytes_up;
	s->down = f->bytes_down;
	snprintf(s->rule, sizeof(s->rule), "%s", f->decision.rule ? f->decision.rule : "");
}

static void on_pending(struct observer *o, const struct flow *f)
{
	note(o, 'p', f);
}

static void on_decided(struct observer *o, const struct flow *f)
{
	assert_int_equal(f->state, FLOW_STATE_ASKED);
	note(o, 'd', f);
}

static void on_judged(struct observer *o, const struct flow *f)
{
	assert_int_equal(f->state, FLOW_STATE_OPEN);
	assert_false(f->decision.first_bytes);
	note(o, 'j', f);
}

static void on_opened(struct observer *o, const struct flow *f)
{
	assert_int_equal(f->state, FLOW_STATE_OPEN);
	note(o, 'o', f);
}

static void on_ended(struct observer *o, const struct flow *f)
{
	assert_int_equal(f->state, FLOW_STATE_ENDED);
	note(o, 'e', f);
}

static void on_refused(struct observer *o, const struct flow_key *key, const char *why)
{
	note(o, 'r', NULL);
	see.key = *key;
	assert_non_null(why);
}

static const struct observer all = {
	.pending = on_pending,
	.decided = on_decided,
	.judged = on_judged,
	.opened = on_opened,
	.ended = on_ended,
	.refused = on_refused,
};

static int setup(void **state)
{
	int rc = plane_setup(state);

	memset(&see, 0, sizeof(see));
	see.o = all;
	w.policy.loop = w.loop;
	observe_add(&w.policy.observers, &see.o);
	return rc;
}

static void saw(const char *events)
{
	assert_string_equal(see.events, events);
	memset(see.events, 0, sizeof(see.events));
	see.n = 0;
}

static void in_order(const ev_tstamp *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert_true(t[i] > 1e9); /* since 1970 */
		assert_true(i == 0 || t[i - 1] <= t[i]);
	}
}

static struct talk call(struct addr to)
{
	struct talk t = talk_new(to.v == 4 ? "10.0.0.1:40000" : "[fd00::1]:40000", &to);

	talk_syn(&t, talk_linux, sizeof(talk_linux));
	settle();
	return t;
}

static void sees_a_connection_from_the_first_to_the_last(void **state)
{
	NEEDS_WORLD;
	for (unsigned v = 4; v <= 6; v += 2) {
		struct addr at;
		int listener = plane_listen(v, &at), fd;
		struct talk t = call(at);

		fd = plane_accept(listener);
		talk_expect(&t, SYN | ACK);
		talk_send(&t, ACK, "hello", 5);
		plane_read(fd, "hello", 5);
		assert_int_equal(write(fd, "worlds", 6), 6);
		talk_get(&t, "worlds", 6);
		talk_send(&t, RST, NULL, 0);
		world_until(w.closed == w.asked);
		saw("doe");
		assert_int_equal(see.verdict, VERDICT_ALLOW);
		assert_int_equal(see.cause, FLOW_CAUSE_CHILD_RESET);
		assert_int_equal(see.up, 5);
		assert_int_equal(see.down, 6);
		in_order((ev_tstamp[]){see.times.asked, see.times.decided, see.times.dialing,
				 see.times.opened, see.times.first_up, see.times.first_down,
				 see.times.ended},
			7);
		assert_true(see.times.judged == 0);
		while (world_child_has())
			world_child_read();
		close(fd);
		close(listener);
	}
}

static void sees_what_is_denied_and_what_fails(void **state)
{
	struct addr at;
	struct talk t;

	NEEDS_WORLD;
	w.verdict = VERDICT_DENY;
	t = call(world_addr("192.0.2.1:80"));
	talk_expect(&t, RST | ACK);
	saw("de");
	assert_int_equal(see.verdict, VERDICT_DENY);
	assert_int_equal(see.cause, FLOW_CAUSE_DENIED);
	assert_true(see.times.decided > 0 && see.times.dialing == 0 && see.times.opened == 0);

	w.verdict = VERDICT_DROP;
	t = call(world_addr("192.0.2.1:81"));
	saw("de");
	assert_int_equal(see.verdict, VERDICT_DROP);
	t.seq = 1000;
	talk_syn(&t, talk_linux, sizeof(talk_linux)); /* the same one, again */
	settle();
	saw("");

	w.verdict = VERDICT_ALLOW;
	close(plane_listen(4, &at));
	t = call(at);
	talk_expect(&t, RST | ACK);
	saw("de");
	assert_int_equal(see.cause, FLOW_CAUSE_DIAL_FAILED);
	assert_int_equal(see.error, ECONNREFUSED);
	assert_true(see.times.dialing > 0 && see.times.opened == 0);
}

static void sees_the_guard(void **state)
{
	struct talk t;

	NEEDS_WORLD;
	w.policy.hooks = NULL; /* no rule names the address */
	w.policy.default_deny = false;
	t = call(world_addr("127.0.0.1:80"));
	talk_expect(&t, RST | ACK);
	saw("de");
	assert_string_equal(see.rule, "guard");
	assert_int_equal(see.verdict, VERDICT_DENY);
}

static void sees_an_undecided_one_that_is_taken_back(void **state)
{
	NEEDS_WORLD;
	w.verdict = VERDICT_PENDING;
	struct talk t = call(world_addr("192.0.2.1:80"));
	saw("p");
	talk_send(&t, RST, NULL, 0);
	settle();
	saw("e");
	assert_int_equal(see.cause, FLOW_CAUSE_CHILD_RESET);
	assert_true(see.times.asked > 0 && see.times.decided == 0);
}

static enum verdict judgement;

static enum verdict on_first_bytes(void *arg, struct flow *f, const void *bytes, size_t n,
	bool more, struct decision *d)
{
	(void)arg;
	(void)f;
	(void)bytes;
	(void)more;
	assert_true(n > 0);
	d->rule = strdup("rules.lua:9");
	return judgement;
}

static void sees_the_judgement_of_the_first_bytes(void **state)
{
	static const enum verdict given[] = {VERDICT_ALLOW, VERDICT_DENY, VERDICT_DENY};

	NEEDS_WORLD;
	w.hooks.first_bytes = on_first_bytes;
	plane.first_bytes = true;
	for (size_t i = 0; i < ARRAY_LEN(given); i++) {
		struct addr at;
		int listener = plane_listen(4, &at), fd;
		struct talk t = call(at);

		judgement = given[i];
		w.policy.dry_run = i == 2;
		fd = plane_accept(listener);
		talk_expect(&t, SYN | ACK);
		talk_send(&t, ACK, "hello", 5);
		settle();
		saw(i == 1 ? "doje" : "doj");
		assert_int_equal(see.verdict, i == 1 ? VERDICT_DENY : VERDICT_ALLOW);
		assert_int_equal(see.would, i == 2 ? VERDICT_DENY : VERDICT_NONE);
		assert_true(see.times.judged >= see.times.opened);
		if (i != 1) {
			plane_read(fd, "hello", 5);
			talk_send(&t, RST, NULL, 0);
			world_until(w.closed == w.asked);
			saw("e");
		} else {
			assert_int_equal(see.up, 0);
			assert_string_equal(see.rule, "rules.lua:9");
		}
		while (world_child_has())
			world_child_read();
		close(fd);
		close(listener);
	}
}

static void knows_what_a_dry_run_would_have_denied(void **state)
{
	struct addr at;
	struct talk t;
	int listener, fd;

	NEEDS_WORLD;
	listener = plane_listen(4, &at);
	w.policy.dry_run = true;
	w.verdict = VERDICT_DROP;
	t = call(at);
	fd = plane_accept(listener);
	talk_expect(&t, SYN | ACK);
	saw("do");
	assert_int_equal(see.verdict, VERDICT_ALLOW);
	assert_int_equal(see.would, VERDICT_DROP);
	talk_send(&t, RST, NULL, 0);
	world_until(w.closed == 1);
	saw("e");
	close(fd);
	close(listener);
}

static void hears_of_those_that_were_turned_away(void **state)
{
	struct addr to = {0};
	struct talk t;

	NEEDS_WORLD;
	to = world_addr("192.0.2.1:80");
	plane.conns.max = 0;
	t = call(to);
	talk_expect(&t, RST | ACK);
	saw("r");
	assert_true(addr_equal(&see.key.dst, &to));
	assert_int_equal(see.key.proto, IPPROTO_TCP);
}

static void sees_datagrams_and_echoes(void **state)
{
	struct server *s;

	NEEDS_WORLD;
	s = server_start("127.0.0.1:7007");
	world_child_udp("10.0.0.1:4000", "127.0.0.1:7007", "abc", 3);
	world_child_next();
	saw("do");
	assert_int_equal(see.verdict, VERDICT_ALLOW);
	w.last->ops->abort(w.last, FLOW_CAUSE_ABORTED);
	saw("e");
	assert_int_equal(see.up, 3);
	assert_int_equal(see.down, 3);
	in_order((ev_tstamp[]){see.times.asked, see.times.decided, see.times.dialing,
			 see.times.opened, see.times.first_up, see.times.first_down,
			 see.times.ended},
		7);
	server_stop(s);

	world_child_ping("10.0.0.1", "127.0.0.1", 7, 1, "0123", 4, 64);
	world_child_next();
	saw("do");
	w.last->ops->abort(w.last, FLOW_CAUSE_IDLE);
	saw("e");
	assert_int_equal(see.up, 4);
	assert_int_equal(see.down, 4);

	w.verdict = VERDICT_DENY;
	world_child_udp("10.0.0.1:4000", "127.0.0.1:7007", "abc", 3);
	world_child_udp("10.0.0.1:4000", "127.0.0.1:7007", "abc", 3); /* the same flow */
	saw("de");
	assert_int_equal(see.up, 0);
	/* A hook that ends the flow while it is asked: no verdict was given effect. */
	w.quits = true;
	world_child_udp("10.0.0.1:4001", "127.0.0.1:7007", "abc", 3);
	saw("e");
}

/* --- questions --- */

static struct {
	unsigned n;
	enum verdict verdict, would, say;
	int rcode; /* -1: no answer */
	char rule[32];
	struct dnsquery *pending;
} asked;

static void on_question(struct observer *o, const struct dnsquery *q, const uint8_t *msg,
	size_t len)
{
	assert_ptr_equal(o, &see.o);
	assert_string_equal(q->name, "a.example");
	assert_int_equal(q->m.type, DNSMSG_TYPE_AAAA);
	assert_true(q->took >= 0 && q->asked_at > 1e9);
	assert_true(!msg || len >= DNSMSG_HEADER);
	asked.n++;
	asked.verdict = q->decision.verdict;
	asked.would = q->decision.would;
	asked.rcode = msg ? msg[3] & 15 : -1;
	snprintf(asked.rule, sizeof(asked.rule), "%s", q->decision.rule ? q->decision.rule : "");
}

static enum verdict on_dns(void *arg, struct dnsquery *q, struct decision *d)
{
	(void)arg;
	asked.pending = q;
	if (asked.say != VERDICT_PENDING)
		d->rule = strdup("rules.lua:7");
	return asked.say;
}

static void on_dns_cancel(void *arg, struct dnsquery *q)
{
	(void)arg;
	assert_ptr_equal(q, asked.pending);
	asked.pending = NULL;
}

static void ask(enum verdict say)
{
	struct addr src = world_addr("10.0.0.1:5000"), dst = world_addr("10.0.0.53:53");
	uint8_t packet[600];
	struct maker m;
	size_t h;

	begin(&m, "A.Example", DNSMSG_TYPE_AAAA);
	memcpy(packet + 28, m.data, m.len);
	h = craft_udp(packet + 28, m.len, &src, &dst);
	assert_int_equal(h, 28);
	asked.say = say;
	assert_true(segment_put_raw(packet, h + m.len));
	settle();
}

/* There is no name server: what is forwarded fails at once. */
static void sees_each_question_once(void **state)
{
	struct decision late = {0};

	NEEDS_WORLD;
	memset(&asked, 0, sizeof(asked));
	see.o.question = on_question;
	w.hooks.dns = on_dns;
	w.hooks.dns_cancel = on_dns_cancel;
	ask(VERDICT_ALLOW);
	world_child_next();
	assert_int_equal(asked.n, 1);
	assert_int_equal(asked.verdict, VERDICT_ALLOW);
	assert_int_equal(asked.rcode, DNSMSG_RCODE_SERVFAIL);
	assert_string_equal(asked.rule, "rules.lua:7");
	ask(VERDICT_DENY);
	world_child_next();
	assert_int_equal(asked.n, 2);
	assert_int_equal(asked.verdict, VERDICT_DENY);
	assert_int_equal(asked.rcode, DNSMSG_RCODE_REFUSED);
	ask(VERDICT_DROP);
	assert_int_equal(asked.n, 3);
	assert_int_equal(asked.verdict, VERDICT_DROP);
	assert_int_equal(asked.rcode, -1);
	w.policy.dry_run = true;
	ask(VERDICT_DENY);
	world_child_next();
	assert_int_equal(asked.n, 4);
	assert_int_equal(asked.verdict, VERDICT_ALLOW);
	assert_int_equal(asked.would, VERDICT_DENY);
	w.policy.dry_run = false;
	ask(VERDICT_PENDING);
	assert_int_equal(asked.n, 4);
	late.rule = strdup("late");
	dnsquery_decide(asked.pending, VERDICT_DENY, &late);
	assert_null(late.rule);
	world_child_next();
	assert_int_equal(asked.n, 5);
	assert_string_equal(asked.rule, "late");
	/* Nobody waits for the answer any more. */
	ask(VERDICT_PENDING);
	dnsquery_free(asked.pending);
	assert_null(asked.pending);
	assert_int_equal(asked.n, 6);
	assert_int_equal(asked.verdict, VERDICT_NONE);
	assert_int_equal(asked.rcode, -1);
	saw(""); /* they are no flows */
}

static void tells_all_of_them_in_turn(void **state)
{
	struct witness other = {.o = all};
	struct observer deaf = {0};
	struct talk t;

	NEEDS_WORLD;
	observe_add(&w.policy.observers, &deaf);
	observe_add(&w.policy.observers, &other.o);
	w.verdict = VERDICT_DENY;
	t = call(world_addr("192.0.2.1:80"));
	talk_expect(&t, RST | ACK);
	saw("de");
	assert_string_equal(other.events, "de");
	observe_remove(&w.policy.observers, &see.o);
	observe_remove(&w.policy.observers, &see.o); /* it is not in */
	t = call(world_addr("192.0.2.1:80"));
	talk_expect(&t, RST | ACK);
	saw("");
	assert_string_equal(other.events, "dede");
	observe_remove(&w.policy.observers, &other.o);
	observe_remove(&w.policy.observers, &deaf);
	assert_null(w.policy.observers);
}

static const struct CMUnitTest tests[] = {
#define IT(name) cmocka_unit_test_setup_teardown(name, setup, plane_teardown)
	IT(sees_a_connection_from_the_first_to_the_last),
	IT(sees_what_is_denied_and_what_fails),
	IT(sees_the_guard),
	IT(sees_an_undecided_one_that_is_taken_back),
	IT(sees_the_judgement_of_the_first_bytes),
	IT(knows_what_a_dry_run_would_have_denied),
	IT(hears_of_those_that_were_turned_away),
	IT(sees_datagrams_and_echoes),
	IT(sees_each_question_once),
	IT(tells_all_of_them_in_turn),
};

int main(void)
{
	return cmocka_run_group_tests(tests, world_enter, NULL);
}
