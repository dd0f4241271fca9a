/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/base.h"
#include "core/packet.h"
#include "spec/support/hex.h"

/* 192.0.2.1 -> 203.0.113.9, 2001:db8::1 -> 2001:db8::9. Lengths are written by hand. */
#define ADDRS4 "c0000201 cb007109 "
#define ADDRS6 "20010db8000000000000000000000001 20010db8000000000000000000000009 "
#define IP4(total, proto) "4500 " total " 0007 0000 3f" proto " 0000 " ADDRS4
#define IP4_FRAG(total, proto, word) "4500 " total " 1234 " word " 3f" proto " 0000 " ADDRS4
#define IP6(payload, next) "60000000 " payload " " next "3f " ADDRS6
#define FRAG6(next, word) next "00 " word " cafef00d "

/* Ports 40000 -> 443. */
#define TCP(offset, flags) "9c40 01bb 00000001 00000002 " offset "0" flags " 0100 0000 0000 "
#define UDP(len) "9c40 01bb " len " 0000 "
#define ECHO(type) type "00 0000 beef 0001 "

struct good {
	const char *what, *packet;
	int l4, payload, proto, src_port, dst_port, tcp_flags, icmp_type;
};

static const struct good good[] = {
	{"TCP", IP4("0028", "06") TCP("5", "02"), 20, 40, IPPROTO_TCP, 40000, 443, 0x02, 0},
	{"all flags", IP4("0028", "06") TCP("5", "ff"), 20, 40, IPPROTO_TCP, 40000, 443, 0xff, 0},
	{"TCP options and payload", IP4("002e", "06") TCP("6", "18") "020405b4 6869", 20, 44,
		IPPROTO_TCP, 40000, 443, 0x18, 0},
	{"IPv4 options", "4600 002c 0007 4000 3f06 0000 " ADDRS4 "01010100 " TCP("5", "10"), 24, 44,
		IPPROTO_TCP, 40000, 443, 0x10, 0},
	{"UDP", IP4("001f", "11") UDP("000b") "616263", 20, 28, IPPROTO_UDP, 40000, 443, 0, 0},
	{"empty UDP", IP4("001c", "11") UDP("0008"), 20, 28, IPPROTO_UDP, 40000, 443, 0, 0},
	{"echo request", IP4("001c", "01") ECHO("08"), 20, 28, IPPROTO_ICMP, 48879, 48879, 0, 8},
	{"echo reply", IP4("001c", "01") ECHO("00"), 20, 28, IPPROTO_ICMP, 48879, 48879, 0, 0},
	{"ICMP error", IP4("001c", "01") ECHO("03"), 20, 28, IPPROTO_ICMP, 0, 0, 0, 3},
	{"ICMP type of IPv6", IP4("001c", "01") ECHO("80"), 20, 28, IPPROTO_ICMP, 0, 0, 0, 128},
	{"SCTP", IP4("0017", "84") "010203", 20, 20, IPPROTO_SCTP, 0, 0, 0, 0},
	{"nothing behind IPv4", IP4("0014", "63"), 20, 20, 99, 0, 0, 0, 0},

	{"TCP6", IP6("0014", "06") TCP("5", "02"), 40, 60, IPPROTO_TCP, 40000, 443, 0x02, 0},
	{"UDP6", IP6("0009", "11") UDP("0009") "61", 40, 48, IPPROTO_UDP, 40000, 443, 0, 0},
	{"echo request 6", IP6("0008", "3a") ECHO("80"), 40, 48, IPPROTO_ICMPV6, 48879, 48879, 0,
		128},
	{"echo reply 6", IP6("0008", "3a") ECHO("81"), 40, 48, IPPROTO_ICMPV6, 48879, 48879, 0,
		129},
	{"ICMPv6 error", IP6("0008", "3a") ECHO("01"), 40, 48, IPPROTO_ICMPV6, 0, 0, 0, 1},
	{"ICMP type of IPv4", IP6("0008", "3a") ECHO("08"), 40, 48, IPPROTO_ICMPV6, 0, 0, 0, 8},
	{"no next header", IP6("0000", "3b"), 40, 40, IPPROTO_NONE, 0, 0, 0, 0},
	{"hop-by-hop, destination and finished routing header",
		IP6("0034", "00") "3c00 050200000100 2b00 010400000000 0601 0400 00000000"
				  "00000000 00000000" TCP("5", "02"),
		72, 92, IPPROTO_TCP, 40000, 443, 0x02, 0},
	{"long destination header",
		IP6("0018", "3c") "1101 010c 00000000 00000000 00000000" UDP("0008"), 56, 64,
		IPPROTO_UDP, 40000, 443, 0, 0},
	{"fragment header of a whole packet", IP6("0010", "2c") FRAG6("11", "0000") UDP("0008"), 48,
		56, IPPROTO_UDP, 40000, 443, 0, 0},
	{"eight extension headers",
		IP6("0048",
			"3c") "3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000"
			      "3c00010400000000 3c00010400000000 3c00010400000000 "
			      "1100010400000000" UDP("0008"),
		104, 112, IPPROTO_UDP, 40000, 443, 0, 0},
};

