/* SPDX-License-Identifier: MIT */
#ifndef NSNET_FUZZ_FRAMES_H
#define NSNET_FUZZ_FRAMES_H

#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "core/addr.h"
#include "core/base.h"
#include "core/craft.h"
#include "core/packet.h"

/* frames - what a hostile child writes to its device: whole frames, each with its virtio header. It
 * keeps the sequence numbers of its TCP connections, so that what it sends can be in order, and as
 * much out of it as the input says. */

#define FRAME_MAX 66000
#define VH sizeof(struct virtio_net_hdr)
#define TCP_CONNS 8

struct input {
	const uint8_t *at, *end;
};

static uint8_t in8(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static uint16_t in16(struct input *in)
{
	uint16_t high = in8(in);

	return (uint16_t)(high << 8 | in8(in));
}

/* Copies up to @n bytes of the input, and fills up what is missing. */
static void in_bytes(struct input *in, uint8_t *to, size_t n)
{
	size_t k = MIN(n, (size_t)(in->end - in->at));

	memcpy(to, in->at, k);
	memset(to + k, 'z', n - k);
	in->at += k;
}

struct child_conn {
	uint32_t seq, ack; /* the child's next byte, and the next one that it expects */
};

struct frames {
	struct child_conn conn[TCP_CONNS];
	struct virtio_net_hdr vh; /* of what is sent next */
	uint8_t last[FRAME_MAX];  /* the frame before, with its virtio header */
	size_t last_len;
};

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Makes the checksum of an IPv4 header right, as every kernel does. */
static void frame_sum(uint8_t *ip)
{
	uint32_t sum = 0;

	put16(ip + 10, 0);
	for (size_t i = 0; i < (size_t)(ip[0] & 15) * 4; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum >> 16) + (sum & 0xffff);
	put16(ip + 10, ~(sum + (sum >> 16)) & 0xffff);
}

/* An IP header for @n bytes of @proto behind it, with IPv4 options or IPv6 extension headers as the
 * input says, from the child to the world or to the resolver. Returns its length. */
static size_t frame_ip(struct input *in, uint8_t *ip, bool v6, uint8_t proto, bool dns, size_t n)
{
	static const uint8_t src6[16] = {0xfd, 0x6e, [15] = 1},
			     dst6[16] = {0x20, 1, 0xd, 0xb8, [15] = 1},
			     dns6[16] = {0xfd, 0x6e, 0x73, 0x6e, 0x65, 0x74, [15] = 0x53};
	static const uint8_t chain[] = {0, 43, 60, 44, 51, 135, 139, 59};
	const uint8_t extra = in8(in);
	size_t h = 40;

	if (!v6) {
		size_t options = extra & 0x80 ? (extra & 0xf) % 11 * 4 : 0;

		h = 20 + options;
		memset(ip, 0, 20);
		ip[0] = (uint8_t)(0x40 | h / 4);
		put16(ip + 2, (unsigned)(h + n));
		ip[8] = 64;
		ip[9] = proto;
		memcpy(ip + 12, (const uint8_t[]){10, 0, 0, 1, 203, 0, 113, 1}, 8);
		if (dns)
			memcpy(ip + 16, (const uint8_t[]){10, 0, 0, 53}, 4);
		in_bytes(in, ip + 20, options);
		frame_sum(ip);
		return h;
	}
	memset(ip, 0, 40);
	ip[0] = 0x60;
	ip[7] = 64;
	memcpy(ip + 8, src6, 16);
	memcpy(ip + 24, dns ? dns6 : dst6, 16);
	if (extra & 0x80) {
		uint8_t *next = ip + 6;

		for (unsigned i = 0; i < (extra & 7u); i++) {
			size_t len = 8 * (1 + (size_t)(in8(in) & 3));

			*next = chain[in8(in) & 7];
			in_bytes(in, ip + h, len);
			next = ip + h;
			ip[h + 1] = (uint8_t)(len / 8 - 1);
			h += len;
		}
		*next = proto;
	} else {
		ip[6] = proto;
	}
	put16(ip + 4, (unsigned)(h - 40 + n));
	return h;
}

/* A TCP segment of connection @i. Its virtio header claims what the input says. */
static size_t frame_tcp(struct frames *f, struct input *in, uint8_t *ip, unsigned i, uint16_t port)
{
	static const uint8_t flags[] = {0x02, 0x10, 0x18, 0x11, 0x04, 0x14, 0x38, 0x12, 0x00, 0x3f,
		0x01, 0x29, 0x10, 0x18, 0x10, 0x11};
	struct child_conn *c = &f->conn[i];
	const uint8_t what = in8(in), how = in8(in);
	const size_t options = how & 0x80 ? (size_t)(how & 15) % 11 * 4 : 0;
	const size_t n = what & 0x10 ? in16(in) % 60000 : what & 0x20 ? in8(in) : 0;
	const uint8_t flag = flags[what & 15];
	uint8_t tcp[60] = {0};
	size_t h;

	put16(tcp, 1000 + i);
	put16(tcp + 2, port);
	put32(tcp + 4, c->seq + (what & 0x40 ? (uint32_t)(int8_t)in8(in) * 97u : 0));
	put32(tcp + 8,
		flag & 0x10 ? c->ack + (what & 0x80 ? (uint32_t)(int8_t)in8(in) * 97u : 0) : 0);
	tcp[12] = (uint8_t)((20 + options) / 4 << 4 | (how & 0x10 ? in8(in) : 0));
	tcp[13] = flag;
	put16(tcp + 14, how & 0x20 ? in16(in) : 65535);
	put16(tcp + 18, how & 0x40 ? in16(in) : 0); /* urgent, with or without its flag */
	in_bytes(in, tcp + 20, options);
	h = frame_ip(in, ip, i & 1, IPPROTO_TCP, port == 53, 20 + options + n);
	memcpy(ip + h, tcp, 20 + options);
	if (port == 53 && n < 1000)
		in_bytes(in, ip + h + 20 + options, n);
	else
		memset(ip + h + 20 + options, 'd', n);
	if (!(what & 0x40))
		c->seq += (uint32_t)n + !!(flag & 0x02) + !!(flag & 0x01);
	return h + 20 + options + n;
}

/* A datagram, or an ICMP message. */
static size_t frame_udp(struct input *in, uint8_t *ip, uint16_t port)
{
	const uint8_t what = in8(in);
	const size_t n = what & 0x10 ? in16(in) % 60000 : in8(in);
	const bool v6 = what & 1;
	uint8_t head[8] = {0};
	size_t h;

	if (what & 2) {
		head[0] = v6 ? 128 : 8;
		if (what & 4)
			head[0] = in8(in);
		head[1] = what & 4 ? in8(in) : 0;
		head[5] = what >> 6;
	} else {
		put16(head, 2000 + (what >> 6));
		put16(head + 2, port);
		put16(head + 4, what & 4 ? in16(in) : (unsigned)n + 8);
	}
	h = frame_ip(in, ip, v6, what & 2 ? (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) : IPPROTO_UDP,
		port == 53, n + 8);
	memcpy(ip + h, head, 8);
	in_bytes(in, ip + h + 8, n);
	return h + 8 + n;
}

/* An ICMP error about @got, a packet that the host had sent. */
static size_t frame_error(struct input *in, uint8_t *ip, const uint8_t *got, size_t len)
{
	static uint8_t quote[FRAME_MAX];
	const uint8_t type = in8(in), code = in8(in);
	const size_t n = MIN(len, (size_t)in8(in) * 4);
	const bool v6 = len && got[0] >> 4 == 6;
	size_t h;

	memcpy(quote, got, n);
	h = frame_ip(in, ip, v6, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, false, n + 8);
	memset(ip + h, 0, 8);
	ip[h] = type;
	ip[h + 1] = code;
	put16(ip + h + 6, in16(in)); /* an MTU, perhaps */
	memcpy(ip + h + 8, quote, n);
	return h + 8 + n;
}

/* One fragment of the frame before: some of its bytes, where the input says. */
static size_t frame_fragment(const struct frames *f, struct input *in, uint8_t *ip)
{
	const size_t len = f->last_len > VH ? f->last_len - VH : 0;
	const uint8_t *of = f->last + VH;
	const size_t h = len >= 40 && of[0] >> 4 == 6 ? 40 : 20;
	const size_t from = 8 * (size_t)in16(in), n = in16(in);
	const bool more = in8(in) & 1;
	size_t have, offset;

	if (len <= h)
		return 0;
	offset = from % (len - h) / 8 * 8;
	have = MIN(n, len - h - offset);
	memcpy(ip, of, h);
	if (h == 20) {
		ip[0] = 0x45;
		put16(ip + 2, (unsigned)(h + have));
		put16(ip + 4, in8(in) & 3);
		put16(ip + 6, (unsigned)(from / 8 & 0x1fff) | (more ? 0x2000 : 0));
		memcpy(ip + h, of + h + offset, have);
		frame_sum(ip);
		return h + have;
	}
	put16(ip + 4, (unsigned)have + 8);
	ip[6] = 44;
	memset(ip + h, 0, 8);
	ip[h] = of[6];
	put16(ip + h + 2, (unsigned)(from & 0xfff8) | more);
	ip[h + 7] = in8(in) & 3;
	memcpy(ip + h + 8, of + h + offset, have);
	return h + 8 + have;
}

/* The frame before with some bytes changed, and cut or not. */
static size_t frame_mutant(const struct frames *f, struct input *in, uint8_t *ip)
{
	size_t len = f->last_len > VH ? f->last_len - VH : 0;

	memcpy(ip, f->last + VH, len);
	for (unsigned n = in8(in) & 7; n && len; n--) {
		size_t at = in16(in) % len;

		/* Most of the headers' bytes are near the start. */
		ip[at & 0x8000 ? at : at % MIN(len, (size_t)64)] = in8(in);
	}
	if (len >= 20 && ip[0] >> 4 == 4 && in8(in) & 3)
		frame_sum(ip);
	return in8(in) & 1 ? in16(in) % (len + 1) : len;
}

#endif
