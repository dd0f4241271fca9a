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
#include "core/craft.h"
#include "spec/support/hex.h"

#define ADDRS4 "c0000201 cb007109 "
#define ADDRS6 "20010db8000000000000000000000001 20010db8000000000000000000000009 "
#define IP4(total, proto) "4500 " total " 0007 0000 3f" proto " 0000 " ADDRS4
#define IP6(payload, next) "60000000 " payload " " next "3f " ADDRS6

/* Ports 40000 -> 443, SEQ 0xfffffffe, ACK 0x01020304. */
#define TCP(flags) "9c40 01bb fffffffe 01020304 50" flags " 0100 0000 0000 "
#define UDP(len) "9c40 01bb " len " abcd "

static struct packet in, out;
static uint8_t *in_bytes, out_bytes[CRAFT_SMALL_MAX];

static void receive(const char *text)
{
	size_t len;

	free(in_bytes);
	in_bytes = hex_bytes(text, &len);
	assert_int_equal(packet_parse(&in, in_bytes, len), 0);
}

static int forget(void **state)
{
	(void)state;
	free(in_bytes);
	in_bytes = NULL;
	return 0;
}

/* Every sum of the @len bytes at @bytes is right, but @l4 only if asked for. */
static void check_sums(uint8_t *bytes, size_t len, bool l4)
{
	struct packet p;

	assert_int_equal(packet_parse(&p, bytes, len), 0);
	assert_int_equal(p.len, len);
	assert_false(p.fragment);
	if (p.v == 4)
		assert_int_equal(packet_sum_fold(packet_sum(bytes, p.l4, 0)), 0);
	if (l4) {
		uint32_t start = p.proto == IPPROTO_ICMP
			? 0
			: packet_sum_pseudo(&p.src, &p.dst, p.proto, p.len - p.l4);

		assert_int_equal(packet_sum_fold(packet_sum(bytes + p.l4, p.len - p.l4, start)), 0);
	}
}

/* The answer is a good packet back to the sender. */
static void check_answer(size_t len)
{
	assert_true(len > 0 && len <= sizeof(out_bytes));
	check_sums(out_bytes, len, true);
	assert_int_equal(packet_parse(&out, out_bytes, len), 0);
	assert_true(addr_equal_ip(&out.src, &in.dst));
	assert_true(addr_equal_ip(&out.dst, &in.src));
	assert_true(out.ttl >= 64);
}

static void rst_answers_as_rfc_9293_says(void **state)
{
	static const struct {
		const char *packet;
		int flags;
		uint32_t seq, ack;
	} row[] = {
		/* No ACK: 0, and what was received up to the end, SYN and FIN included. */
		{IP4("0028", "06") TCP("02"), PACKET_TCP_RST | PACKET_TCP_ACK, 0, 0xffffffff},
		{IP4("0028", "06") TCP("c2"), PACKET_TCP_RST | PACKET_TCP_ACK, 0, 0xffffffff},
		{IP4("002b", "06") TCP("03") "616263", PACKET_TCP_RST | PACKET_TCP_ACK, 0, 3},
		{IP4("002b", "06") TCP("00") "616263", PACKET_TCP_RST | PACKET_TCP_ACK, 0, 1},
		/* ACK: what it acknowledges, alone. */
		{IP4("0028", "06") TCP("10"), PACKET_TCP_RST, 0x01020304, 0},
		{IP4("002b", "06") TCP("19") "616263", PACKET_TCP_RST, 0x01020304, 0},
		{IP6("0014", "06") TCP("02"), PACKET_TCP_RST | PACKET_TCP_ACK, 0, 0xffffffff},
		{IP6("0014", "06") TCP("12"), PACKET_TCP_RST, 0x01020304, 0},
		{IP6("001c", "3c") "0600010400000000" TCP("02"), PACKET_TCP_RST | PACKET_TCP_ACK, 0,
			0xffffffff},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		receive(row[i].packet);
		memset(out_bytes, 0xff, sizeof(out_bytes));
		check_answer(craft_rst(out_bytes, &in));
		assert_int_equal(out.src.port, 443);
		assert_int_equal(out.dst.port, 40000);
		assert_int_equal(out.tcp_flags, row[i].flags);
		assert_int_equal(packet_get32(out_bytes + out.l4 + 4), row[i].seq);
		assert_int_equal(packet_get32(out_bytes + out.l4 + 8), row[i].ack);
		assert_int_equal(out.payload, out.len);
		/* Nothing is written behind it. */
		assert_int_equal(out_bytes[out.len], 0xff);
	}
}

