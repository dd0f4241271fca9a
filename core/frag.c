/* SPDX-License-Identifier: MIT */
#include "frag.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"

/* A packet's bytes are copied to their place in one buffer as they come:
 *
 *      whole                      BASE
 *       |          [IP header ...] [unit 0][unit 1] ... [last unit]
 *
 * The header's length is known only when the first fragment is here, so it grows downwards
 * from BASE. Fragments begin at multiples of 8 bytes, and all but the last have
 * such a length: one bit for each of the 8192 units tells what has come (RFC 815 keeps a list of
 * holes in the holes themselves, which a thousand small fragments make long). */
#define UNIT 8
#define UNITS (65536 / UNIT)
#define HEADER_MAX (BUF_HEADROOM + 40)
#define BASE HEADER_MAX
#define IP6_HEADER 40

_Static_assert(sizeof(((struct buf *)0)->whole) >= BASE + 65535, "the longest packet must fit");

struct datagram {
	struct list all; /* frag.all */
	struct addr src, dst;
	uint32_t id;
	uint8_t proto;   /* IPv4: part of the key; IPv6: what the first fragment says */
	bool old;        /* has seen a tick; the next one ends it */
	struct buf *buf; /* owned; NULL: spoiled, so that the rest of it is dropped as well */
	uint32_t total;  /* bytes behind the header; 0: the last fragment is missing */
	uint32_t end;    /* of the bytes that have come */
	uint32_t units;  /* that have come */
	uint16_t header; /* bytes; 0: the first fragment is missing */
	uint16_t next;   /* IPv6: offset in the header of the byte that names what follows */
	uint64_t seen[UNITS / 64];
};

static void drop(struct frag *f, struct datagram *d)
{
	list_del(&d->all);
	f->count--;
	buf_put(d->buf);
	free(d);
	if (list_empty(&f->all))
		ev_timer_stop(f->loop, &f->tick);
}

static struct datagram *oldest(struct frag *f)
{
	return container_of(f->all.next, struct datagram, all);
}

/* Two ticks instead of a date: the loop's clock may be set while a packet waits. */
static void frag_on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
	struct frag *f = w->data;
	struct list *e, *tmp;

	UNUSED(loop);
	UNUSED(events);
	list_foreach (e, tmp, &f->all) {
		struct datagram *d = container_of(e, struct datagram, all);

		if (d->old) {
			f->expired += d->buf != NULL;
			drop(f, d);
		} else {
			d->old = true;
		}
	}
}

void frag_init(struct frag *f, struct ev_loop *loop)
{
	memset(f, 0, sizeof(*f));
	f->loop = loop;
	list_init(&f->all);
	ev_timer_init(&f->tick, frag_on_tick, FRAG_TICK_S, FRAG_TICK_S);
	f->tick.data = f;
}

void frag_fini(struct frag *f)
{
	struct list *e, *tmp;

	list_foreach (e, tmp, &f->all)
		drop(f, container_of(e, struct datagram, all));
}

/* Gives the packet up, but remembers it: what else comes of it must not begin a new one. */
static void spoil(struct frag *f, struct datagram *d)
{
	f->spoiled++;
	buf_put(d->buf);
	d->buf = NULL;
}

static bool is_of(const struct datagram *d, const struct packet *p)
{
	return d->id == p->frag_id && (p->v == 6 || d->proto == p->proto) &&
		addr_equal_ip(&d->src, &p->src) && addr_equal_ip(&d->dst, &p->dst);
}

static struct datagram *find(struct frag *f, const struct packet *p)
{
	struct list *e, *tmp;

	list_foreach (e, tmp, &f->all) {
		struct datagram *d = container_of(e, struct datagram, all);

		if (is_of(d, p))
			return d;
	}
	return NULL;
}

static struct datagram *begin(struct frag *f, const struct packet *p)
{
	struct datagram *d;

	if (f->count == FRAG_MAX) {
		f->evicted += oldest(f)->buf != NULL;
		drop(f, oldest(f));
	}
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->buf = buf_get();
	if (!d->buf) {
		free(d);
		return NULL;
	}
	d->src = p->src;
	d->dst = p->dst;
	d->id = p->frag_id;
	d->proto = p->proto;
	list_add_tail(&f->all, &d->all);
	if (f->count++ == 0)
		ev_timer_again(f->loop, &f->tick); /* a whole tick from now */
	return d;
}

