/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_SEGMENT_H
#define NSNET_SPEC_SEGMENT_H

/* segment - the spec as the child's kernel: TCP segments that it sends and gets, one by one, by
 * the tun of world.h. A struct talk is one end of a connection that is led by hand. */

#include "world.h"

#include "core/stack.h"

#define FIN PACKET_TCP_FIN
#define SYN PACKET_TCP_SYN
#define RST PACKET_TCP_RST
#define PSH PACKET_TCP_PSH
#define ACK PACKET_TCP_ACK
#define URG PACKET_TCP_URG

struct segment {
	struct addr src, dst;
	uint32_t seq, ack;
	uint16_t window, urgent;
	uint8_t flags;
	const uint8_t *options;
	size_t options_len; /* a multiple of 4 */
	const void *data;
	size_t len;

	/* Of what came only. */
	int mss, scale; /* -1: no such option */
	bool sack_permitted;
	unsigned sacks;
	uint32_t sack[4][2];
};

static struct stack stack;
static struct segment got; /* the last one to the child; data lies in w.bytes */

/* Writes the packet to @out; returns its length. */
static size_t segment_build(uint8_t *out, const struct segment *s)
{
	const size_t ihl = s->src.v == 4 ? 20 : 40, thl = 20 + s->options_len;
	const size_t len = ihl + thl + s->len;
	uint8_t *t = out + ihl;

	memset(out, 0, ihl + thl);
	if (s->src.v == 4) {
		uint16_t sum;

		out[0] = 0x45;
		packet_put16(out + 2, (uint16_t)len);
		out[8] = 64;
		out[9] = IPPROTO_TCP;
		memcpy(out + 12, s->src.ip, 4);
		memcpy(out + 16, s->dst.ip, 4);
		sum = packet_sum_fold(packet_sum(out, 20, 0));
		memcpy(out + 10, &sum, 2);
	} else {
		out[0] = 0x60;
		packet_put16(out + 4, (uint16_t)(thl + s->len));
		out[6] = IPPROTO_TCP;
		out[7] = 64;
		memcpy(out + 8, s->src.ip, 16);
		memcpy(out + 24, s->dst.ip, 16);
	}
	packet_put16(t, s->src.port);
	packet_put16(t + 2, s->dst.port);
	packet_put32(t + 4, s->seq);
	packet_put32(t + 8, s->ack);
	t[12] = (uint8_t)(thl / 4 << 4);
	t[13] = s->flags;
	packet_put16(t + 14, s->window);
	packet_put16(t + 18, s->urgent);
	if (s->options_len)
		memcpy(t + 20, s->options, s->options_len);
	if (s->len)
		memcpy(t + thl, s->data, s->len);
	return len;
}

/* Puts the packet of @n bytes into the tun. False if it is full. */
static WORLD_UNUSED bool segment_put_raw(const uint8_t *packet, size_t n)
{
	static const struct virtio_net_hdr none;
	struct iovec iov[2] = {{(void *)&none, sizeof(none)}, {(void *)packet, n}};
	ssize_t written = writev(w.child, iov, 2);

	assert_true(written == (ssize_t)(n + sizeof(none)) || errno == EAGAIN);
	return written > 0;
}

static bool segment_put(const struct segment *s)
{
	static uint8_t packet[BUF_DATA_MAX + 64];

	return segment_put_raw(packet, segment_build(packet, s));
}

static void segment_parse_option(const uint8_t *o)
{
	switch (o[0]) {
	case 2:
		got.mss = packet_get16(o + 2);
		break;
	case 3:
		got.scale = o[2];
		break;
	case 4:
		got.sack_permitted = true;
		break;
	case 5:
		for (unsigned i = 2; i + 8 <= o[1]; i += 8, got.sacks++) {
			got.sack[got.sacks][0] = packet_get32(o + i);
			got.sack[got.sacks][1] = packet_get32(o + i + 4);
		}
	}
}

/* Reads w.p, which is TCP, into got. */
static void segment_parse(void)
{
	const uint8_t *t = w.bytes + w.p.l4;

	assert_int_equal(w.p.proto, IPPROTO_TCP);
	got = (struct segment){
		.src = w.p.src,
		.dst = w.p.dst,
		.seq = packet_get32(t + 4),
		.ack = packet_get32(t + 8),
		.window = packet_get16(t + 14),
		.flags = w.p.tcp_flags,
		.data = w.bytes + w.p.payload,
		.len = w.p.len - w.p.payload,
		.mss = -1,
		.scale = -1,
	};
	for (const uint8_t *o = t + 20; o < w.bytes + w.p.payload && *o;) {
		if (*o == 1) {
			o++;
			continue;
		}
		segment_parse_option(o);
		o += o[1];
	}
}

