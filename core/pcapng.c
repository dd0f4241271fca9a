/* SPDX-License-Identifier: MIT */
#include "pcapng.h"

#include <string.h>

#include "base.h"

/* Every block: type, length, body, options, the length again. All is padded to 32 bits. */
#define HEAD 8
#define TRAILER 4
#define END_OF_OPTIONS 4

#define MAGIC 0x1a2b3c4d
#define LINKTYPE_RAW 101
#define UNICAST 1 /* epb_flags, bits 2 to 4: how the packet was addressed */

enum {
	OPT_COMMENT = 1,
	SHB_USERAPPL = 4,
	IF_NAME = 2,
	IF_DESCRIPTION = 3,
	IF_TSRESOL = 9,
	EPB_FLAGS = 2,
	EPB_DROPCOUNT = 4,
	NRB_RECORD_IPV4 = 1,
	NRB_RECORD_IPV6 = 2,
	ISB_STARTTIME = 2,
	ISB_ENDTIME = 3,
	ISB_IFRECV = 4,
	ISB_IFDROP = 5,
};

/* A block in the making. Once something did not fit, nothing is written any more. */
struct block {
	uint8_t *at;
	size_t len, max;
	bool full;
};

static uint8_t *take(struct block *b, size_t n)
{
	uint8_t *at = b->at + b->len;

	if (b->full || b->max - b->len < n) {
		b->full = true;
		return NULL;
	}
	b->len += n;
	return at;
}

static void put(struct block *b, const void *bytes, size_t n)
{
	uint8_t *at = take(b, n);

	if (at && n)
		memcpy(at, bytes, n);
}

static void put16(struct block *b, unsigned n)
{
	uint16_t v = (uint16_t)n;

	put(b, &v, sizeof(v));
}

static void put32(struct block *b, size_t n)
{
	uint32_t v = (uint32_t)n;

	put(b, &v, sizeof(v));
}

/* A time is two words, the high one first, whatever the byte order. */
static void put_time(struct block *b, uint64_t ns)
{
	put32(b, ns >> 32);
	put32(b, ns & 0xffffffff);
}

static void pad(struct block *b)
{
	static const uint8_t zero[4];

	put(b, zero, -b->len & 3);
}

static void option(struct block *b, unsigned code, const void *value, size_t n)
{
	put16(b, code);
	put16(b, (unsigned)n);
	put(b, value, n);
	pad(b);
}

static void option_text(struct block *b, unsigned code, const char *text)
{
	option(b, code, text, strlen(text));
}

static void option_time(struct block *b, unsigned code, uint64_t ns)
{
	put16(b, code);
	put16(b, 8);
	put_time(b, ns);
}

static struct block block_begin(uint8_t *out, size_t max, uint32_t type)
{
	struct block b = {.at = out, .max = max};

	put32(&b, type);
	put32(&b, 0);
	return b;
}

static size_t block_end(struct block *b)
{
	uint32_t len = (uint32_t)b->len + TRAILER;

	put32(b, len);
	if (b->full)
		return 0;
	memcpy(b->at + 4, &len, sizeof(len));
	return b->len;
}

static size_t section(uint8_t *out, size_t max, const char *application)
{
	struct block b = block_begin(out, max, PCAPNG_SECTION);

	put32(&b, MAGIC);
	put16(&b, 1); /* version 1.0 */
	put16(&b, 0);
	put32(&b, 0xffffffff); /* the section's length: unknown */
	put32(&b, 0xffffffff);
	option_text(&b, SHB_USERAPPL, application);
	put32(&b, 0);
	return block_end(&b);
}

size_t pcapng_begin(uint8_t *out, size_t max, const char *application, const char *interface,
	size_t snaplen)
{
	static const uint8_t nanoseconds = 9; /* a power of ten */
	size_t first = section(out, max, application), second;
	struct block b;

	if (!first)
		return 0;
	b = block_begin(out + first, max - first, PCAPNG_INTERFACE);
	put16(&b, LINKTYPE_RAW);
	put16(&b, 0);
	put32(&b, snaplen);
	option_text(&b, IF_NAME, interface);
	option_text(&b, IF_DESCRIPTION, "the command's side of nsnet-host");
	option(&b, IF_TSRESOL, &nanoseconds, 1);
	put32(&b, 0);
	second = block_end(&b);
	return second ? first + second : 0;
}

size_t pcapng_packet(uint8_t *out, size_t max, const struct pcapng_packet *p)
{
	struct block b = block_begin(out, max, PCAPNG_PACKET);
	const uint32_t flags = (uint32_t)p->direction | UNICAST << 2;
	size_t left = p->kept;

	put32(&b, 0); /* the interface */
	put_time(&b, p->ns);
	put32(&b, p->kept);
	put32(&b, p->len);
	for (int i = 0; i < p->n && left; i++) {
		size_t n = MIN(left, p->iov[i].iov_len);

		put(&b, p->iov[i].iov_base, n);
		left -= n;
	}
	pad(&b);
	option(&b, EPB_FLAGS, &flags, sizeof(flags));
	if (p->lost)
		option(&b, EPB_DROPCOUNT, &p->lost, sizeof(p->lost));
	put32(&b, 0);
	return block_end(&b);
}

static size_t comment_len(const char *text)
{
	size_t n = strlen(text);

	if (n <= PCAPNG_COMMENT_MAX)
		return n;
	n = PCAPNG_COMMENT_MAX;
	while (n && ((uint8_t)text[n] & 0xc0) == 0x80) /* not within a character */
		n--;
	return n;
}

size_t pcapng_comment_size(const char *text)
{
	return 4 + ((comment_len(text) + 3) & ~(size_t)3);
}

size_t pcapng_comment(uint8_t *block, const char *text)
{
	const size_t old = pcapng_length(block);
	struct block b = {
		.at = block,
		.len = old - END_OF_OPTIONS - TRAILER,
		.max = old + pcapng_comment_size(text),
	};

	option(&b, OPT_COMMENT, text, comment_len(text));
	put32(&b, 0);
	return block_end(&b);
}

size_t pcapng_name(uint8_t *out, size_t max, const struct addr *ip, const char *name)
{
	struct block b = block_begin(out, max, PCAPNG_NAMES);
	const size_t size = ip->v == 4 ? 4 : 16, n = strlen(name) + 1;

	put16(&b, ip->v == 4 ? NRB_RECORD_IPV4 : NRB_RECORD_IPV6);
	put16(&b, (unsigned)(size + n));
	put(&b, ip->ip, size);
	put(&b, name, n);
	pad(&b);
	put32(&b, 0); /* the last record */
	return block_end(&b);
}

size_t pcapng_statistics(uint8_t *out, size_t max, const struct pcapng_statistics *s)
{
	struct block b = block_begin(out, max, PCAPNG_STATISTICS);

	put32(&b, 0); /* the interface */
	put_time(&b, s->end_ns);
	option_time(&b, ISB_STARTTIME, s->start_ns);
	option_time(&b, ISB_ENDTIME, s->end_ns);
	option(&b, ISB_IFRECV, &s->received, sizeof(s->received));
	option(&b, ISB_IFDROP, &s->lost, sizeof(s->lost));
	put32(&b, 0);
	return block_end(&b);
}

static uint32_t word(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

uint32_t pcapng_type(const uint8_t *block)
{
	return word(block);
}

size_t pcapng_length(const uint8_t *block)
{
	return word(block + 4);
}

size_t pcapng_kept(const uint8_t *packet)
{
	return word(packet + 20);
}
