/* SPDX-License-Identifier: MIT */
#include "capture.h"

#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base.h"
#include "buf.h"
#include "caption.h"
#include "log.h"
#include "packet.h"
#include "pcapng.h"
#include "utf8.h"

#define APPLICATION "nsnet-host"
#define INTERFACE "tun0"
#define NOWHERE UINT64_MAX

#define BEGIN_MAX 256 /* room for what begins a file, and for the statistics that end it */
#define PACKET_MAX (BUF_DATA_MAX + 64)
#define NOTE_MAX 192       /* a comment on a super-segment */
#define NAME_BLOCK_MAX 384 /* a DNS name is 255 bytes at most */

/* VIRTIO_NET_HDR_GSO_UDP_L4, known to Linux' headers since 6.2. */
#define GSO_UDP_L4 5
#define GSO_KIND(type) ((type) & ~VIRTIO_NET_HDR_GSO_ECN)

static uint64_t wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- blocks ---- */

static void put_statistics(struct capture *c)
{
	const struct pcapng_statistics s = {
		.start_ns = c->start_ns,
		.end_ns = wall_ns(),
		.received = c->seen,
		.lost = c->lost,
	};
	uint8_t *out = pcapfile_room(&c->file, BEGIN_MAX);

	if (out)
		pcapfile_put(&c->file, pcapng_statistics(out, BEGIN_MAX, &s));
}

static bool put_begin(struct capture *c)
{
	const size_t snaplen = MIN(c->config.snaplen, (size_t)CAPTURE_SNAPLEN_MAX);
	uint8_t *out = pcapfile_room(&c->file, BEGIN_MAX);

	if (!out)
		return false;
	c->section = pcapng_begin(out, BEGIN_MAX, APPLICATION, INTERFACE, snaplen);
	pcapfile_put(&c->file, c->section);
	memset(c->names, 0, sizeof(c->names));
	c->name_count = 0;
	c->last_out = NOWHERE;
	return true;
}

/* Goes on in another file if @n bytes more are too many for this one. */
static void turn_page(struct capture *c, size_t n)
{
	if (!c->config.size || c->section + n <= c->config.size || c->section <= BEGIN_MAX)
		return;
	put_statistics(c);
	(void)put_begin(c); /* without room the file grows a little more */
}

/* ---- super-segments ---- */

/* The headers of a super-segment: what each of its segments will begin with. 0: unknown. */
static size_t header_len(const uint8_t *ip, size_t kept, const struct virtio_net_hdr *vh)
{
	if (GSO_KIND(vh->gso_type) == GSO_UDP_L4)
		return vh->csum_start + 8u;
	if (vh->csum_start + 12u >= kept)
		return 0;
	return vh->csum_start + (ip[vh->csum_start + 12] >> 4) * 4u;
}

/* The block's length with a comment about what it is. */
static size_t note_super_segment(uint8_t *block, size_t kept, size_t len,
	const struct virtio_net_hdr *vh)
{
	const size_t header = header_len(block + PCAPNG_PACKET_DATA, kept, vh);
	const char *kind = GSO_KIND(vh->gso_type) == GSO_UDP_L4 ? "UDP datagrams" : "TCP segments";
	char text[NOTE_MAX - 8];

	if (!header || header >= len || !vh->gso_size)
		snprintf(text, sizeof(text), "super-segment: %s of %u bytes", kind, vh->gso_size);
	else
		snprintf(text, sizeof(text),
			"super-segment: %zu %s of at most %u bytes in one, as offloaded (GSO)",
			(len - header + vh->gso_size - 1) / vh->gso_size, kind, vh->gso_size);
	return pcapng_comment(block, text);
}

/* Fills in the checksum that the device was to: it is there, but for the sum of what it covers. */
static void complete(uint8_t *ip, size_t len, const struct virtio_net_hdr *vh)
{
	const size_t start = vh->csum_start, at = start + vh->csum_offset;
	uint16_t sum;

	if (at + 2 > len)
		return;
	sum = packet_sum_fold(packet_sum(ip + start, len - start, 0));
	if (!sum && vh->csum_offset == 6) /* RFC 768: none is sent as all ones */
		sum = 0xffff;
	memcpy(ip + at, &sum, sizeof(sum));
}

/* ---- what is written to a packet that is in the queue ---- */

/* @n bytes have come into the queue at @place. */
static void shift(struct capture *c, uint64_t place, size_t n)
{
	c->section += n;
	if (c->last_out != NOWHERE && c->last_out >= place)
		c->last_out += n;
	for (size_t i = 0; i < c->held_count; i++) {
		if (c->held[i].place >= place)
			c->held[i].place += n;
	}
}

/* Nothing is written from the first of the packets on that wait for a verdict. */
static void hold(struct capture *c)
{
	pcapfile_hold(&c->file, c->held_count ? c->held[0].place : PCAPFILE_NO_HOLD);
}

