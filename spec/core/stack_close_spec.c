/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "owner.h"

/* The ends of a connection: FIN and RST in every state, from both sides. */

/* Brings a connection into a state of RFC 9293 3.3.2, as seen from our side. */
static struct talk reach(const char *state, size_t f)
{
	struct talk t;

	if (strcmp(state, "SYN-RECEIVED") == 0) {
		t = talk_to(f);
		talk_syn(&t, talk_linux, sizeof(talk_linux));
		talk_expect(&t, SYN | ACK);
		return t;
	}
	t = opened(f);
	if (strcmp(state, "CLOSE-WAIT") == 0 || strcmp(state, "LAST-ACK") == 0) {
		talk_send(&t, FIN | ACK, NULL, 0);
		world_until(stack_conn_eof(&o.c));
		talk_expect(&t, ACK);
	}
	if (strcmp(state, "ESTABLISHED") != 0 && strcmp(state, "CLOSE-WAIT") != 0) {
		stack_conn_shutdown(&o.c);
		talk_expect(&t, FIN | ACK);
	}
	if (strcmp(state, "FIN-WAIT-2") == 0)
		talk_send(&t, ACK, NULL, 0);
	if (strcmp(state, "CLOSING") == 0) {
		t.ack--; /* it crosses ours */
		talk_send(&t, FIN | ACK, NULL, 0);
		t.ack++;
		talk_expect(&t, ACK);
	}
	settle();
	assert_int_equal(o.closed, 0);
	return t;
}

static const char *const states[] = {"SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK",
	"FIN-WAIT-1", "FIN-WAIT-2", "CLOSING"};

static void lets_the_child_close_first(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		struct talk t = opened(f);

		talk_send(&t, FIN | ACK, "last words", 10);
		world_until(o.c.rx_fin);
		assert_false(stack_conn_eof(&o.c)); /* not before they are consumed */
		take("last words", 10);
		assert_true(stack_conn_eof(&o.c));
		give(pattern, 300000); /* as long as it likes */
		talk_get(&t, pattern, 300000);
		stack_conn_shutdown(&o.c);
		stack_conn_shutdown(&o.c);
		while (!(got.flags & FIN))
			segment_next();
		t.ack++;
		talk_send(&t, ACK, NULL, 0);
		world_until(o.closed == 1);
		assert_false(o.reset);
		segment_none();
		again();
	}
}

static void lets_the_world_close_first(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		struct talk t = opened(f);

		give("bye", 3);
		stack_conn_shutdown(&o.c);
		talk_expect(&t, ACK); /* the bytes */
		if (!(got.flags & FIN))
			talk_expect(&t, ACK | FIN);
		talk_send(&t, ACK, NULL, 0);
		assert_int_equal(stack_conn_room(&o.c), 0);
		for (size_t n = 0; n < sizeof(pattern); n += 50000) {
			size_t piece = MIN(sizeof(pattern) - n, (size_t)50000);

			talk_send(&t, ACK, pattern + n, piece);
			take(pattern + n, piece);
		}
		talk_send(&t, FIN | ACK, NULL, 0);
		world_until(o.closed == 1);
		assert_false(o.reset);
		assert_true(stack_conn_eof(&o.c));
		/* TIME_WAIT: the last ACK may have been lost. */
		while (world_child_has())
			segment_next();
		talk_send_at(&t, t.seq - 1, FIN | ACK, NULL, 0);
		talk_expect(&t, ACK);
		again();
	}
}

static void takes_a_simultaneous_close(void **state)
{
	struct talk t;

	NEEDS_WORLD;
	t = reach("CLOSING", 0);
	talk_send(&t, ACK, NULL, 0);
	world_until(o.closed == 1);
	assert_false(o.reset);
	again();
	/* Or with the acknowledgment of ours. */
	t = reach("FIN-WAIT-1", 1);
	talk_send(&t, FIN | ACK, "and", 3);
	world_until(o.closed == 1);
	assert_false(o.reset);
	take("and", 3);
	assert_true(stack_conn_eof(&o.c));
}

