/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "owner.h"

/* What a connection lives through: lost segments, closed windows, no memory. */

/* Reads all that is there; returns how many segments with bytes there were. */
static unsigned drain(void)
{
	unsigned n = 0;

	while (world_child_has()) {
		segment_next();
		n += got.len > 0;
	}
	return n;
}

static void set_window(struct talk *t, uint16_t window)
{
	t->window = window;
	talk_send(t, ACK, NULL, 0);
	settle();
}

/* Takes @n bytes of pattern from @at on, which come in any pieces and perhaps more than once. */
static void get_all(struct talk *t, size_t at, size_t n)
{
	while (n) {
		size_t skip;

		segment_next();
		assert_int_equal(got.flags & RST, 0);
		skip = t->ack - got.seq;
		if (!got.len || skip >= got.len)
			continue;
		assert_memory_equal((const uint8_t *)got.data + skip, pattern + at, got.len - skip);
		t->ack += (uint32_t)(got.len - skip);
		at += got.len - skip;
		n -= got.len - skip;
		talk_send(t, ACK, NULL, 0);
	}
}

static void sends_again_what_is_not_acknowledged(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		struct talk t = opened(f);

		give(pattern, 100);
		for (int i = 0; i < 4; i++) { /* lost thrice */
			segment_next();
			assert_int_equal(got.seq, t.ack);
			assert_int_equal(got.len, 100);
			assert_memory_equal(got.data, pattern, 100);
			stack_tick(200);
		}
		drain();
		t.ack += 100;
		talk_send(&t, ACK, NULL, 0);
		settle();
		assert_int_equal(stack_conn_unacked(&o.c), 0);
		give(pattern + 100, 300000); /* and it goes on */
		get_all(&t, 100, 300000);
		again();
	}
}

static void sends_fin_again(void **state)
{
	struct talk t;

	NEEDS_WORLD;
	t = opened(0);
	stack_conn_shutdown(&o.c);
	talk_expect(&t, FIN | ACK);
	stack_tick(50);
	t.ack--;
	talk_expect(&t, FIN | ACK);
	talk_send(&t, ACK, NULL, 0);
	talk_send(&t, FIN | ACK, NULL, 0);
	world_until(o.closed == 1);
	assert_false(o.reset);
}

static void sends_at_once_after_three_equal_acks(void **state)
{
	struct talk t;

	NEEDS_WORLD;
	t = opened(0);
	give(pattern, 250000);
	assert_true(drain() > 3);
	for (int i = 0; i < 4; i++)
		talk_send(&t, ACK, NULL, 0);
	segment_next(); /* without a tick */
	assert_int_equal(got.seq, t.ack);
	assert_true(got.len > 0);
	drain();
	t.ack += 250000; /* all the others had arrived */
	talk_send(&t, ACK, NULL, 0);
	settle();
	assert_int_equal(stack_conn_unacked(&o.c), 0);
}

static void gives_up_a_dead_child(void **state)
{
	NEEDS_WORLD;
	opened(0);
	give(pattern, 100);
	for (int i = 0; i < 20000 && !o.closed; i++)
		stack_tick(1);
	assert_int_equal(o.closed, 1);
	assert_true(o.reset);
	drain();
}

static void respects_the_window(void **state)
{
	struct talk t;

	NEEDS_WORLD;
	t = opened_with(0, 0);
	give(pattern, 200000);
	for (int i = 0; i < 3; i++) { /* probed, not flooded */
		stack_tick(300);
		while (world_child_has()) {
			segment_next();
			assert_true(got.len <= 1);
			talk_send(&t, ACK, NULL, 0);
		}
		settle();
	}
	set_window(&t, 40); /* 5120 bytes */
	stack_tick(300);
	while (world_child_has()) {
		segment_next();
		assert_true(got.seq + got.len - t.ack <= 5120);
	}
	set_window(&t, 65535);
	get_all(&t, 0, 200000);
	settle();
	assert_int_equal(stack_conn_unacked(&o.c), 0);
	assert_int_equal(o.closed, 0);
}

/* The segment that opens a window may be lost; nobody sends it again (RFC 9293 3.8.6.1). */
static void learns_by_a_probe_that_a_window_is_open(void **state)
{
	struct talk t;

	NEEDS_WORLD;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		t = opened_with(f, 0);
		give(pattern, 3000);
		for (int i = 0; i < 3; i++) {
			t.window = 0;
			for (int ticks = 0; ticks < 2000 && !world_child_has(); ticks++)
				stack_tick(1);
			segment_next(); /* a probe, also after one that was answered */
			assert_true(got.len <= 1);
			talk_send(&t, ACK, NULL, 0);
			settle();
			drain();
		}
		set_window(&t, 65535); /* reaches it */
		get_all(&t, 0, 3000);
		again();

		t = opened_with(f, 0);
		give(pattern, 3000);
		drain();
		t.window = 65535; /* does not reach it: only the answer to a probe tells */
		for (int ticks = 0; ticks < 2000 && !world_child_has(); ticks++)
			stack_tick(1);
		segment_next();
		talk_send(&t, ACK, NULL, 0);
		settle();
		get_all(&t, 0, 3000);
		again();
	}
}