/* The next segment to the child. */
static void segment_next(void)
{
	world_child_next();
	segment_parse();
}

/* Lets the host look at all that was sent to it. */
static WORLD_UNUSED void settle(void)
{
	for (int i = 0; i < 3; i++)
		ev_run(w.loop, EVRUN_NOWAIT);
}

/* Nothing is on its way to the child, once everything that was sent has been looked at. */
static WORLD_UNUSED void segment_none(void)
{
	settle();
	if (world_child_has()) {
		segment_next();
		fail_msg("unexpected segment: flags %02x, %zu bytes", got.flags, got.len);
	}
}

/* --- talks --- */

struct talk {
	struct addr self, peer;
	uint32_t seq, ack; /* next to send, next to get */
	uint16_t window;
};

static WORLD_UNUSED struct talk talk_new(const char *self, const struct addr *peer)
{
	return (struct talk){.self = world_addr(self), .peer = *peer, .seq = 1000, .window = 65535};
}

/* Sends, and counts what takes sequence numbers. */
static void talk_send(struct talk *t, uint8_t flags, const void *data, size_t len)
{
	struct segment s = {
		.src = t->self,
		.dst = t->peer,
		.seq = t->seq,
		.ack = t->ack,
		.flags = flags,
		.window = t->window,
		.data = data,
		.len = len,
	};

	assert_true(segment_put(&s));
	t->seq += (uint32_t)len + !!(flags & SYN) + !!(flags & FIN);
}

/* Sends again or out of order: at @seq, and nothing is counted. */
static WORLD_UNUSED void talk_send_at(struct talk *t, uint32_t seq, uint8_t flags, const void *data,
	size_t len)
{
	const uint32_t next = t->seq;

	t->seq = seq;
	talk_send(t, flags, data, len);
	t->seq = next;
}

/* What Linux sends: MSS, SACK permitted, a window scale of 7. */
static const uint8_t talk_linux[] = {2, 4, 0xff, 0xd7, 1, 1, 4, 2, 1, 3, 3, 7};

static WORLD_UNUSED void talk_syn(struct talk *t, const uint8_t *options, size_t n)
{
	struct segment s = {
		.src = t->self,
		.dst = t->peer,
		.seq = t->seq++,
		.flags = SYN,
		.window = t->window,
		.options = options,
		.options_len = n,
	};

	assert_true(segment_put(&s));
}

/* The next segment is in order, from the peer, with all of @flags (and perhaps PSH). */
static WORLD_UNUSED void talk_expect(struct talk *t, uint8_t flags)
{
	segment_next();
	assert_true(addr_equal(&got.src, &t->peer) && addr_equal(&got.dst, &t->self));
	assert_int_equal(got.flags & (uint8_t)~PSH, flags);
	if (flags & SYN)
		t->ack = got.seq;
	assert_int_equal(got.seq, t->ack);
	if (flags & ACK)
		assert_int_equal(got.ack, t->seq);
	t->ack += (uint32_t)got.len + !!(flags & SYN) + !!(flags & FIN);
}

/* Reads until @n bytes came in order, acknowledges them, compares with @data. */
static WORLD_UNUSED void talk_get(struct talk *t, const void *data, size_t n)
{
	const uint8_t *at = data;

	while (n) {
		segment_next();
		if (!got.len) /* an acknowledgment */
			continue;
		assert_int_equal(got.seq, t->ack);
		assert_true(got.len <= n);
		assert_memory_equal(got.data, at, got.len);
		t->ack += (uint32_t)got.len;
		at += got.len;
		n -= got.len;
		talk_send(t, ACK, NULL, 0);
	}
}

/* --- the stack --- */

static WORLD_UNUSED void stack_up(unsigned mtu)
{
	w.tun.mtu = mtu;
	assert_int_equal(stack_init(&stack, w.loop, &w.tun), 0);
}

static WORLD_UNUSED void stack_down(void)
{
	assert_int_equal(stack.count, 0);
	stack_fini(&stack);
}

/* @n turns of lwIP's timer, now: a fifth of a second for each two. */
static WORLD_UNUSED void stack_tick(unsigned n)
{
	while (n--)
		ev_invoke(w.loop, &stack.slow, EV_TIMER);
}

#endif