static void no_rst_answers_a_rst(void **state)
{
	static const char *const row[] = {IP4("0028", "06") TCP("04"), IP4("0028", "06") TCP("14"),
		IP6("0014", "06") TCP("04"), IP4("001c", "11") UDP("0008"),
		/* the ports of a fragment are not to be seen */
		"4500 0028 0007 2000 3f06 0000 " ADDRS4 TCP("02")};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		receive(row[i]);
		assert_int_equal(craft_rst(out_bytes, &in), 0);
	}
}

static void unreachable_quotes_what_was_sent(void **state)
{
	static const struct {
		enum craft_unreach why;
		int code4, code6;
	} row[] = {
		{CRAFT_UNREACH_NET, 0, 0},
		{CRAFT_UNREACH_HOST, 1, 3},
		{CRAFT_UNREACH_PORT, 3, 4},
		{CRAFT_UNREACH_PROHIBITED, 13, 1},
	};
	static const char *const packet[] = {
		IP4("001f", "11") UDP("000b") "616263",
		IP4("0028", "06") TCP("02"),
		IP4("001c", "01") "0800 0000 beef 0001", /* an echo request is no error */
		IP4("0014", "63"),
		"4500 001c 0007 2000 3f11 0000 " ADDRS4 UDP("0050"), /* a first fragment */
		IP6("000b", "11") UDP("000b") "616263",
		IP6("0014", "06") TCP("02"),
		IP6("0008", "3a") "8000 0000 beef 0001",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(packet) * ARRAY_LEN(row); i++) {
		receive(packet[i / ARRAY_LEN(row)]);
		check_answer(craft_unreach(out_bytes, &in, row[i % ARRAY_LEN(row)].why));
		assert_int_equal(out.proto, in.v == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
		assert_int_equal(out.icmp_type, in.v == 4 ? 3 : 1);
		assert_int_equal(out.icmp_code,
			in.v == 4 ? row[i % ARRAY_LEN(row)].code4 : row[i % ARRAY_LEN(row)].code6);
		assert_int_equal(packet_get32(out_bytes + out.l4 + 4), 0);
		assert_int_equal(out.len - out.payload, in.len);
		assert_memory_equal(out_bytes + out.payload, in.data, in.len);
	}
}

static void quote_is_as_long_as_it_may_be(void **state)
{
	static const struct {
		const char *head;
		size_t len, answer;
	} row[] = {
		{IP4("ffff", "11") UDP("ffeb"), 65535, 576},
		{IP4("0224", "11") UDP("0210"), 548, 576},
		{IP4("0223", "11") UDP("020f"), 547, 575},
		{IP6("ffff", "11") UDP("ffff"), 65575, 1280},
		{IP6("04a8", "11") UDP("04a8"), 1232, 1280},
		{IP6("04a7", "11") UDP("04a7"), 1231, 1279},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		size_t n, all = row[i].len, len;
		uint8_t *head = hex_bytes(row[i].head, &n);

		free(in_bytes);
		in_bytes = calloc(1, all);
		memcpy(in_bytes, head, n);
		free(head);
		assert_int_equal(packet_parse(&in, in_bytes, all), 0);
		len = craft_unreach(out_bytes, &in, CRAFT_UNREACH_PORT);
		assert_int_equal(len, row[i].answer);
		check_answer(len);
	}
}

static void nothing_answers_what_must_not_be(void **state)
{
	static const char *const row[] = {
		/* from or to nobody, everybody */
		"4500 001c 0007 0000 3f11 0000 00000000 cb007109" UDP("0008"),
		"4500 001c 0007 0000 3f11 0000 e0000001 cb007109" UDP("0008"),
		"4500 001c 0007 0000 3f11 0000 ffffffff cb007109" UDP("0008"),
		"4500 001c 0007 0000 3f11 0000 c0000201 e00000fb" UDP("0008"),
		"4500 001c 0007 0000 3f11 0000 c0000201 ffffffff" UDP("0008"),
		"60000000 0008 11ff 00000000000000000000000000000000"
		"20010db8000000000000000000000009" UDP("0008"),
		"60000000 0008 11ff ff020000000000000000000000000001"
		"20010db8000000000000000000000009" UDP("0008"),
		"60000000 0008 11ff 20010db8000000000000000000000001"
		"ff0200000000000000000000000000fb" UDP("0008"),
		/* errors */
		IP4("001c", "01") "0300 0000 0000 0000",
		IP4("001c", "01") "0400 0000 0000 0000",
		IP4("001c", "01") "0500 0000 0000 0000",
		IP4("001c", "01") "0b00 0000 0000 0000",
		IP4("001c", "01") "0c00 0000 0000 0000",
		IP6("0008", "3a") "0100 0000 0000 0000",
		IP6("0008", "3a") "0200 0000 0000 0000",
		IP6("0008", "3a") "7f00 0000 0000 0000",
		/* what may be one */
		"4500 001c 0007 2000 3f01 0000 " ADDRS4 "0300 0000 0000 0000",
		IP6("0010", "2c") "3a00 0001 cafef00d 0100 0000 0000 0000",
		/* later fragments */
		"4500 001c 0007 0001 3f11 0000 " ADDRS4 UDP("0008"),
		IP6("0010", "2c") "1100 0008 cafef00d" UDP("0008"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		receive(row[i]);
		if (craft_unreach(out_bytes, &in, CRAFT_UNREACH_PORT))
			fail_msg("row %zu was answered", i);
	}
}

/* A packet of a kind that nobody here can look into can still be refused. */
static void unsupported_packets_can_be_answered(void **state)
{
	size_t len;

	(void)state;
	free(in_bytes);
	in_bytes = hex_bytes(IP4("001c", "32") UDP("0008"), &len);
	assert_int_equal(packet_parse(&in, in_bytes, len), -EPROTONOSUPPORT);
	check_answer(craft_unreach(out_bytes, &in, CRAFT_UNREACH_PROHIBITED));
	assert_int_equal(out.len, 28 + len);
}

static void unreachable_of_a_flow_quotes_its_beginning(void **state)
{
	static const struct {
		const char *src, *dst;
		int proto, quoted_proto;
	} row[] = {
		{"192.0.2.1:40000", "203.0.113.9:443", IPPROTO_UDP, IPPROTO_UDP},
		{"192.0.2.1:7", "203.0.113.9:7", IPPROTO_ICMP, IPPROTO_ICMP},
		{"[2001:db8::1]:40000", "[2001:db8::9]:443", IPPROTO_UDP, IPPROTO_UDP},
		{"[2001:db8::1]:7", "[2001:db8::9]:7", IPPROTO_ICMP, IPPROTO_ICMPV6},
		{"[2001:db8::1]:7", "[2001:db8::9]:7", IPPROTO_ICMPV6, IPPROTO_ICMPV6},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct packet quote;
		size_t len;

		memset(out_bytes, 0xff, sizeof(out_bytes));
		addr_parse(&in.src, row[i].src);
		addr_parse(&in.dst, row[i].dst);
		len = craft_unreach_flow(out_bytes, &in.src, &in.dst, (uint8_t)row[i].proto,
			CRAFT_UNREACH_PORT);
		check_answer(len);
		assert_int_equal(out.icmp_type, out.v == 4 ? 3 : 1);
		assert_int_equal(out.icmp_code, out.v == 4 ? 3 : 4);
		assert_int_equal(packet_parse(&quote, out_bytes + out.payload, len - out.payload),
			0);
		check_sums(quote.data, quote.len, false);
		assert_int_equal(quote.proto, row[i].quoted_proto);
		assert_true(addr_equal(&quote.src, &in.src));
		assert_true(addr_equal(&quote.dst, &in.dst));
		assert_int_equal(quote.len, len - out.payload);
	}
}

static void datagram_gets_headers_and_half_a_checksum(void **state)
{
	static const struct {
		const char *src, *dst;
		size_t max;
	} row[] = {
		{"203.0.113.9:443", "192.0.2.1:40000", 65507},
		{"[2001:db8::9]:443", "[2001:db8::1]:40000", 65527},
	};
	static uint8_t room[48 + 65527];
	uint8_t *payload = room + 48;

	(void)state;
	for (size_t i = 0; i < 4 * ARRAY_LEN(row); i++) {
		const size_t lens[] = {0, 1, 1472, row[i / 4].max};
		size_t len = lens[i % 4], header;
		struct addr src, dst;
		struct packet p;
		uint16_t sum;

		memset(room, 0xa5, sizeof(room));
		addr_parse(&src, row[i / 4].src);
		addr_parse(&dst, row[i / 4].dst);
		header = craft_udp(payload, len, &src, &dst);
		assert_int_equal(header, src.v == 4 ? 28 : 48);
		check_sums(payload - header, header + len, false);
		assert_int_equal(packet_parse(&p, payload - header, header + len), 0);
		assert_int_equal(p.proto, IPPROTO_UDP);
		assert_int_equal(p.len - p.payload, len);
		assert_true(addr_equal(&p.src, &src) && addr_equal(&p.dst, &dst));
		if (src.v == 4)
			assert_int_equal(room[19], 0xa5);
		/* What the kernel does with NEEDS_CSUM: sum from csum_start on, field included. */
		sum = packet_sum_fold(packet_sum(payload - 8, len + 8, 0));
		memcpy(payload - 2, &sum, 2);
		check_sums(payload - header, header + len, true);
	}
}

static void icmp_gets_a_header_and_its_checksum(void **state)
{
	static const struct {
		const char *src, *dst;
		int type;
	} row[] = {
		{"203.0.113.9", "192.0.2.1", 0},
		{"2001:db8::9", "2001:db8::1", 129},
	};
	static uint8_t room[40 + 65515];
	uint8_t *message = room + 40;

	(void)state;
	for (size_t i = 0; i < 4 * ARRAY_LEN(row); i++) {
		static const size_t lens[] = {8, 9, 64, 65515};
		size_t len = lens[i % 4], header;
		struct addr src, dst;
		struct packet p;

		memset(room, 0xa5, sizeof(room));
		message[0] = (uint8_t)row[i / 4].type;
		message[1] = 0;
		addr_parse(&src, row[i / 4].src);
		addr_parse(&dst, row[i / 4].dst);
		header = craft_icmp(message, len, &src, &dst, 7);
		assert_int_equal(header, src.v == 4 ? 20 : 40);
		check_sums(message - header, header + len, true);
		assert_int_equal(packet_parse(&p, message - header, header + len), 0);
		assert_int_equal(p.icmp_type, row[i / 4].type);
		assert_int_equal(p.ttl, 7);
		assert_int_equal(p.src.port, 0xa5a5); /* the identifier is left alone */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rst_answers_as_rfc_9293_says),
		cmocka_unit_test(no_rst_answers_a_rst),
		cmocka_unit_test(unreachable_quotes_what_was_sent),
		cmocka_unit_test(quote_is_as_long_as_it_may_be),
		cmocka_unit_test(nothing_answers_what_must_not_be),
		cmocka_unit_test(unsupported_packets_can_be_answered),
		cmocka_unit_test(unreachable_of_a_flow_quotes_its_beginning),
		cmocka_unit_test(datagram_gets_headers_and_half_a_checksum),
		cmocka_unit_test(icmp_gets_a_header_and_its_checksum),
	};

	return cmocka_run_group_tests(tests, NULL, forget);
}
