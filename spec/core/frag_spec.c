/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/base.h"
#include "core/craft.h"
#include "core/frag.h"

static struct ev_loop *loop;
static struct frag frag;

/* The packet to be sent in pieces, with room for pieces that are beside it. */
static uint8_t whole[BUF_DATA_MAX + 256];
static struct packet sent;

static int start(void **state)
{
	(void)state;
	loop = ev_loop_new(0);
	frag_init(&frag, loop);
	return loop ? 0 : -1;
}

/* Nothing is left: no buffer, no watcher. */
static int stop(void **state)
{
	(void)state;
	frag_fini(&frag);
	assert_int_equal(frag.count, 0);
	assert_false(ev_is_active(&frag.tick));
	assert_int_equal(buf_used(), 0);
	buf_pool_fini();
	ev_loop_destroy(loop);
	return 0;
}

/* A UDP datagram of @len random bytes. */
static void make(int v, size_t len)
{
	static uint8_t room[48 + 65535];
	static uint32_t random = 1;
	struct addr src, dst;
	size_t header;

	addr_parse(&src, v == 4 ? "10.0.0.1:40000" : "[fd6e:736e:6574::1]:40000");
	addr_parse(&dst, v == 4 ? "203.0.113.9:443" : "[2001:db8::9]:443");
	for (size_t i = 0; i < len; i++) {
		random = random * 1103515245 + 12345;
		room[48 + i] = (uint8_t)(random >> 16);
	}
	header = craft_udp(room + 48, len, &src, &dst);
	memcpy(whole, room + 48 - header, header + len);
	assert_int_equal(packet_parse(&sent, whole, header + len), 0);
}

/* The bytes behind the IP header: what is cut into pieces. */
static size_t data_len(void)
{
	return sent.len - sent.l4;
}

/* Hands over @len bytes at @at of the data in a fragment; the last one if they reach the
 * end, unless @more. @extra are bytes of header: IPv4 options or an IPv6 destination header. */
static struct buf *piece_of(struct packet *p, size_t at, size_t len, bool more, uint32_t id,
	size_t extra)
{
	struct buf *b = buf_get();
	uint8_t *ip = b->data, *to;
	size_t head = sent.l4;
	bool last = !more && at + len >= data_len();

	memcpy(ip, whole, head);
	memset(ip + head, 0, extra);
	to = ip + head + extra;
	if (sent.v == 4) {
		if (extra)
			memset(ip + head, 1, extra); /* no-operation options */
		ip[0] = (uint8_t)(0x40 | (head + extra) / 4);
		packet_put16(ip + 2, (uint16_t)(head + extra + len));
		packet_put16(ip + 4, (uint16_t)id);
		packet_put16(ip + 6, (uint16_t)((last ? 0 : 0x2000) | at / 8));
	} else {
		packet_put16(ip + 4, (uint16_t)(extra + 8 + len));
		ip[6] = extra ? IPPROTO_DSTOPTS : IPPROTO_FRAGMENT;
		if (extra) {
			ip[40] = IPPROTO_FRAGMENT;
			ip[41] = (uint8_t)(extra / 8 - 1);
			ip[42] = 1; /* PadN over the rest */
			ip[43] = (uint8_t)(extra - 4);
		}
		to[0] = sent.proto;
		to[1] = 0;
		packet_put16(to + 2, (uint16_t)(at | !last));
		packet_put32(to + 4, id);
		to += 8;
	}
	memcpy(to, whole + sent.l4 + at, len);
	assert_int_equal(packet_parse(p, ip, (size_t)(to + len - ip)), 0);
	assert_true(p->fragment);
	return frag_input(&frag, b, p);
}

static struct buf *piece(struct packet *p, size_t at, size_t len)
{
	return piece_of(p, at, len, false, 1, 0);
}

/* @b is the packet that was sent, and no longer a fragment. */
static void check_whole(struct buf *b, const struct packet *p)
{
	assert_non_null(b);
	assert_false(p->fragment);
	assert_true(p->data >= b->whole && p->data + p->len <= b->whole + sizeof(b->whole));
	assert_int_equal(p->len - p->l4, data_len());
	assert_memory_equal(p->data + p->l4, whole + sent.l4, data_len());
	assert_true(addr_equal(&p->src, &sent.src) && addr_equal(&p->dst, &sent.dst));
	assert_int_equal(p->proto, IPPROTO_UDP);
	if (p->v == 4)
		assert_int_equal(packet_sum_fold(packet_sum(p->data, p->l4, 0)), 0);
	buf_put(b);
	assert_int_equal(frag.count, 0);
	assert_int_equal(buf_used(), 0);
	assert_false(ev_is_active(&frag.tick));
}