/* How many of the units from @first to before @last have come; all of them count as come then. */
static uint32_t mark(struct datagram *d, uint32_t first, uint32_t last)
{
	uint32_t before = 0;

	while (first < last) {
		uint32_t n = MIN(last - first, 64 - first % 64);
		uint64_t bits = (n == 64 ? ~0ull : (1ull << n) - 1) << first % 64;

		before += (uint32_t)__builtin_popcountll(d->seen[first / 64] & bits);
		d->seen[first / 64] |= bits;
		first += n;
	}
	return before;
}

/* True if the fragment says what the others said about where the packet ends. */
static bool agrees(struct datagram *d, const struct packet *p, uint32_t end)
{
	if (!p->more_fragments) {
		if ((d->total && d->total != end) || d->end > end)
			return false;
		d->total = end;
	}
	d->end = MAX(d->end, end);
	return !d->total || end <= d->total;
}

/* Puts the fragment in its place. False if the packet is spoiled by it. */
static bool place(struct datagram *d, const struct packet *p)
{
	const uint8_t *data = p->data + p->l4;
	uint32_t len = p->len - p->l4, at = p->frag_offset;
	uint8_t *to = d->buf->whole + BASE + at;
	uint32_t first = at / UNIT, last = (at + len + UNIT - 1) / UNIT, before;

	if (!agrees(d, p, at + len))
		return false;
	before = mark(d, first, last);
	if (before)
		return before == last - first && memcmp(to, data, len) == 0;
	memcpy(to, data, len);
	d->units += last - first;
	if (at == 0) {
		d->header = p->v == 4 ? p->l4 : p->frag_header;
		d->next = p->frag_next;
		d->proto = p->proto;
		memcpy(d->buf->whole + BASE - d->header, p->data, d->header);
	}
	return true;
}

/* Makes the header of a fragment that of the whole packet. */
static int finish(struct datagram *d, struct packet *p)
{
	uint8_t *ip = d->buf->whole + BASE - d->header;
	uint32_t stated = d->total + d->header - (d->src.v == 4 ? 0 : IP6_HEADER);
	uint16_t sum;
	int err;

	if (stated > 65535)
		return -EINVAL;
	if (d->src.v == 4) {
		packet_put16(ip + 2, (uint16_t)stated);
		packet_put16(ip + 6, packet_get16(ip + 6) & 0x4000); /* "don't fragment" stays */
		memset(ip + 10, 0, 2);
		sum = packet_sum_fold(packet_sum(ip, d->header, 0));
		memcpy(ip + 10, &sum, 2);
	} else {
		packet_put16(ip + 4, (uint16_t)stated);
		ip[d->next] = d->proto;
	}
	err = packet_parse(p, ip, d->header + d->total);
	/* A fragment of fragments is nothing that any sender makes. */
	return !err && p->fragment ? -EINVAL : err;
}

/* True if @p can be a fragment of anything. */
static bool is_sound(const struct packet *p)
{
	uint32_t len = p->len - p->l4;

	if (len == 0 || (p->more_fragments && len % UNIT) || p->frag_offset + len > 65535)
		return false;
	return p->frag_offset || (p->v == 4 ? p->l4 : p->frag_header) <= HEADER_MAX;
}

struct buf *frag_input(struct frag *f, struct buf *b, struct packet *p)
{
	struct datagram *d;
	struct buf *whole;

	if (!p->fragment)
		return b;
	if (!is_sound(p)) {
		f->malformed++;
		buf_put(b);
		return NULL;
	}
	d = find(f, p);
	if (!d)
		d = begin(f, p);
	if (!d)
		f->evicted++;
	else if (d->buf && !place(d, p))
		spoil(f, d);
	buf_put(b);
	if (!d || !d->buf || !d->total || d->units != (d->total + UNIT - 1) / UNIT)
		return NULL;
	if (finish(d, p) < 0) {
		spoil(f, d);
		return NULL;
	}
	f->complete++;
	whole = d->buf;
	d->buf = NULL;
	drop(f, d);
	return whole;
}