static void reads_what_is_written(void **state)
{
	struct addr src4, dst4, src6, dst6;

	(void)state;
	addr_parse(&src4, "192.0.2.1");
	addr_parse(&dst4, "203.0.113.9");
	addr_parse(&src6, "2001:db8::1");
	addr_parse(&dst6, "2001:db8::9");
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		const struct good *g = &good[i];
		struct packet p;
		size_t len;
		uint8_t *bytes = hex_bytes(g->packet, &len);

		memset(&p, 0xff, sizeof(p));
		if (packet_parse(&p, bytes, len) != 0)
			fail_msg("%s: refused", g->what);
		if (p.l4 != g->l4 || p.payload != g->payload || p.proto != g->proto)
			fail_msg("%s: protocol %u at %u, %u", g->what, p.proto, p.l4, p.payload);
		assert_ptr_equal(p.data, bytes);
		assert_int_equal(p.len, len);
		assert_int_equal(p.v, bytes[0] >> 4);
		assert_int_equal(p.ttl, 63);
		assert_int_equal(p.src.port, g->src_port);
		assert_int_equal(p.dst.port, g->dst_port);
		assert_int_equal(p.tcp_flags, g->tcp_flags);
		assert_int_equal(p.icmp_type, g->icmp_type);
		assert_false(p.fragment);
		assert_true(addr_equal_ip(&p.src, p.v == 4 ? &src4 : &src6));
		assert_true(addr_equal_ip(&p.dst, p.v == 4 ? &dst4 : &dst6));
		free(bytes);
	}
}

static void no_prefix_of_a_packet_is_one(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct packet p;
		size_t len;
		uint8_t *bytes = hex_bytes(good[i].packet, &len), *cut;

		for (size_t n = 0; n < len; n++) {
			cut = malloc(n ? n : 1);
			memcpy(cut, bytes, n);
			assert_int_equal(packet_parse(&p, cut, n), -EINVAL);
			free(cut);
		}
		free(bytes);
	}
}

/* The IP header states less and less: the transport header no longer fits, or something else
 * is read, but never a byte behind what is stated. */
static void nothing_is_read_behind_the_stated_length(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct packet p;
		size_t len;
		uint8_t *bytes = hex_bytes(good[i].packet, &len), *cut;
		size_t head = bytes[0] >> 4 == 4 ? 20 : 40;

		for (size_t n = head; n < len; n++) {
			cut = malloc(n);
			memcpy(cut, bytes, n);
			if (head == 20)
				packet_put16(cut + 2, (uint16_t)n);
			else
				packet_put16(cut + 4, (uint16_t)(n - head));
			if (packet_parse(&p, cut, n) == 0)
				assert_true(p.l4 <= n && p.payload <= n && p.len <= n);
			free(cut);
		}
		free(bytes);
	}
}