static void puts_pieces_together_in_every_order(void **state)
{
	static const size_t lens[] = {1493, 9000, 65507};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(lens); i++) {
		make(i % 2 ? 6 : 4, lens[i / 2]);
		/* Forwards, backwards, inside out. */
		for (int order = 0; order < 3; order++) {
			size_t step = 1480, n = (data_len() + step - 1) / step;
			struct packet p;

			for (size_t k = 0; k < n; k++) {
				size_t j = order == 0 ? k
					: order == 1  ? n - 1 - k
						      : (k + n / 2) % n;
				size_t at = j * step, len = MIN(step, data_len() - at);
				struct buf *b = piece(&p, at, len);

				if (k == n - 1)
					check_whole(b, &p);
				else
					assert_null(b);
			}
		}
	}
	assert_int_equal(frag.complete, 18);
	assert_int_equal(frag.spoiled + frag.malformed + frag.evicted + frag.expired, 0);
}

static void longest_datagrams_fit(void **state)
{
	struct packet p;

	(void)state;
	for (int v = 4; v <= 6; v += 2) {
		make(v, v == 4 ? 65507 : 65527);
		assert_null(piece(&p, 0, 65456));
		check_whole(piece(&p, 65456, data_len() - (65456)), &p);
	}
}

static void eight_byte_pieces_are_enough(void **state)
{
	struct packet p;

	(void)state;
	make(4, 65507);
	for (size_t at = 8; at < data_len(); at += 8) {
		assert_null(piece(&p, at, MIN((size_t)8, data_len() - at)));
		assert_int_equal(frag.count, 1);
	}
	check_whole(piece(&p, 0, 8), &p);
}

static void headers_of_the_first_piece_stay(void **state)
{
	struct packet p;
	struct buf *b;

	(void)state;
	make(4, 3000);
	assert_null(piece_of(&p, 0, 1480, true, 1, 40));
	b = piece(&p, 1480, data_len() - 1480);
	assert_non_null(b);
	assert_int_equal(p.l4, 60);
	check_whole(b, &p);

	/* The last one comes first, with another header. */
	make(6, 3000);
	assert_null(piece_of(&p, 1480, data_len() - 1480, false, 1, 8));
	b = piece_of(&p, 0, 1480, true, 1, 128);
	assert_non_null(b);
	assert_int_equal(p.l4, 40 + 128);
	assert_int_equal(packet_get16(p.data + 4), 128 + data_len());
	check_whole(b, &p);

	/* More than there is room for. */
	assert_null(piece_of(&p, 0, 1480, true, 1, 136));
	assert_int_equal(frag.malformed, 1);
}

static void repetitions_are_ignored(void **state)
{
	struct packet p;

	(void)state;
	for (int v = 4; v <= 6; v += 2) {
		make(v, 4000);
		for (int i = 0; i < 3; i++) {
			assert_null(piece(&p, 2960, data_len() - 2960));
			assert_null(piece(&p, 0, 1480));
			assert_null(piece(&p, 0, 800)); /* a part, with the same bytes */
		}
		check_whole(piece(&p, 1480, 1480), &p);
	}
	assert_int_equal(frag.spoiled, 0);
}

/* Whatever came and comes of a spoiled packet is dropped, until its time is over. */
static void check_spoiled(uint64_t times)
{
	struct packet p;

	assert_int_equal(frag.spoiled, times);
	assert_int_equal(frag.count, 1);
	assert_int_equal(buf_used(), 0);
	for (size_t at = 0; at < data_len(); at += 1480)
		assert_null(piece(&p, at, MIN((size_t)1480, data_len() - at)));
	assert_int_equal(frag.spoiled, times);
	assert_int_equal(frag.complete, 0);
	assert_int_equal(buf_used(), 0);
	ev_invoke(loop, &frag.tick, EV_TIMER);
	ev_invoke(loop, &frag.tick, EV_TIMER);
	assert_int_equal(frag.count, 0);
	assert_int_equal(frag.expired, 0);
}

static void overlaps_spoil_the_packet(void **state)
{
	struct packet p;
	uint64_t times = 0;

	(void)state;
	for (int v = 4; v <= 6; v += 2) {
		make(v, 4000);
		/* Eight bytes too many, though the same ones (RFC 5722). */
		assert_null(piece(&p, 0, 1480));
		assert_null(piece(&p, 1472, 1480));
		check_spoiled(++times);
		/* From the front. */
		assert_null(piece(&p, 1480, 1480));
		assert_null(piece(&p, 0, 1488));
		check_spoiled(++times);
		/* Around. */
		assert_null(piece(&p, 1480, 8));
		assert_null(piece(&p, 0, 2960));
		check_spoiled(++times);
		/* The same place, other bytes: ports, or anything else. */
		assert_null(piece(&p, 0, 1480));
		whole[sent.l4 + 3] ^= 1;
		assert_null(piece(&p, 0, 8));
		check_spoiled(++times);
		make(v, 4000);
		assert_null(piece(&p, 2960, data_len() - 2960));
		whole[sent.len - 1] ^= 1;
		assert_null(piece(&p, 2960, data_len() - 2960));
		check_spoiled(++times);
	}
}

