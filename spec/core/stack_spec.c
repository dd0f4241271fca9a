/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "owner.h"

/* TCP as the child sees it while a connection lives: handshake, options, bytes. How it ends is in
 * stack_close_spec.c, what is lost on the way in stack_loss_spec.c. */

/* ---- handshake ---- */

static void agrees_on_options(void **state)
{
	static const uint8_t mss[] = {2, 4, 5, 180}, scale[] = {1, 3, 3, 7}, sack[] = {1, 1, 4, 2};

	NEEDS_WORLD;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		struct talk t = talk_to(f);

		talk_syn(&t, talk_linux, sizeof(talk_linux));
		talk_expect(&t, SYN | ACK);
		assert_int_equal(got.scale, 7);
		assert_true(got.sack_permitted);
		assert_in_range(got.mss, 60000, 65535 - family[f].headers);
		again();
		t = talk_to(f);
		talk_syn(&t, NULL, 0); /* what was not offered is not used */
		talk_expect(&t, SYN | ACK);
		assert_int_equal(got.scale, -1);
		assert_false(got.sack_permitted);
		assert_true(got.mss > 0);
		again();
		t = talk_to(f);
		talk_syn(&t, mss, sizeof(mss));
		talk_expect(&t, SYN | ACK);
		assert_int_equal(got.scale, -1);
		again();
		t = talk_to(f);
		talk_syn(&t, scale, sizeof(scale));
		talk_expect(&t, SYN | ACK);
		assert_int_equal(got.scale, 7);
		assert_false(got.sack_permitted);
		again();
		t = talk_to(f);
		talk_syn(&t, sack, sizeof(sack));
		talk_expect(&t, SYN | ACK);
		assert_true(got.sack_permitted);
		again();
	}
}

static void survives_bad_options(void **state)
{
	static const uint8_t bad[][8] = {
		{2, 0, 0, 0, 0, 0, 0, 0},             /* of no length */
		{2, 1, 2, 1, 2, 1, 2, 1},             /* of less than their own length */
		{1, 1, 1, 1, 1, 1, 1, 2},             /* cut off after the kind */
		{1, 1, 1, 1, 1, 1, 3, 3},             /* after the length */
		{3, 255, 0, 0, 0, 0, 0, 0},           /* longer than the header */
		{2, 4, 0, 0, 1, 1, 1, 1},             /* a segment of nothing */
		{3, 3, 255, 1, 1, 1, 1, 1},           /* a scale beyond RFC 7323's 14 */
		{5, 8, 1, 2, 3, 4, 5, 6},             /* SACK on a SYN, and not of its length */
		{254, 4, 0xab, 0xcd, 253, 4, 0, 0},   /* experiments (RFC 6994) */
		{8, 10, 255, 255, 255, 255, 255, 255} /* cut off inside */
	};

	NEEDS_WORLD;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct talk t = talk_to(0);

		talk_syn(&t, bad[i], sizeof(bad[i]));
		talk_expect(&t, SYN | ACK);
		talk_send(&t, ACK, "hello", 5);
		take("hello", 5);
		give("world", 5);
		talk_get(&t, "world", 5);
		again();
	}
}

static void repeats_the_synack(void **state)
{
	struct talk t;

	NEEDS_WORLD;
	t = talk_to(0);
	talk_syn(&t, talk_linux, sizeof(talk_linux));
	talk_expect(&t, SYN | ACK);
	t.seq--;
	t.ack = 0;
	talk_syn(&t, talk_linux, sizeof(talk_linux)); /* it was lost */
	talk_expect(&t, SYN | ACK);
	stack_tick(30); /* and again */
	t.ack--;
	talk_expect(&t, SYN | ACK);
	assert_int_equal(o.opened, 0);
	while (world_child_has())
		segment_next();
	talk_send(&t, ACK, NULL, 0);
	world_until(o.opened == 1);
	talk_send(&t, ACK | PSH, "x", 1);
	take("x", 1);
}