static void waits_long_in_half_a_connection(void **state)
{
	static const char *const half[] = {"CLOSE-WAIT", "FIN-WAIT-2"};

	NEEDS_WORLD;
	for (size_t i = 0; i < ARRAY_LEN(half); i++) {
		reach(half[i], 0);
		stack_tick(5000); /* a quarter of an hour */
		assert_int_equal(o.closed, 0);
		segment_none();
		again();
	}
}

static void hears_a_reset_in_every_state(void **state)
{
	NEEDS_WORLD;
	for (size_t i = 0; i < 2 * ARRAY_LEN(states); i++) {
		struct talk t = reach(states[i / 2], i & 1);

		/* Not one that guesses (RFC 5961 3.2): it gets an ACK to answer, at most. */
		talk_send_at(&t, t.seq + 1000, RST, NULL, 0);
		talk_send_at(&t, t.seq - 1, RST, NULL, 0);
		settle();
		assert_int_equal(o.closed, 0);
		while (world_child_has()) {
			segment_next();
			assert_int_equal(got.flags, ACK);
		}
		talk_send(&t, i & 2 ? RST | ACK : RST, NULL, 0);
		world_until(o.closed == 1);
		assert_true(o.reset);
		assert_int_equal(o.opened, i / 2 != 0);
		segment_none(); /* a reset is not answered */
		again();
	}
}

static void keeps_what_came_before_a_reset(void **state)
{
	struct talk t;

	NEEDS_WORLD;
	t = opened(0);
	talk_send(&t, ACK, pattern, 50000);
	talk_send(&t, RST, NULL, 0);
	world_until(o.closed == 1);
	assert_true(o.reset);
	take(pattern, 50000);
	assert_false(stack_conn_eof(&o.c));
}

static void resets_the_child_in_every_state(void **state)
{
	NEEDS_WORLD;
	for (size_t i = 0; i < 2 * ARRAY_LEN(states); i++) {
		struct talk t = reach(states[i / 2], i & 1);

		stack_conn_free(&o.c);
		segment_next();
		assert_int_equal(got.flags & RST, RST);
		assert_int_equal(got.seq, t.ack); /* Linux takes no other */
		segment_none();
		assert_int_equal(o.closed, 0); /* it was told by its owner */
		stack_conn_free(&o.c);
		again();
	}
}

static void resets_what_it_does_not_know(void **state)
{
	static const uint8_t flags[] = {ACK, ACK | PSH, FIN | ACK, SYN | ACK, FIN, 0, URG,
		0xff ^ RST};

	NEEDS_WORLD;
	for (size_t i = 0; i < 2 * ARRAY_LEN(flags); i++) {
		struct talk t = talk_to(i & 1);
		const uint8_t f = flags[i / 2];

		t.ack = 0x12345678;
		talk_send(&t, f, "abc", 3);
		segment_next(); /* RFC 9293 3.10.7.1 */
		assert_int_equal(got.flags & RST, RST);
		if (f & ACK) {
			assert_int_equal(got.seq, t.ack);
		} else {
			assert_int_equal(got.flags & ACK, ACK);
			assert_int_equal(got.ack, t.seq);
		}
		talk_send(&t, RST | (f & ACK), NULL, 0);
		segment_none();
	}
}

static void uses_a_port_again_at_once(void **state)
{
	struct talk t;

	NEEDS_WORLD;
	for (int i = 0; i < 3; i++) { /* the older ones are in TIME_WAIT */
		t = reach("FIN-WAIT-2", 0);
		talk_send(&t, FIN | ACK, NULL, 0);
		world_until(o.closed == 1);
		again();
	}
	t = opened(0);
	talk_send(&t, ACK, "hello", 5);
	take("hello", 5);
	give("world", 5);
	talk_get(&t, "world", 5);
}