static void contradictions_about_the_end_spoil_the_packet(void **state)
{
	struct packet p;
	uint64_t times = 0;

	(void)state;
	for (int v = 4; v <= 6; v += 2) {
		make(v, 4000);
		/* A last one, then another behind it. */
		sent.len = sent.l4 + 1480;
		assert_null(piece(&p, 1472, 8));
		sent.len = sent.l4 + 4008;
		assert_null(piece_of(&p, 1480, 8, true, 1, 0));
		check_spoiled(++times);
		/* Behind it first. */
		assert_null(piece_of(&p, 1480, 8, true, 1, 0));
		sent.len = sent.l4 + 1480;
		assert_null(piece(&p, 1472, 8));
		sent.len = sent.l4 + 4008;
		check_spoiled(++times);
		/* Two ends. */
		assert_null(piece(&p, 4000, 8));
		sent.len = sent.l4 + 4000;
		assert_null(piece(&p, 3992, 8));
		sent.len = sent.l4 + 4008;
		check_spoiled(++times);
	}
}

static void refuses_pieces_of_nothing(void **state)
{
	struct packet p;

	(void)state;
	for (int v = 4; v <= 6; v += 2) {
		make(v, 4000);
		frag.malformed = 0;
		assert_null(piece_of(&p, 0, 1481, true, 1, 0)); /* no multiple of 8 */
		assert_null(piece_of(&p, 1480, 7, true, 1, 0));
		assert_null(piece_of(&p, 1480, 0, true, 1, 0)); /* empty */
		sent.len = sent.l4;
		assert_null(piece(&p, 1480, 0));
		make(v, 65500);
		assert_null(piece_of(&p, 65528, 8, true, 1, 0)); /* behind 65535 */
		assert_null(piece_of(&p, 65520, 16, false, 1, 0));
		assert_int_equal(frag.malformed, 6);
		assert_int_equal(frag.count, 0);
		assert_int_equal(buf_used(), 0);
	}
}

/* The parts fit, the whole does not ("ping of death"). */
static void refuses_a_packet_of_more_than_64_kb(void **state)
{
	struct packet p;

	(void)state;
	make(4, 65507);
	assert_null(piece(&p, 1480, data_len() - 1480));
	assert_null(piece_of(&p, 0, 1480, true, 1, 40));
	assert_int_equal(frag.spoiled, 1);
	make(6, 65527);
	assert_null(piece_of(&p, 1480, data_len() - 1480, false, 1, 0));
	assert_null(piece_of(&p, 0, 1480, true, 1, 8));
	assert_int_equal(frag.spoiled, 2);
	assert_int_equal(buf_used(), 0);
}

/* What comes out is parsed like any other packet. */
static void refuses_a_whole_that_is_no_packet(void **state)
{
	struct packet p;

	(void)state;
	make(4, 4000);
	packet_put16(whole + sent.l4 + 4, 5000); /* UDP length */
	assert_null(piece(&p, 0, 1480));
	assert_null(piece(&p, 1480, data_len() - 1480));
	assert_int_equal(frag.spoiled, 1);

	/* A fragment of a fragment. */
	make(6, 4000);
	sent.proto = IPPROTO_FRAGMENT;
	memcpy(whole + sent.l4, "\x11\x00\x00\x01\x00\x00\x00\x02", 8);
	assert_null(piece(&p, 0, 1480));
	assert_null(piece(&p, 1480, data_len() - 1480));
	assert_int_equal(frag.spoiled, 2);
	assert_int_equal(frag.complete, 0);
	assert_int_equal(buf_used(), 0);
}