static void bytes_behind_the_packet_are_ignored(void **state)
{
	struct packet p;
	size_t len;
	uint8_t *bytes = hex_bytes(IP4("001f", "11") UDP("000b") "616263 deadbeef", &len);

	(void)state;
	assert_int_equal(packet_parse(&p, bytes, len), 0);
	assert_int_equal(p.len, 31);
	free(bytes);
	/* So are those behind the length of a UDP datagram. */
	bytes = hex_bytes(IP4("0023", "11") UDP("000b") "616263 deadbeef", &len);
	assert_int_equal(packet_parse(&p, bytes, len), 0);
	assert_int_equal(p.len - p.payload, 3);
	free(bytes);
}

static void refuses_what_contradicts_itself(void **state)
{
	static const struct {
		const char *what, *packet;
		int err;
	} row[] = {
		{"version 0", "05" TCP("5", "02") TCP("5", "02"), -EINVAL},
		{"version 5", "55" TCP("5", "02") TCP("5", "02"), -EINVAL},
		{"IPv4 header of 16 bytes", "4400 0028 0007 0000 3f06 0000 " ADDRS4 TCP("5", "02"),
			-EINVAL},
		{"IPv4 header longer than the packet",
			"4f00 0028 0007 0000 3f06 0000 " ADDRS4 TCP("5", "02"), -EINVAL},
		{"total below the header", IP4("0013", "06") TCP("5", "02"), -EINVAL},
		{"total 0", IP4("0000", "06") TCP("5", "02"), -EINVAL},
		{"TCP header of 16 bytes", IP4("0028", "06") TCP("4", "02"), -EINVAL},
		{"TCP options behind the end", IP4("0028", "06") TCP("6", "02"), -EINVAL},
		{"UDP length 7", IP4("001c", "11") UDP("0007"), -EINVAL},
		{"UDP length 0", IP4("001c", "11") UDP("0000"), -EINVAL},
		{"UDP6 length 0", IP6("0008", "11") UDP("0000"), -EINVAL},
		{"UDP longer than the packet", IP4("001c", "11") UDP("0009"), -EINVAL},
		{"ESP", IP4("001c", "32") UDP("0008"), -EPROTONOSUPPORT},
		{"AH", IP4("001c", "33") UDP("0008"), -EPROTONOSUPPORT},
		{"ICMPv6 in IPv4", IP4("001c", "3a") ECHO("80"), -EPROTONOSUPPORT},
		{"ICMP in IPv6", IP6("0008", "01") ECHO("08"), -EPROTONOSUPPORT},
		{"AH in IPv6", IP6("0008", "33") UDP("0008"), -EPROTONOSUPPORT},
		{"ESP behind a destination header",
			IP6("0010", "3c") "3200010400000000" UDP("0008"), -EPROTONOSUPPORT},
		{"mobility", IP6("0008", "87") "3b00000000000000", -EPROTONOSUPPORT},
		{"jumbogram", IP6("0000", "00") "1100c20400000008" UDP("0008"), -EINVAL},
		{"hop-by-hop header in second place",
			IP6("0018", "3c") "0000010400000000 1100010400000000" UDP("0008"), -EINVAL},
		{"two hop-by-hop headers",
			IP6("0018", "00") "0000010400000000 1100010400000000" UDP("0008"), -EINVAL},
		{"routing header with a stop left",
			IP6("0010", "2b") "1100000100000000" UDP("0008"), -EINVAL},
		{"extension header longer than the packet",
			IP6("0010", "3c") "11ff010400000000" UDP("0008"), -EINVAL},
		{"two fragment headers",
			IP6("0018", "2c") FRAG6("2c", "0000") FRAG6("11", "0000") UDP("0008"),
			-EINVAL},
		{"nine extension headers",
			IP6("0050", "3c") "3c00010400000000 3c00010400000000 3c00010400000000"
					  "3c00010400000000 3c00010400000000 3c00010400000000"
					  "3c00010400000000 3c00010400000000 1100010400000000" UDP(
						  "0008"),
			-EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct packet p;
		size_t len;
		uint8_t *bytes = hex_bytes(row[i].packet, &len);
		int err = packet_parse(&p, bytes, len);

		if (err != row[i].err)
			fail_msg("%s: %d", row[i].what, err);
		if (err == -EPROTONOSUPPORT) {
			assert_int_equal(p.v, bytes[0] >> 4);
			assert_int_equal(p.src.v, p.v);
			assert_int_equal(p.dst.v, p.v);
			assert_int_equal(p.len, len);
			assert_int_not_equal(p.proto, 0);
		}
		free(bytes);
	}
}

static void fragments_are_pieces(void **state)
{
	static const struct {
		const char *packet;
		int l4, proto, offset, more, header, next;
		uint32_t id;
	} row[] = {
		{IP4_FRAG("001c", "11", "2000") UDP("0050"), 20, IPPROTO_UDP, 0, 1, 0, 0, 0x1234},
		{IP4_FRAG("0017", "11", "0009") "616263", 20, IPPROTO_UDP, 72, 0, 0, 0, 0x1234},
		{IP4_FRAG("0015", "06", "7fff") "61", 20, IPPROTO_TCP, 65528, 1, 0, 0, 0x1234},
		{IP4_FRAG("0015", "01", "1fff") "61", 20, IPPROTO_ICMP, 65528, 0, 0, 0, 0x1234},
		{IP6("0010", "2c") FRAG6("11", "0001") UDP("0050"), 48, IPPROTO_UDP, 0, 1, 40, 6,
			0xcafef00d},
		{IP6("0009", "2c") FRAG6("3a", "0048") "61", 48, IPPROTO_ICMPV6, 72, 0, 40, 6,
			0xcafef00d},
		{IP6("0008", "2c") FRAG6("06", "fff9"), 48, IPPROTO_TCP, 65528, 1, 40, 6,
			0xcafef00d},
		/* The unfragmented part has a header of its own; so has the first piece. */
		{IP6("0018", "00") "2c00 050200000100" FRAG6("3c", "0001") "1100010400000000", 56,
			IPPROTO_DSTOPTS, 0, 1, 48, 40, 0xcafef00d},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct packet p;
		size_t len;
		uint8_t *bytes = hex_bytes(row[i].packet, &len);

		assert_int_equal(packet_parse(&p, bytes, len), 0);
		assert_true(p.fragment);
		assert_int_equal(p.more_fragments, row[i].more);
		assert_int_equal(p.frag_offset, row[i].offset);
		assert_int_equal(p.frag_id, row[i].id);
		assert_int_equal(p.frag_header, row[i].header);
		assert_int_equal(p.frag_next, row[i].next);
		assert_int_equal(p.l4, row[i].l4);
		assert_int_equal(p.payload, row[i].l4);
		assert_int_equal(p.proto, row[i].proto);
		assert_int_equal(p.len, len);
		assert_int_equal(p.src.port, 0);
		assert_int_equal(p.dst.port, 0);
		assert_int_equal(p.tcp_flags, 0);
		free(bytes);
	}
}

/* Segments of 64 KB are everyday ones. */
static void longest_packets_fit(void **state)
{
	static const char *const head[] = {IP4("ffff", "06") TCP("5", "10"),
		IP6("ffff", "06") TCP("5", "10"), IP4("ffff", "11") UDP("ffeb"),
		IP6("ffff", "11") UDP("ffff")};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(head); i++) {
		struct packet p;
		size_t len, all = 65535 + (i % 2 ? 40 : 0);
		uint8_t *start = hex_bytes(head[i], &len), *bytes = calloc(1, all);

		memcpy(bytes, start, len);
		assert_int_equal(packet_parse(&p, bytes, all), 0);
		assert_int_equal(p.len, all);
		assert_int_equal(packet_parse(&p, bytes, all - 1), -EINVAL);
		free(start);
		free(bytes);
	}
}