/* Adds the comment to the packet at @place; false if it has been written. */
static bool remark(struct capture *c, uint64_t place, const char *text)
{
	const size_t n = pcapng_comment_size(text);
	uint8_t *block = place == NOWHERE ? NULL : pcapfile_at(&c->file, place);
	uint64_t end;

	if (!block)
		return false;
	end = place + pcapng_length(block);
	if (!pcapfile_insert(&c->file, end, n))
		return false;
	pcapng_comment(block, text);
	shift(c, end, n);
	return true;
}

static uint64_t hash_name(const struct addr *ip, const char *name)
{
	uint64_t h = 0xcbf29ce484222325; /* FNV-1a: nothing but a repetition comes of a collision */

	for (size_t i = 0; i < sizeof(ip->ip); i++)
		h = (h ^ ip->ip[i]) * 0x100000001b3;
	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3;
	return h | 1;
}

/* True if the name was not in the file yet; now it counts as being there. */
static bool enter_name(struct capture *c, uint64_t hash)
{
	size_t i = hash >> 1 & (CAPTURE_NAMES - 1);

	if (c->name_count >= CAPTURE_NAMES / 4 * 3) { /* begin anew: some will be there twice */
		memset(c->names, 0, sizeof(c->names));
		c->name_count = 0;
	}
	for (; c->names[i]; i = (i + 1) & (CAPTURE_NAMES - 1)) {
		if (c->names[i] == hash)
			return false;
	}
	c->names[i] = hash;
	c->name_count++;
	return true;
}

/* Puts the name of the flow's destination before the packet at @place; returns where that is then.
 */
static uint64_t introduce(struct capture *c, const struct flow *f, uint64_t place)
{
	uint8_t block[NAME_BLOCK_MAX], *at;
	char text[256];
	size_t n;

	if (!f->host || place == NOWHERE || !pcapfile_at(&c->file, place))
		return place;
	utf8_escape(text, sizeof(text), f->host);
	if (!enter_name(c, hash_name(&f->key.dst, text)))
		return place;
	n = pcapng_name(block, sizeof(block), &f->key.dst, text);
	at = n ? pcapfile_insert(&c->file, place, n) : NULL;
	if (!at)
		return place;
	memcpy(at, block, n);
	shift(c, place, n);
	return place + n;
}

/* ---- which packet is whose ---- */

static bool same_ip(const uint8_t *ip, const struct addr *a)
{
	return memcmp(ip, a->ip, a->v == 4 ? 4 : 16) == 0;
}

/* True if the @n bytes at @ip, perhaps cut, are a packet of the flow: one of the child's, one to it
 * if @to_child, or an error to it about one of its own. IPv6 extension headers hide that. */
static bool is_of(const struct flow_key *key, const uint8_t *ip, size_t n, bool to_child)
{
	const struct addr *src = to_child ? &key->dst : &key->src;
	const struct addr *dst = to_child ? &key->src : &key->dst;
	const bool four = key->dst.v == 4;
	const size_t l4 = four && n ? (ip[0] & 15) * 4u : 40, at = four ? 12 : 8,
		     size = four ? 4 : 16;
	uint8_t proto;

	if (n < l4 + 8 || ip[0] >> 4 != key->dst.v || l4 < 20)
		return false;
	proto = ip[four ? 9 : 6];
	if (to_child && proto == (four ? IPPROTO_ICMP : IPPROTO_ICMPV6) &&
		ip[l4] == (four ? 3 : 1)) /* destination unreachable: quotes the packet */
		return is_of(key, ip + l4 + 8, n - l4 - 8, false);
	if (!same_ip(ip + at, src) || !same_ip(ip + at + size, dst))
		return false;
	if (key->proto == IPPROTO_ICMP)
		return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
	if (proto != key->proto)
		return false;
	if (four && packet_get16(ip + 6) & 0x1fff) /* a later fragment has no ports */
		return true;
	return packet_get16(ip + l4) == src->port && packet_get16(ip + l4 + 2) == dst->port;
}

static bool block_is_of(struct capture *c, uint64_t place, const struct flow_key *key,
	bool to_child)
{
	const uint8_t *block = place == NOWHERE ? NULL : pcapfile_at(&c->file, place);

	if (!block || pcapng_type(block) != PCAPNG_PACKET)
		return false;
	return is_of(key, block + PCAPNG_PACKET_DATA, pcapng_kept(block), to_child);
}

/* The comment for the next packet of @key. Takes @text. */
static void owe(struct capture *c, const struct flow_key *key, char *text)
{
	if (c->owed_count == CAPTURE_FLOWS) {
		free(c->owed[0].text);
		memmove(c->owed, c->owed + 1, (CAPTURE_FLOWS - 1) * sizeof(c->owed[0]));
		c->owed_count--;
	}
	if (text)
		c->owed[c->owed_count++] = (struct capture_owed){*key, text};
}

/* Writes what is owed to the flow of the packet at @place. */
static void pay(struct capture *c, bool to_child, uint64_t place)
{
	for (size_t i = 0; i < c->owed_count;) {
		struct capture_owed *o = &c->owed[i];

		if (!block_is_of(c, place, &o->key, to_child)) {
			i++;
			continue;
		}
		(void)remark(c, place, o->text);
		free(o->text);
		c->owed_count--;
		memmove(o, o + 1, (c->owed_count - i) * sizeof(*o));
	}
}

