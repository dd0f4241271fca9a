/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <string.h>

#include "core/answer.h"
#include "core/base.h"
#include "core/craft.h"

static struct {
	uint8_t sent[2048];
	size_t len;
	int count;
} t;

/* In place of the device. */
int tun_writev(struct tun *tun, const struct virtio_net_hdr *vnet, struct iovec *iov, int n)
{
	(void)tun;
	(void)vnet;
	t.count++;
	t.len = 0;
	for (int i = 1; i < n; i++) {
		memcpy(t.sent + t.len, iov[i].iov_base, iov[i].iov_len);
		t.len += iov[i].iov_len;
	}
	return 0;
}

/* The SYN from @src to @dst, in a static buffer. */
static struct packet syn(const char *src, const char *dst)
{
	static uint8_t bytes[128];
	struct addr from, to;
	struct packet p;
	uint8_t *tcp;
	size_t n;

	assert_int_equal(addr_parse(&from, src), 0);
	assert_int_equal(addr_parse(&to, dst), 0);
	memset(bytes, 0, sizeof(bytes));
	/* A UDP packet of the length of a TCP header, made a SYN. */
	n = craft_udp(bytes + 64, 12, &from, &to);
	bytes[64 - n + (from.v == 4 ? 9 : 6)] = IPPROTO_TCP;
	tcp = bytes + 64 - 8;
	memset(tcp + 4, 0, 16);
	tcp[7] = 41;      /* sequence number */
	tcp[12] = 5 << 4; /* length */
	tcp[13] = 0x02;   /* SYN */
	assert_int_equal(packet_parse(&p, bytes + 64 - n, n + 12), 0);
	assert_int_equal(p.proto, IPPROTO_TCP);
	return p;
}

/* What was sent: "rst", or the code of an ICMP message. */
static const char *said(void)
{
	static char text[32];
	struct packet p;

	assert_int_equal(t.count, 1);
	t.count = 0;
	assert_int_equal(packet_parse(&p, t.sent, t.len), 0);
	if (p.proto == IPPROTO_TCP)
		return p.tcp_flags == 0x14 ? "rst" : "other";
	snprintf(text, sizeof(text), "icmp %u", p.icmp_code);
	if (p.icmp_type != (p.v == 4 ? ICMP_DEST_UNREACH : ICMP6_DST_UNREACH))
		return "other";
	return text;
}

static const char *const ends[][2] = {{"10.0.0.1:40000", "203.0.113.1:80"},
	{"[fd00::1]:40000", "[2001:db8::1]:80"}};

static void a_reset_goes_back_the_way_and_acknowledges_the_syn(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct packet p = syn(ends[i][0], ends[i][1]), r;

		answer_rst(NULL, &p);
		assert_string_equal(said(), "rst");
		assert_int_equal(packet_parse(&r, t.sent, t.len), 0);
		assert_true(addr_equal(&r.src, &p.dst));
		assert_true(addr_equal(&r.dst, &p.src));
		assert_int_equal(r.data[r.v == 4 ? 20 + 11 : 40 + 11], 42);
	}
}

static void each_style_of_denial_has_its_packet(void **state)
{
	static const struct {
		enum deny_style style;
		const char *four, *six;
	} cases[] = {
		{DENY_STYLE_REFUSE, "rst", "rst"},
		{DENY_STYLE_RESET, "rst", "rst"},
		{DENY_STYLE_UNREACHABLE, "icmp 1", "icmp 3"},
		{DENY_STYLE_PROHIBITED, "icmp 13", "icmp 1"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t k = 0; k < ARRAY_LEN(ends); k++) {
			struct packet p = syn(ends[k][0], ends[k][1]);

			answer_denied(NULL, &p, cases[i].style);
			assert_string_equal(said(), k ? cases[i].six : cases[i].four);
		}
	}
}

static void each_errno_has_the_packet_that_makes_it(void **state)
{
	static const struct {
		int error;
		const char *four, *six;
	} cases[] = {
		{ECONNREFUSED, "rst", "rst"},
		{ECONNRESET, "rst", "rst"},
		{EMFILE, "rst", "rst"},
		{ENETUNREACH, "icmp 0", "icmp 0"},
		{EADDRNOTAVAIL, "icmp 0", "icmp 0"},
		{EAFNOSUPPORT, "icmp 0", "icmp 0"},
		{EHOSTUNREACH, "icmp 1", "icmp 3"},
		{EHOSTDOWN, "icmp 1", "icmp 3"},
		{ETIMEDOUT, "icmp 1", "icmp 3"},
		{EACCES, "icmp 13", "icmp 1"},
		{EPERM, "icmp 13", "icmp 1"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t k = 0; k < ARRAY_LEN(ends); k++) {
			struct packet p = syn(ends[k][0], ends[k][1]);

			answer_failed(NULL, &p, cases[i].error);
			assert_string_equal(said(), k ? cases[i].six : cases[i].four);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reset_goes_back_the_way_and_acknowledges_the_syn),
		cmocka_unit_test(each_style_of_denial_has_its_packet),
		cmocka_unit_test(each_errno_has_the_packet_that_makes_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