static void gives_up_a_handshake(void **state)
{
	struct talk t;

	NEEDS_WORLD;
	t = talk_to(0);
	talk_syn(&t, NULL, 0);
	talk_expect(&t, SYN | ACK);
	stack_tick(250); /* TCP_SYN_RCVD_TIMEOUT is 20 s */
	assert_int_equal(o.opened, 0);
	assert_int_equal(o.closed, 1);
	assert_true(o.reset);
	again();
}

/* ---- bytes ---- */

static void carries_bytes(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		struct talk t = opened(f);
		size_t at = 0;

		for (size_t n = 1; n < 60000; n = n * 5 + 3) {
			talk_send(&t, ACK | PSH, pattern + at, n);
			take(pattern + at, n);
			at += n;
		}
		for (size_t n = 1; n < 200000; n = n * 3 + 7) {
			give(pattern + n, n);
			talk_get(&t, pattern + n, n);
		}
		/* With the last byte of the handshake. */
		again();
		t = talk_to(f);
		talk_syn(&t, talk_linux, sizeof(talk_linux));
		talk_expect(&t, SYN | ACK);
		talk_send(&t, ACK | FIN, "both", 4);
		take("both", 4);
		assert_true(stack_conn_eof(&o.c));
		assert_int_equal(o.opened, 1);
		again();
	}
}

static void uses_the_device_to_cut(void **state)
{
	NEEDS_WORLD;
	w.tun.mtu = 1500;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		const unsigned headers = family[f].headers;
		struct talk t = talk_to(f);
		const uint8_t ours[] = {2, 4, (uint8_t)((1500 - headers) >> 8),
			(uint8_t)(1500 - headers), 1, 3, 3, 7};
		size_t n = 0;

		t.window = 65535;
		talk_syn(&t, ours, sizeof(ours));
		talk_expect(&t, SYN | ACK);
		assert_int_equal(w.vh.gso_type, 0);
		talk_send(&t, ACK, NULL, 0); /* now the window is 8 MB */
		world_until(o.opened);
		talk_send(&t, ACK, NULL, 0);
		talk_send(&t, ACK | PSH, pattern, 60000); /* uncut, as TSO leaves it */
		take(pattern, 60000);
		give(pattern, 200000);
		while (n < 200000) {
			segment_next();
			if (!got.len)
				continue;
			assert_int_equal(got.seq, t.ack + n);
			assert_memory_equal(got.data, pattern + n, got.len);
			n += got.len;
			assert_int_equal(w.vh.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
			if (got.len + headers <= 1500)
				continue;
			assert_int_equal(w.vh.gso_type,
				f ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4);
			assert_int_equal(w.vh.gso_size, 1500 - headers);
			assert_int_equal(w.vh.hdr_len, headers);
			assert_int_equal(w.vh.csum_start, headers - 20);
			assert_int_equal(w.vh.csum_offset, 16);
		}
		again();
	}
}

static void puts_segments_in_order(void **state)
{
	struct talk t;
	uint32_t base;

	NEEDS_WORLD;
	t = opened(0);
	base = t.seq;
	talk_send_at(&t, base + 200, ACK, pattern + 200, 100);
	segment_next();
	assert_int_equal(got.ack, base);
	assert_int_equal(got.sacks, 1);
	assert_int_equal(got.sack[0][0], base + 200);
	assert_int_equal(got.sack[0][1], base + 300);
	talk_send_at(&t, base + 400, ACK | FIN, pattern + 400, 100);
	segment_next();
	assert_int_equal(got.sacks, 2);
	talk_send_at(&t, base + 200, ACK, pattern + 200, 100); /* twice */
	talk_send_at(&t, base + 250, ACK, pattern + 250, 100); /* overlapping its end */
	talk_send_at(&t, base + 150, ACK, pattern + 150, 300); /* and all of that */
	talk_send_at(&t, base + 50, ACK, pattern + 50, 20);
	world_until(world_child_has());
	assert_int_equal(o.c.inbox.len, 0);
	talk_send_at(&t, base, ACK, pattern, 170); /* the hole */
	take(pattern, 500);
	assert_true(stack_conn_eof(&o.c));
	while (got.ack != base + 501)
		segment_next();
}

