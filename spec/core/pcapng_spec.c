/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/pcapng.h"
#include "spec/core/blocks.h"

#define NS 1700000000123456789u

static struct blocks read_back;

/* Parses the @len bytes at @bytes (copied). */
static const struct block_view *parse(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len);

	memcpy(copy, bytes, len);
	blocks_parse(&read_back, copy, len);
	return &read_back.at[0];
}

/* A section, so that what follows can be parsed as a file; returns its length. */
static size_t begin(uint8_t *out, size_t max)
{
	size_t n = pcapng_begin(out, max, "nsnet-host", "tun0", 262144);

	assert_int_not_equal(n, 0);
	return n;
}

static void begins_with_section_and_interface(void **state)
{
	uint8_t out[512];
	size_t n;
	const uint8_t *o;
	const struct block_view *v;

	(void)state;
	parse(out, begin(out, sizeof(out)));
	assert_int_equal(read_back.count, 2);
	o = blocks_option(&read_back.at[0], 4, 0, &n);
	assert_int_equal(n, 10);
	assert_memory_equal(o, "nsnet-host", 10);
	v = blocks_get(&read_back, 1, 0);
	assert_int_equal(blocks_u16(v->body), 101);
	assert_int_equal(blocks_u32(v->body + 4), 262144);
	o = blocks_option(v, 2, 0, &n);
	assert_int_equal(n, 4);
	assert_memory_equal(o, "tun0", 4);
	o = blocks_option(v, 9, 0, &n);
	assert_int_equal(n, 1);
	assert_int_equal(o[0], 9);
	blocks_free(&read_back);
}

static void packet_in_pieces_is_whole(void **state)
{
	uint8_t out[1024], data[61];
	struct iovec iov[3] = {{data, 20}, {data + 20, 0}, {data + 20, 41}};
	struct pcapng_packet p = {
		.ns = NS,
		.direction = PCAPNG_OUTBOUND,
		.iov = iov,
		.n = 3,
		.len = 61,
		.kept = 61,
	};
	struct block_packet view;
	size_t n = begin(out, sizeof(out)), len;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	len = pcapng_packet(out + n, sizeof(out) - n, &p);
	assert_int_equal(pcapng_type(out + n), PCAPNG_PACKET);
	assert_int_equal(pcapng_length(out + n), len);
	assert_int_equal(pcapng_kept(out + n), 61);
	assert_memory_equal(out + n + PCAPNG_PACKET_DATA, data, 61);
	parse(out, n + len);
	view = blocks_packet(&read_back, 0);
	assert_true(view.ns == NS);
	assert_int_equal(view.kept, 61);
	assert_int_equal(view.len, 61);
	assert_memory_equal(view.data, data, 61);
	assert_true(blocks_outbound(&read_back, 0));
	blocks_free(&read_back);
}

static void cut_packet_tells_its_length_and_losses(void **state)
{
	uint8_t out[1024], data[100] = {7};
	struct iovec iov[2] = {{data, 40}, {data + 40, 60}};
	struct pcapng_packet p = {
		.ns = NS,
		.direction = PCAPNG_INBOUND,
		.iov = iov,
		.n = 2,
		.len = 100,
		.kept = 50,
		.lost = 3,
	};
	size_t n = begin(out, sizeof(out)), len, size;
	const uint8_t *o;
	uint64_t lost;

	(void)state;
	len = pcapng_packet(out + n, sizeof(out) - n, &p);
	parse(out, n + len);
	assert_int_equal(blocks_packet(&read_back, 0).kept, 50);
	assert_int_equal(blocks_packet(&read_back, 0).len, 100);
	assert_false(blocks_outbound(&read_back, 0));
	o = blocks_option(blocks_get(&read_back, 6, 0), 4, 0, &size);
	assert_int_equal(size, 8);
	memcpy(&lost, o, 8);
	assert_int_equal(lost, 3);
	blocks_free(&read_back);
}