/* The definition, word by word. */
static uint16_t slow_sum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void sums_as_rfc_1071_says(void **state)
{
	static uint8_t bytes[65536 + 1];
	static const size_t lens[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 20, 40, 1499, 1500, 65535, 65536};
	uint32_t random = 1;
	uint16_t sum;

	(void)state;
	for (int fill = 0; fill < 3; fill++) {
		for (size_t i = 0; i < sizeof(bytes); i++) {
			random = random * 1103515245 + 12345;
			bytes[i] = fill == 0 ? (uint8_t)(random >> 16) : fill == 1 ? 0xff : 0;
		}
		for (size_t i = 0; i < 2 * ARRAY_LEN(lens); i++) {
			const uint8_t *p = bytes + i % 2;
			size_t len = lens[i / 2], half = len / 2 & ~(size_t)1;

			sum = packet_sum_fold(packet_sum(p, len, 0));
			assert_int_equal(packet_get16((uint8_t *)&sum), slow_sum(p, len));
			/* In two pieces, the first of even length. */
			assert_int_equal(packet_sum_fold(packet_sum(p + half, len - half,
						 packet_sum(p, half, 0))),
				sum);
		}
	}
	/* The example of RFC 1071, section 3. */
	sum = packet_sum_fold(packet_sum("\x00\x01\xf2\x03\xf4\xf5\xf6\xf7", 8, 0));
	assert_int_equal(packet_get16((uint8_t *)&sum), 0xffff & ~0xddf2);
	/* Nothing overflows, whatever it starts with. */
	assert_int_equal(packet_sum_fold(packet_sum("\xff\xff\xff\xff", 4, 0xffffffff)), 0);
}