static void lives_with_a_window_that_is_never_scaled(void **state)
{
	struct talk t;

	NEEDS_WORLD;
	t = talk_to(0);
	talk_syn(&t, NULL, 0);
	talk_expect(&t, SYN | ACK);
	talk_send(&t, ACK, NULL, 0);
	world_until(o.opened);
	for (size_t i = 0; i < 20; i++) {
		talk_send(&t, ACK, pattern + i * 30000, 30000);
		take(pattern + i * 30000, 30000);
		give(pattern + i * 1000, 1000);
		get_all(&t, i * 1000, 1000);
	}
}

/* lwIP measures its last segment by half of the largest window it has seen; before there was one,
 * by the MSS. What is queued before must fit into the first. */
static void begins_without_a_window(void **state)
{
	static const uint16_t first[] = {0, 1}, second[] = {2, 3, 10, 100};

	NEEDS_WORLD;
	for (size_t i = 0; i < ARRAY_LEN(first) * ARRAY_LEN(second); i++) {
		struct talk t = talk_to(i % 2);

		t.window = first[i / ARRAY_LEN(second)];
		talk_syn(&t, NULL, 0);
		talk_expect(&t, SYN | ACK);
		talk_send(&t, ACK, NULL, 0);
		world_until(o.opened == 1);
		assert_int_equal(stack_conn_room(&o.c), 1);
		give(pattern, 1);
		set_window(&t, second[i % ARRAY_LEN(second)]);
		get_all(&t, 0, 1);
		settle();
		give(pattern + 1, 3);
		get_all(&t, 1, 3);
		set_window(&t, 65535);
		give(pattern + 4, 30000);
		get_all(&t, 4, 30000);
		again();
	}
}

static void closes_its_own_window(void **state)
{
	struct talk t;
	size_t sent = 0;

	NEEDS_WORLD;
	t = opened(0);
	do { /* nobody consumes */
		talk_send(&t, ACK, pattern, 60000);
		settle();
		stack_tick(2); /* no acknowledgment is delayed */
		drain();
	} while ((got.window << 7) >= 60000);
	assert_true(o.c.inbox.len <= 4 << 20);
	/* What goes beyond the window gets an answer and no place. */
	for (int i = 0; i < 3; i++) {
		talk_send(&t, ACK, pattern, 60000);
		settle();
		drain();
	}
	stack_tick(2);
	drain();
	assert_int_equal(got.window, 0);
	assert_int_equal(o.c.inbox.len, 4 << 20);
	t.seq = got.ack;
	sent = o.c.inbox.len;
	talk_send_at(&t, t.seq - 1, ACK, NULL, 0);
	segment_next();
	assert_int_equal(got.window, 0);
	/* Room is announced as soon as it is worth while. */
	stack_conn_consume(&o.c, sent);
	while (world_child_has())
		segment_next();
	assert_true((got.window << 7) > 1 << 20);
	talk_send(&t, ACK, "on", 2);
	take("on", 2);
}

/* What comes out of order may begin within the window and end beyond it. */
static void takes_nothing_out_of_order_beyond_its_window(void **state)
{
	static const size_t over[] = {0, 1, 30000};
	const size_t window = 4 << 20;

	NEEDS_WORLD;
	for (size_t i = 0; i < ARRAY_LEN(over); i++) {
		struct talk t = opened(i % 2);
		const uint32_t first = t.seq;
		size_t last = 40000;

		talk_send_at(&t, (uint32_t)(first + window - last + over[i]), ACK, pattern, last);
		while (t.seq - first < window - last) {
			size_t n = MIN((size_t)60000, window - last - (t.seq - first));

			talk_send(&t, ACK, pattern, n);
			settle();
			drain();
		}
		if (over[i]) /* it was no use */
			talk_send_at(&t, t.seq, ACK, pattern, last);
		settle();
		stack_tick(2);
		drain();
		assert_int_equal(o.c.inbox.len, window);
		assert_int_equal(got.ack, (uint32_t)(first + window));
		assert_int_equal(got.window, 0);
		again();
	}
}

/* RFC 9293 3.2: the option is for the SYN. */
static void heeds_no_segment_size_after_the_handshake(void **state)
{
	static const uint8_t small[] = {2, 4, 5, 0xb4}; /* 1460 */

	NEEDS_WORLD;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		struct talk t = opened(f);
		struct segment s = {.src = t.self,
			.dst = t.peer,
			.seq = t.seq,
			.ack = t.ack,
			.flags = ACK,
			.options = small,
			.options_len = sizeof(small)};
		const size_t room = stack_conn_room(&o.c);

		assert_true(room > 30000);
		set_window(&t, 0);
		give(pattern, 40000);
		assert_true(segment_put(&s));
		settle();
		assert_int_equal(stack_conn_room(&o.c), room);
		give(pattern + 40000, 80000);
		set_window(&t, 65535);
		get_all(&t, 0, 120000);
		again();
	}
}