/* ---- packets ---- */

void capture_packet(void *arg, bool out, const struct virtio_net_hdr *vh, const struct iovec *iov,
	int n)
{
	struct capture *c = arg;
	struct pcapng_packet p = {
		.ns = wall_ns(),
		.direction = out ? PCAPNG_OUTBOUND : PCAPNG_INBOUND,
		.iov = iov,
		.n = n,
		.lost = c->gap,
	};
	uint64_t place;
	uint8_t *block;
	size_t len;

	if (!pcapfile_works(&c->file))
		return;
	for (int i = 0; i < n; i++)
		p.len += iov[i].iov_len;
	p.kept = MIN(p.len, c->config.snaplen);
	c->seen++;
	turn_page(c, p.kept + 64);
	block = p.len <= BUF_DATA_MAX ? pcapfile_room(&c->file, PACKET_MAX + NOTE_MAX) : NULL;
	len = block ? pcapng_packet(block, PACKET_MAX, &p) : 0;
	if (!len) {
		c->lost++;
		c->gap++;
		if (out)
			c->last_out = NOWHERE;
		return;
	}
	c->gap = 0;
	if (vh && vh->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && p.kept == p.len)
		complete(block + PCAPNG_PACKET_DATA, p.len, vh);
	if (vh && vh->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		len = note_super_segment(block, p.kept, p.len, vh);
	place = pcapfile_end(&c->file);
	pcapfile_put(&c->file, len);
	c->section += len;
	if (out)
		c->last_out = place;
	if (unlikely(c->owed_count))
		pay(c, !out, place);
}

/* ---- events ---- */

/* A script thinks about the flow, whose packet was the last. */
static void on_pending(struct observer *o, const struct flow *f)
{
	struct capture *c = container_of(o, struct capture, observer);

	if (c->held_count == CAPTURE_FLOWS || !block_is_of(c, c->last_out, &f->key, false))
		return;
	c->held[c->held_count++] = (struct capture_held){f->id, c->last_out};
	if (c->held_count == 1)
		hold(c);
}

/* The place of the flow's first packet, which waits no longer; or NOWHERE. */
static uint64_t release(struct capture *c, const struct flow *f)
{
	for (size_t i = 0; i < c->held_count; i++) {
		uint64_t place = c->held[i].place;

		if (c->held[i].id != f->id)
			continue;
		c->held_count--;
		memmove(&c->held[i], &c->held[i + 1], (c->held_count - i) * sizeof(c->held[i]));
		if (i == 0)
			hold(c);
		return place;
	}
	return NOWHERE;
}

static void on_decided(struct observer *o, const struct flow *f)
{
	struct capture *c = container_of(o, struct capture, observer);
	uint64_t place = release(c, f);
	char text[PCAPNG_COMMENT_MAX];

	if (!pcapfile_works(&c->file))
		return;
	caption_flow(text, sizeof(text), f, "");
	if (place == NOWHERE && block_is_of(c, c->last_out, &f->key, false))
		place = c->last_out;
	place = introduce(c, f, place);
	if (!remark(c, place, text))
		owe(c, &f->key, strdup(text));
}

static void on_judged(struct observer *o, const struct flow *f)
{
	struct capture *c = container_of(o, struct capture, observer);
	char text[PCAPNG_COMMENT_MAX];

	caption_flow(text, sizeof(text), f, "first bytes: ");
	owe(c, &f->key, strdup(text));
}

static void on_ended(struct observer *o, const struct flow *f)
{
	struct capture *c = container_of(o, struct capture, observer);

	(void)release(c, f);
}

static void on_refused(struct observer *o, const struct flow_key *key, const char *why)
{
	struct capture *c = container_of(o, struct capture, observer);
	char text[PCAPNG_COMMENT_MAX];

	snprintf(text, sizeof(text), "refused: %s", why);
	if (block_is_of(c, c->last_out, key, false))
		(void)remark(c, c->last_out, text);
}

int capture_start(struct capture *c, const struct capture_config *config)
{
	int rc;

	c->config = *config;
	if (!c->config.snaplen)
		c->config.snaplen = CAPTURE_SNAPLEN_MAX;
	c->start_ns = wall_ns();
	rc = pcapfile_open(&c->file, config->loop, config->path,
		!config->size           ? 0
			: config->files ? config->files
					: UINT_MAX);
	if (rc < 0)
		return rc;
	put_begin(c);
	c->observer = (struct observer){
		.pending = on_pending,
		.decided = on_decided,
		.judged = on_judged,
		.ended = on_ended,
		.refused = on_refused,
	};
	return 0;
}

void capture_stop(struct capture *c)
{
	if (!c->config.path)
		return;
	for (size_t i = 0; i < c->owed_count; i++)
		free(c->owed[i].text);
	c->owed_count = 0;
	put_statistics(c);
	if (c->lost && pcapfile_works(&c->file))
		log_warn("%llu of %llu packets are missing in %s: it could not be written fast "
			 "enough; --snaplen makes it smaller",
			(unsigned long long)c->lost, (unsigned long long)c->seen, c->config.path);
	pcapfile_close(&c->file);
	c->config.path = NULL;
}