static void forgets_time_wait(void **state)
{
	struct talk t;

	NEEDS_WORLD;
	t = reach("FIN-WAIT-2", 0);
	talk_send(&t, FIN | ACK, NULL, 0);
	world_until(o.closed == 1);
	again();
	assert_true(ev_is_active(&stack.slow));
	stack_tick(30);
	assert_false(ev_is_active(&stack.slow)); /* nothing is left to be timed */
	talk_send_at(&t, t.seq - 1, FIN | ACK, NULL, 0);
	segment_next();
	assert_int_equal(got.flags & RST, RST);
}

static void answers_a_syn_in_a_connection(void **state)
{
	struct talk t;

	NEEDS_WORLD;
	t = opened(0);
	/* A kernel that has forgotten the connection: the ACK makes it send RST (RFC 5961 4.2). */
	talk_send_at(&t, t.seq + 5000, SYN, NULL, 0);
	segment_next();
	assert_int_equal(got.flags, ACK);
	assert_int_equal(got.ack, t.seq);
	assert_int_equal(o.closed, 0);
	talk_send_at(&t, got.ack, RST, NULL, 0);
	world_until(o.closed == 1);
}

/* A client that has sent all it had to say, and reads at its leisure: LAST-ACK is entered when the
 * world has sent its last byte, long before the child has it. */
static void waits_for_a_slow_reader_in_last_ack(void **state)
{
	struct talk t;
	size_t n = 0;

	NEEDS_WORLD;
	t = reach("CLOSE-WAIT", 0);
	t.window = 0;
	talk_send(&t, ACK, NULL, 0);
	settle();
	give(pattern, 100000);
	stack_conn_shutdown(&o.c);
	for (int i = 0; i < 1000; i++) { /* more than a minute; it answers each probe */
		stack_tick(1);
		while (world_child_has()) {
			segment_next();
			assert_true(got.len <= 1);
			talk_send(&t, ACK, NULL, 0);
			settle();
		}
	}
	assert_int_equal(o.closed, 0);
	t.window = 65535;
	talk_send(&t, ACK, NULL, 0);
	while (n < 100000) {
		segment_next();
		assert_int_equal(got.flags & RST, 0);
		if (got.seq != t.ack)
			continue;
		assert_memory_equal(got.data, pattern + n, got.len);
		n += got.len;
		t.ack += (uint32_t)got.len;
		talk_send(&t, ACK, NULL, 0);
	}
	while (!(got.flags & FIN))
		segment_next();
	t.ack++;
	talk_send(&t, ACK, NULL, 0);
	world_until(o.closed == 1);
	assert_false(o.reset);
}

/* After a reset there is never room again; to wait for it is no way to stand still. */
static void tells_of_no_room_after_the_end(void **state)
{
	struct talk t;

	NEEDS_WORLD;
	t = opened(0);
	o.wants = true;
	stack_conn_want_write(&o.c);
	talk_send(&t, RST, NULL, 0);
	world_until(o.closed == 1);
	stack_conn_want_write(&o.c);
	settle();
	assert_int_equal(stack_conn_room(&o.c), 0);
	assert_int_equal(stack_conn_unacked(&o.c), 0);
}

static const struct CMUnitTest tests[] = {
#define IT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	IT(lets_the_child_close_first),
	IT(lets_the_world_close_first),
	IT(takes_a_simultaneous_close),
	IT(waits_long_in_half_a_connection),
	IT(hears_a_reset_in_every_state),
	IT(keeps_what_came_before_a_reset),
	IT(resets_the_child_in_every_state),
	IT(resets_what_it_does_not_know),
	IT(uses_a_port_again_at_once),
	IT(forgets_time_wait),
	IT(answers_a_syn_in_a_connection),
	IT(waits_for_a_slow_reader_in_last_ack),
	IT(tells_of_no_room_after_the_end),
};

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, world_enter, NULL);
}