static void comments_are_added_in_order(void **state)
{
	uint8_t out[4096], data[3] = {1, 2, 3};
	char longest[PCAPNG_COMMENT_MAX + 10];
	struct iovec iov = {data, 3};
	struct pcapng_packet p = {.direction = PCAPNG_OUTBOUND, .iov = &iov, .n = 1, .len = 3};
	size_t n = begin(out, sizeof(out)), len;

	(void)state;
	p.kept = 3;
	len = pcapng_packet(out + n, sizeof(out) - n, &p);
	assert_int_equal(pcapng_comment(out + n, "one"), len + pcapng_comment_size("one"));
	len = pcapng_comment(out + n, "second");
	/* cut, but not within the character of two bytes that ends it */
	memset(longest, 'x', sizeof(longest));
	memcpy(longest + PCAPNG_COMMENT_MAX - 1, "\xc3\xa9", 2);
	longest[sizeof(longest) - 1] = '\0';
	len = pcapng_comment(out + n, longest);
	parse(out, n + len);
	assert_string_equal(blocks_comment(blocks_get(&read_back, 6, 0), 0), "one");
	assert_string_equal(blocks_comment(blocks_get(&read_back, 6, 0), 1), "second");
	assert_int_equal(strlen(blocks_comment(blocks_get(&read_back, 6, 0), 2)),
		PCAPNG_COMMENT_MAX - 1);
	assert_memory_equal(blocks_packet(&read_back, 0).data, data, 3);
	blocks_free(&read_back);
}

static void names_are_records(void **state)
{
	uint8_t out[1024];
	struct addr four, six;
	size_t n = begin(out, sizeof(out));
	const struct block_view *v;

	(void)state;
	addr_parse(&four, "203.0.113.9");
	addr_parse(&six, "2001:db8::9");
	n += pcapng_name(out + n, sizeof(out) - n, &four, "a.test");
	n += pcapng_name(out + n, sizeof(out) - n, &six, "b.test");
	parse(out, n);
	v = blocks_get(&read_back, 4, 0);
	assert_int_equal(blocks_u16(v->body), 1);
	assert_int_equal(blocks_u16(v->body + 2), 11);
	assert_memory_equal(v->body + 4,
		"\xcb\x00\x71\x09"
		"a.test",
		11);
	v = blocks_get(&read_back, 4, 1);
	assert_int_equal(blocks_u16(v->body), 2);
	assert_int_equal(blocks_u16(v->body + 2), 23);
	assert_memory_equal(v->body + 20, "b.test", 7);
	blocks_free(&read_back);
}

static void statistics_tell_losses(void **state)
{
	uint8_t out[1024];
	struct pcapng_statistics s = {
		.start_ns = NS,
		.end_ns = NS + 5,
		.received = 100,
		.lost = 7,
	};
	size_t n = begin(out, sizeof(out)), size;
	const struct block_view *v;
	uint64_t lost;

	(void)state;
	n += pcapng_statistics(out + n, sizeof(out) - n, &s);
	parse(out, n);
	v = blocks_get(&read_back, 5, 0);
	assert_true(blocks_time(v->body + 4) == NS + 5);
	assert_true(blocks_time(blocks_option(v, 2, 0, &size)) == NS);
	memcpy(&lost, blocks_option(v, 5, 0, &size), 8);
	assert_int_equal(lost, 7);
	blocks_free(&read_back);
}

/* Without enough room nothing is written beyond it, and the caller is told. */
static void room_is_respected(void **state)
{
	uint8_t data[40] = {0}, *out;
	struct iovec iov = {data, 40};
	struct pcapng_packet p = {.iov = &iov, .n = 1, .len = 40, .kept = 40, .lost = 1};
	const struct pcapng_statistics s = {0};
	struct addr a;
	size_t full[4];

	(void)state;
	addr_parse(&a, "203.0.113.9");
	out = malloc(1024);
	full[0] = pcapng_begin(out, 1024, "x", "y", 1);
	full[1] = pcapng_packet(out, 1024, &p);
	full[2] = pcapng_name(out, 1024, &a, "a.test");
	full[3] = pcapng_statistics(out, 1024, &s);
	free(out);
	for (size_t max = 0; max < full[0]; max++) {
		out = malloc(max ? max : 1); /* a sanitizer sees a byte too many */
		assert_int_equal(pcapng_begin(out, max, "x", "y", 1), 0);
		assert_true(max >= full[1] || pcapng_packet(out, max, &p) == 0);
		assert_true(max >= full[2] || pcapng_name(out, max, &a, "a.test") == 0);
		assert_true(max >= full[3] || pcapng_statistics(out, max, &s) == 0);
		free(out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begins_with_section_and_interface),
		cmocka_unit_test(packet_in_pieces_is_whole),
		cmocka_unit_test(cut_packet_tells_its_length_and_losses),
		cmocka_unit_test(comments_are_added_in_order),
		cmocka_unit_test(names_are_records),
		cmocka_unit_test(statistics_tell_losses),
		cmocka_unit_test(room_is_respected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