static void packets_are_told_apart(void **state)
{
	struct packet p;
	uint8_t *ip = whole;

	(void)state;
	/* Id, source, destination, and with IPv4 the protocol. */
	make(4, 2000);
	assert_null(piece(&p, 0, 1480));
	assert_null(piece_of(&p, 1480, data_len() - 1480, false, 2, 0));
	ip[15] ^= 1;
	assert_null(piece(&p, 1480, data_len() - 1480));
	ip[15] ^= 1;
	ip[19] ^= 1;
	assert_null(piece(&p, 1480, data_len() - 1480));
	ip[19] ^= 1;
	ip[9] = IPPROTO_TCP;
	assert_null(piece(&p, 1480, data_len() - 1480));
	assert_int_equal(frag.count, 5);
	ip[9] = IPPROTO_UDP;
	buf_put(piece(&p, 1480, data_len() - 1480));
	assert_int_equal(frag.complete, 1);
	assert_int_equal(frag.count, 4);
	/* IPv6 with the same id is another one, and its later pieces may name another header. */
	make(6, 2000);
	sent.proto = IPPROTO_TCP;
	assert_null(piece_of(&p, 1480, data_len() - 1480, false, 2, 0));
	sent.proto = IPPROTO_UDP;
	assert_int_equal(frag.count, 5);
	buf_put(piece_of(&p, 0, 1480, true, 2, 0));
	assert_int_equal(frag.complete, 2);
	assert_int_equal(p.proto, IPPROTO_UDP);
}

static void oldest_makes_room(void **state)
{
	struct packet p;

	(void)state;
	make(4, 2000);
	for (uint32_t id = 0; id < FRAG_MAX + 3; id++)
		assert_null(piece_of(&p, 0, 1480, true, id, 0));
	assert_int_equal(frag.count, FRAG_MAX);
	assert_int_equal(frag.evicted, 3);
	assert_int_equal(buf_used(), FRAG_MAX * sizeof(struct buf));
	/* The fourth is the oldest that is left. */
	buf_put(piece_of(&p, 1480, data_len() - 1480, false, 3, 0));
	assert_int_equal(frag.complete, 1);
	assert_null(piece_of(&p, 1480, data_len() - 1480, false, 2, 0));
	assert_int_equal(frag.complete, 1);
}

static void a_million_fragments_take_no_more(void **state)
{
	uint32_t random = 1;
	struct packet p;

	(void)state;
	for (int i = 0; i < 1000000; i++) {
		if (i % 1000 == 0)
			make(i % 2000 ? 4 : 6, 2000);
		random = random * 1103515245 + 12345;
		buf_put(piece_of(&p, random >> 8 & 0xff8 & 2047, 8 + (random >> 20 & 0x78),
			random >> 30 & 1, random >> 16 & 127, 0));
		assert_true(frag.count <= FRAG_MAX);
		assert_true(buf_used() <= FRAG_MAX * sizeof(struct buf));
	}
	assert_true(frag.evicted > 0);
	assert_true(frag.spoiled > 0);
}

static void time_ends_what_is_not_complete(void **state)
{
	struct packet p;

	(void)state;
	make(4, 2000);
	assert_false(ev_is_active(&frag.tick));
	assert_null(piece_of(&p, 0, 1480, true, 1, 0));
	assert_true(ev_is_active(&frag.tick));
	assert_true(ev_timer_remaining(loop, &frag.tick) > 0);
	ev_invoke(loop, &frag.tick, EV_TIMER);
	assert_int_equal(frag.count, 1);
	assert_null(piece_of(&p, 0, 1480, true, 2, 0));
	/* A later fragment gives the packet no more time. */
	assert_null(piece_of(&p, 0, 1480, true, 1, 0));
	ev_invoke(loop, &frag.tick, EV_TIMER);
	assert_int_equal(frag.count, 1);
	assert_int_equal(frag.expired, 1);
	assert_true(ev_is_active(&frag.tick));
	assert_null(piece_of(&p, 1480, data_len() - 1480, false, 1, 0));
	assert_int_equal(frag.complete, 0);
	ev_invoke(loop, &frag.tick, EV_TIMER);
	ev_invoke(loop, &frag.tick, EV_TIMER);
	assert_int_equal(frag.count, 0);
	assert_int_equal(frag.expired, 3);
	assert_false(ev_is_active(&frag.tick));
	assert_int_equal(buf_used(), 0);
}

#define SPEC(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPEC(puts_pieces_together_in_every_order),
		SPEC(longest_datagrams_fit),
		SPEC(eight_byte_pieces_are_enough),
		SPEC(headers_of_the_first_piece_stay),
		SPEC(repetitions_are_ignored),
		SPEC(overlaps_spoil_the_packet),
		SPEC(contradictions_about_the_end_spoil_the_packet),
		SPEC(refuses_pieces_of_nothing),
		SPEC(refuses_a_packet_of_more_than_64_kb),
		SPEC(refuses_a_whole_that_is_no_packet),
		SPEC(packets_are_told_apart),
		SPEC(oldest_makes_room),
		SPEC(a_million_fragments_take_no_more),
		SPEC(time_ends_what_is_not_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
