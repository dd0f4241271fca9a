/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base.h"
#include "core/frag.h"

/* A stream of fragments, each described by a record of 8 bytes, so that the fuzzer need not find
 * out what an IP header looks like:
 *
 *   0    bits: 1 IPv6, 2 more fragments, 4 other contents, 8 other protocol, 16 a tick first,
 *        32 cut the packet short, 64 a raw packet of [2..3] bytes follows instead
 *   1    identification
 *   2..3 offset in units of 8 bytes
 *   4..5 length
 *   6    extra bytes of header, in units of 4 (IPv4 options) or 8 (IPv6 destination header)
 *   7    more length
 *
 * The contents of byte n are a function of n, so that whatever is put together can be
 * checked; the buffers are this file's own, so that each use of one after its end is seen. */
#define RECORD 8
#define IS_V6 1
#define IS_MORE 2
#define IS_OTHER 4
#define IS_PROTO 8
#define IS_TICK 16
#define IS_SHORT 32
#define IS_RAW 64

/* Contents that are read as no transport header by mistake. */
#define PROTO_A 0xfd
#define PROTO_B 0xfe

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t used;

struct buf *buf_get(void)
{
	struct buf *b = malloc(sizeof(*b));

	assert(b);
	memset(b, 0xee, sizeof(*b));
	used++;
	return b;
}

void buf_put(struct buf *b)
{
	used -= b != NULL;
	free(b);
}

static uint8_t contents(size_t n, bool other)
{
	return (uint8_t)((n * 7) ^ (n >> 8) ^ (other ? 0x80 : 0)) & 0x9f;
}

static size_t put_ip4(uint8_t *ip, const uint8_t *r, size_t extra, size_t len)
{
	extra = extra % 11 * 4;
	memset(ip, 1, 20 + extra);
	ip[0] = (uint8_t)(0x45 + extra / 4);
	packet_put16(ip + 2, (uint16_t)(20 + extra + len));
	packet_put16(ip + 4, r[1]);
	packet_put16(ip + 6,
		(uint16_t)((r[0] & IS_MORE ? 0x2000 : 0) | (packet_get16(r + 2) & 0x1fff)));
	ip[9] = r[0] & IS_PROTO ? PROTO_A : PROTO_B;
	return 20 + extra;
}

static size_t put_ip6(uint8_t *ip, const uint8_t *r, size_t extra, size_t len)
{
	uint8_t *frag;

	extra = extra % 20 * 8;
	memset(ip, 0, 40 + extra);
	ip[0] = 0x60;
	packet_put16(ip + 4, (uint16_t)(extra + 8 + len));
	ip[6] = extra ? IPPROTO_DSTOPTS : IPPROTO_FRAGMENT;
	if (extra) {
		ip[40] = IPPROTO_FRAGMENT;
		ip[41] = (uint8_t)(extra / 8 - 1);
	}
	frag = ip + 40 + extra;
	memset(frag, 0, 8);
	frag[0] = r[0] & IS_PROTO ? PROTO_A : PROTO_B;
	packet_put16(frag + 2, (uint16_t)(packet_get16(r + 2) << 3 | !!(r[0] & IS_MORE)));
	frag[7] = r[1];
	return 48 + extra;
}

static void check_whole(const struct buf *b, const struct packet *p, bool raw)
{
	assert(!p->fragment);
	assert(p->data >= b->whole && p->data + p->len <= b->whole + sizeof(b->whole));
	assert(p->len <= (p->v == 4 ? 65535u : 65575u));
	if (p->v == 4)
		assert(packet_sum_fold(packet_sum(p->data, p->l4, 0)) == 0);
	/* A raw packet may have put anything anywhere. */
	for (size_t i = 0; !raw && i < p->len - p->l4; i++) {
		uint8_t c = p->data[p->l4 + i];

		assert(c == contents(i, false) || c == contents(i, true));
	}
}

/* One record. Returns how many bytes it took. */
static size_t feed(struct frag *f, const uint8_t *r, size_t size, bool *raw)
{
	struct buf *b = buf_get(), *whole;
	struct packet p;
	size_t len = packet_get16(r + 4) + r[7], taken = RECORD, n;

	if (r[0] & IS_TICK && ev_is_active(&f->tick))
		ev_invoke(f->loop, &f->tick, EV_TIMER);
	if (r[0] & IS_RAW) {
		n = MIN((size_t)packet_get16(r + 2), size - RECORD);
		n = MIN(n, sizeof(b->data));
		memcpy(b->data, r + RECORD, n);
		taken += n;
		*raw = true;
	} else {
		size_t head, at = packet_get16(r + 2) * 8;

		len = MIN(len, (size_t)65535 - 8 - 20 * 8);
		head = r[0] & IS_V6 ? put_ip6(b->data, r, r[6], len)
				    : put_ip4(b->data, r, r[6], len);
		for (size_t i = 0; i < len; i++)
			b->data[head + i] = contents((at + i) & 0xffff, r[0] & IS_OTHER);
		n = head + len - (r[0] & IS_SHORT ? MIN(len, (size_t)8) : 0);
	}
	if (packet_parse(&p, b->data, n) < 0 || !p.fragment) {
		buf_put(b);
		return taken;
	}
	whole = frag_input(f, b, &p);
	if (whole) {
		check_whole(whole, &p, *raw);
		buf_put(whole);
	}
	assert(f->count <= FRAG_MAX && used <= f->count);
	assert(!!ev_is_active(&f->tick) == (f->count > 0));
	return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ev_loop *loop;
	struct frag f;
	bool raw = false;

	if (!loop)
		loop = ev_loop_new(0);
	assert(loop);
	frag_init(&f, loop);
	while (size >= RECORD) {
		size_t taken = feed(&f, data, size, &raw);

		data += taken;
		size -= taken;
	}
	frag_fini(&f);
	assert(f.count == 0 && used == 0);
	return 0;
}