static void takes_no_byte_twice(void **state)
{
	struct talk t;
	uint32_t base;

	NEEDS_WORLD;
	t = opened(0);
	base = t.seq;
	talk_send(&t, ACK, pattern, 1000);
	take(pattern, 1000);
	while (world_child_has())
		segment_next();
	talk_send_at(&t, base, ACK, pattern, 1000);
	segment_next();
	assert_int_equal(got.ack, base + 1000);
	talk_send_at(&t, base, ACK, pattern, 999);
	segment_next();
	talk_send_at(&t, base + 500, ACK, pattern + 500, 1000); /* half is new */
	take(pattern + 1000, 500);
	talk_send_at(&t, base + 600, ACK | FIN, pattern + 600, 1000);
	take(pattern + 1500, 100);
	assert_true(stack_conn_eof(&o.c));
}

static void ignores_what_follows_fin(void **state)
{
	struct talk t;

	NEEDS_WORLD;
	t = opened(0);
	talk_send(&t, ACK | FIN, "end", 3);
	take("end", 3);
	talk_send(&t, ACK, "beyond", 6);
	talk_send_at(&t, t.seq - 6, ACK | FIN, "again", 5);
	while (world_child_has())
		segment_next();
	segment_none();
	assert_int_equal(o.c.inbox.len, 0);
	assert_int_equal(o.closed, 0);
	give("still", 5);
	t.seq -= 6;
	talk_get(&t, "still", 5);
}

/* One that came out of order stands where it stands: RFC 9293 3.10.7.4. */
static void ignores_what_stands_behind_a_fin(void **state)
{
	const size_t window = 4 << 20, end = window - 10;

	NEEDS_WORLD;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		struct talk t = opened(f);
		const uint32_t first = t.seq;

		talk_send_at(&t, (uint32_t)(first + end), ACK | FIN, NULL, 0);
		for (size_t n = 0; n < 2 * window; n += 32768) { /* twice what it may */
			talk_send(&t, ACK, pattern, 32768);
			settle();
			while (world_child_has())
				segment_next();
		}
		assert_in_range(o.c.inbox.len, end - 32768, end);
		assert_false(o.c.rx_fin);
		t.seq = first + (uint32_t)o.c.inbox.len;
		talk_send(&t, ACK, pattern, end - o.c.inbox.len);
		settle();
		assert_true(o.c.rx_fin);
		assert_int_equal(o.c.inbox.len, end);
		again();
	}
}

static void delivers_urgent_bytes_in_line(void **state)
{
	static const uint16_t urgent[] = {0, 1, 5, 6, 100, 65535};

	NEEDS_WORLD;
	for (size_t i = 0; i < ARRAY_LEN(urgent); i++) {
		struct talk t = opened(i & 1);
		struct segment s = {
			.src = t.self,
			.dst = t.peer,
			.seq = t.seq,
			.ack = t.ack,
			.flags = ACK | URG | PSH,
			.window = 65535,
			.urgent = urgent[i],
			.data = "hello",
			.len = 5,
		};

		assert_true(segment_put(&s));
		take("hello", 5);
		again();
	}
}

static const struct CMUnitTest tests[] = {
#define IT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	IT(agrees_on_options),
	IT(survives_bad_options),
	IT(repeats_the_synack),
	IT(gives_up_a_handshake),
	IT(carries_bytes),
	IT(uses_the_device_to_cut),
	IT(puts_segments_in_order),
	IT(takes_no_byte_twice),
	IT(ignores_what_follows_fin),
	IT(ignores_what_stands_behind_a_fin),
	IT(delivers_urgent_bytes_in_line),
};

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, world_enter, NULL);
}
