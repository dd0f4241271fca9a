/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_BLOCKS_H
#define NSNET_SPEC_BLOCKS_H

/* blocks - reads pcapng files, for specs: written from the draft, not from core/pcapng.c. Fails the
 * spec where a file is not well-formed. Include after <cmocka.h>. */

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCKS_UNUSED __attribute__((unused))

struct block_view {
	uint32_t type;
	const uint8_t *body;
	size_t len;             /* of the body, with the options */
	const uint8_t *options; /* NULL = none */
	size_t options_len;
};

struct blocks {
	uint8_t *bytes; /* owned */
	size_t len;
	struct block_view at[4096];
	size_t count;
};

/* A packet block's fixed part. */
struct block_packet {
	uint64_t ns;
	uint32_t kept, len;
	const uint8_t *data;
};

static BLOCKS_UNUSED uint32_t blocks_u32(const uint8_t *p)
{
	uint32_t n;

	memcpy(&n, p, 4);
	return n;
}

static BLOCKS_UNUSED uint64_t blocks_time(const uint8_t *p)
{
	return (uint64_t)blocks_u32(p) << 32 | blocks_u32(p + 4);
}

static BLOCKS_UNUSED unsigned blocks_u16(const uint8_t *p)
{
	uint16_t n;

	memcpy(&n, p, 2);
	return n;
}

/* Where the options of the block begin: behind what its type prescribes. */
static size_t blocks_fixed(const struct block_view *v)
{
	switch (v->type) {
	case 0x0a0d0d0a:
		assert_true(v->len >= 16);
		assert_int_equal(blocks_u32(v->body), 0x1a2b3c4d);
		assert_int_equal(blocks_u16(v->body + 4), 1);
		return 16;
	case 1:
		assert_true(v->len >= 8);
		return 8;
	case 5:
		assert_true(v->len >= 12);
		return 12;
	case 6:
		assert_true(v->len >= 20);
		assert_true(v->len >= 20 + ((blocks_u32(v->body + 12) + 3) & ~3u));
		return 20 + ((blocks_u32(v->body + 12) + 3) & ~3u);
	case 4: { /* records, ended by one of type 0 */
		size_t i = 0;

		while (blocks_u16(v->body + i)) {
			i += 4 + ((blocks_u16(v->body + i + 2) + 3) & ~3u);
			assert_true(i + 4 <= v->len);
		}
		return i + 4;
	}
	default:
		fail_msg("a block of type %x", v->type);
		return 0;
	}
}

/* The options are whole, padded with zeros and ended. */
static void blocks_check_options(const struct block_view *v)
{
	size_t i = 0;

	if (!v->options)
		return;
	for (;;) {
		unsigned code = blocks_u16(v->options + i), n = blocks_u16(v->options + i + 2);

		assert_true(i + 4 + ((n + 3) & ~3u) <= v->options_len);
		for (unsigned k = n; k % 4; k++)
			assert_int_equal(v->options[i + 4 + k], 0);
		i += 4 + ((n + 3) & ~3u);
		if (code == 0) {
			assert_int_equal(n, 0);
			break;
		}
		assert_true(i + 4 <= v->options_len);
	}
	assert_int_equal(i, v->options_len);
}

/* Takes @bytes (malloc'd). */
static BLOCKS_UNUSED void blocks_parse(struct blocks *b, uint8_t *bytes, size_t len)
{
	memset(b, 0, sizeof(*b));
	b->bytes = bytes;
	b->len = len;
	for (size_t i = 0; i < len;) {
		struct block_view *v = &b->at[b->count++];
		size_t n, fixed;

		assert_true(b->count < 4096);
		assert_true(i + 12 <= len);
		n = blocks_u32(bytes + i + 4);
		assert_true(n >= 12 && n % 4 == 0 && i + n <= len);
		assert_int_equal(blocks_u32(bytes + i + n - 4), n);
		v->type = blocks_u32(bytes + i);
		v->body = bytes + i + 8;
		v->len = n - 12;
		fixed = blocks_fixed(v);
		if (fixed < v->len) {
			v->options = v->body + fixed;
			v->options_len = v->len - fixed;
		}
		blocks_check_options(v);
		i += n;
	}
	if (b->count)
		assert_int_equal(b->at[0].type, 0x0a0d0d0a);
}

static BLOCKS_UNUSED void blocks_read(struct blocks *b, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *bytes;

	if (fd == -1)
		fail_msg("no %s", path);
	assert_int_equal(fstat(fd, &st), 0);
	bytes = malloc((size_t)st.st_size + 1);
	assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
	close(fd);
	blocks_parse(b, bytes, (size_t)st.st_size);
}

static BLOCKS_UNUSED void blocks_free(struct blocks *b)
{
	free(b->bytes);
	b->bytes = NULL;
	b->count = 0;
}

/* Value number @nth of the option @code, its length in *@n; NULL if there is none. */
static BLOCKS_UNUSED const uint8_t *blocks_option(const struct block_view *v, unsigned code,
	unsigned nth, size_t *n)
{
	for (size_t i = 0; v->options && i < v->options_len;) {
		const uint8_t *o = v->options + i;

		if (blocks_u16(o) == code && nth-- == 0) {
			*n = blocks_u16(o + 2);
			return o + 4;
		}
		i += 4 + ((blocks_u16(o + 2) + 3) & ~3u);
	}
	return NULL;
}

/* Comment number @nth, in a buffer that the next call reuses; "" if there is none. */
static BLOCKS_UNUSED const char *blocks_comment(const struct block_view *v, unsigned nth)
{
	static char text[4096];
	size_t n = 0;
	const uint8_t *o = blocks_option(v, 1, nth, &n);

	assert_true(n < sizeof(text));
	if (o)
		memcpy(text, o, n);
	text[o ? n : 0] = '\0';
	return text;
}

static BLOCKS_UNUSED size_t blocks_count(const struct blocks *b, uint32_t type)
{
	size_t n = 0;

	for (size_t i = 0; i < b->count; i++)
		n += b->at[i].type == type;
	return n;
}

/* Block number @nth of the type; fails if there is none. */
static BLOCKS_UNUSED const struct block_view *blocks_get(const struct blocks *b, uint32_t type,
	size_t nth)
{
	for (size_t i = 0; i < b->count; i++) {
		if (b->at[i].type == type && nth-- == 0)
			return &b->at[i];
	}
	fail_msg("no such block of type %u", type);
	return NULL;
}

static BLOCKS_UNUSED struct block_packet blocks_packet(const struct blocks *b, size_t nth)
{
	const struct block_view *v = blocks_get(b, 6, nth);

	return (struct block_packet){
		.ns = blocks_time(v->body + 4),
		.kept = blocks_u32(v->body + 12),
		.len = blocks_u32(v->body + 16),
		.data = v->body + 20,
	};
}

static BLOCKS_UNUSED bool blocks_outbound(const struct blocks *b, size_t nth)
{
	size_t n = 0;
	const uint8_t *flags = blocks_option(blocks_get(b, 6, nth), 2, 0, &n);

	assert_int_equal(n, 4);
	assert_int_equal(blocks_u32(flags) >> 2, 1); /* unicast, and nothing else is said */
	return (blocks_u32(flags) & 3) == 2;
}

#endif