static void pseudo_header_is_the_packets(void **state)
{
	static const struct {
		const char *src, *dst, *pseudo;
		int proto;
		uint32_t len;
	} row[] = {
		{"192.0.2.1:1", "203.0.113.9:2", ADDRS4 "0011 ffeb", 17, 65515},
		{"[2001:db8::1]:1", "[2001:db8::9]:2", ADDRS6 "0001 0007 0000 003a", 58, 65543},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct addr src, dst;
		size_t len;
		uint8_t *pseudo = hex_bytes(row[i].pseudo, &len);
		uint16_t sum;

		addr_parse(&src, row[i].src);
		addr_parse(&dst, row[i].dst);
		sum = packet_sum_fold(
			packet_sum_pseudo(&src, &dst, (uint8_t)row[i].proto, row[i].len));
		assert_int_equal(packet_get16((uint8_t *)&sum), slow_sum(pseudo, len));
		free(pseudo);
	}
}

static void numbers_go_there_and_back(void **state)
{
	uint8_t b[5] = {0};

	(void)state;
	packet_put32(b + 1, 0x89abcdef);
	assert_memory_equal(b, "\x00\x89\xab\xcd\xef", 5);
	assert_int_equal(packet_get32(b + 1), 0x89abcdef);
	packet_put16(b + 1, 0xfedc);
	assert_int_equal(packet_get16(b + 1), 0xfedc);
	assert_int_equal(packet_get16(b + 2), 0xdccd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_is_written),
		cmocka_unit_test(no_prefix_of_a_packet_is_one),
		cmocka_unit_test(nothing_is_read_behind_the_stated_length),
		cmocka_unit_test(bytes_behind_the_packet_are_ignored),
		cmocka_unit_test(refuses_what_contradicts_itself),
		cmocka_unit_test(fragments_are_pieces),
		cmocka_unit_test(longest_packets_fit),
		cmocka_unit_test(sums_as_rfc_1071_says),
		cmocka_unit_test(pseudo_header_is_the_packets),
		cmocka_unit_test(numbers_go_there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