static void answers_keepalives(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		struct talk t = opened(f);

		talk_send(&t, ACK, "x", 1);
		take("x", 1);
		stack_tick(4);
		drain();
		talk_send_at(&t, t.seq - 1, ACK, NULL, 0); /* Linux: no byte */
		talk_expect(&t, ACK);
		talk_send_at(&t, t.seq - 1, ACK, "", 1); /* RFC 1122 4.2.3.6: or an old one */
		talk_expect(&t, ACK);
		assert_int_equal(o.c.inbox.len, 0);
		again();
	}
}

static void ignores_acks_of_the_past_and_future(void **state)
{
	struct talk t;
	const uint32_t offset[] = {1, 1000, 0x7fffffff, 0x80000000, 0xffffffff, 0xf0000000};

	NEEDS_WORLD;
	t = opened(0);
	give(pattern, 1000);
	for (size_t i = 0; i < ARRAY_LEN(offset); i++) {
		t.ack += 1000 + offset[i];
		talk_send(&t, ACK, NULL, 0);
		t.ack -= 1000 + offset[i];
	}
	settle();
	assert_int_equal(o.closed, 0);
	talk_send(&t, ACK, "here", 4);
	take("here", 4);
	if (stack_conn_unacked(&o.c)) {
		drain();
		stack_tick(20);
	}
	get_all(&t, 0, 1000);
}

/* Each small piece is a buffer of its own in the segment that waits for the window. */
static void sends_what_waited_in_many_pieces(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		struct talk t = opened_with(f, 0);
		size_t n = 0;

		while (stack_conn_room(&o.c) && n < 5000)
			give(pattern + n++, 1);
		assert_true(n > 1500);
		drain();
		set_window(&t, 65535);
		get_all(&t, 0, n);
		settle();
		assert_int_equal(stack_conn_unacked(&o.c), 0);
		again();
	}
}

/* ---- memory ---- */

static void takes_no_more_than_its_share(void **state)
{
	struct talk t;
	uint32_t base;
	size_t n = 0;

	NEEDS_WORLD;
	t = opened(0);
	base = t.seq;
	buf_set_limit(256 * 1024);
	for (size_t i = 0; i < 40; i++) { /* as far as the window goes */
		talk_send(&t, ACK, pattern + i * 20000, 20000);
		settle();
		drain();
	}
	assert_true(buf_used() < 512 * 1024);
	assert_true(o.c.inbox.len < 800000);
	/* What was not taken in was not acknowledged: the child sends it again. */
	for (int i = 0; i < 100 && n < 800000; i++) {
		size_t len = o.c.inbox.len;

		take(pattern + n, len);
		n += len;
		assert_int_equal(got.ack, base + n);
		for (size_t at = n; at < 800000 && at < n + 200000; at += 20000) {
			talk_send_at(&t, base + (uint32_t)at, ACK, pattern + at, 20000);
			settle();
			drain();
		}
	}
	assert_int_equal(n, 800000);
}

static void keeps_no_segments_out_of_order_without_memory(void **state)
{
	struct talk t;
	uint32_t base;

	NEEDS_WORLD;
	t = opened(0);
	base = t.seq;
	buf_set_limit(256 * 1024);
	for (uint32_t i = 0; i < 60; i++) /* a byte each, and a hole between them */
		talk_send_at(&t, base + 2 + 2 * i, ACK, pattern + 2 + 2 * i, 1);
	settle();
	assert_true(buf_used() < 512 * 1024);
	drain();
	talk_send_at(&t, base, ACK, pattern, 20000);
	take(pattern, 20000);
	assert_true(buf_used() < 256 * 1024);
}

static void counts_what_it_copied(void **state)
{
	struct talk t;
	size_t n = 0;

	NEEDS_WORLD;
	t = opened_with(0, 0);
	buf_set_limit(256 * 1024);
	while (n < 900000 && stack_conn_room(&o.c)) { /* below what is pinned */
		give(pattern + n, 5000);
		n += 5000;
	}
	assert_true(n < 512 * 1024);
	assert_true(buf_used() >= n);
	buf_set_limit((size_t)256 << 20);
	set_window(&t, 65535);
	get_all(&t, 0, n);
	settle();
	assert_int_equal(buf_used(), 0);
}

static const struct CMUnitTest tests[] = {
#define IT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	IT(sends_again_what_is_not_acknowledged),
	IT(sends_fin_again),
	IT(sends_at_once_after_three_equal_acks),
	IT(gives_up_a_dead_child),
	IT(respects_the_window),
	IT(learns_by_a_probe_that_a_window_is_open),
	IT(lives_with_a_window_that_is_never_scaled),
	IT(begins_without_a_window),
	IT(closes_its_own_window),
	IT(takes_nothing_out_of_order_beyond_its_window),
	IT(heeds_no_segment_size_after_the_handshake),
	IT(answers_keepalives),
	IT(ignores_acks_of_the_past_and_future),
	IT(sends_what_waited_in_many_pieces),
	IT(takes_no_more_than_its_share),
	IT(keeps_no_segments_out_of_order_without_memory),
	IT(counts_what_it_copied),
};

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, world_enter, NULL);
}
