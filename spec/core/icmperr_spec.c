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
#include <string.h>

#include "core/base.h"
#include "core/icmperr.h"
#include "core/packet.h"

static void turns_an_errno_into_a_code(void **state)
{
	static const struct {
		int error;
		uint8_t soft4, hard4, soft6, hard6;
	} row[] = {
		{ECONNREFUSED, 3, 3, 4, 4},
		{EACCES, 13, 13, 1, 1},
		{EPERM, 13, 13, 1, 1},
		{ENETUNREACH, 0, 6, 0, 6},
		{ENETDOWN, 0, 6, 0, 6},
		{EHOSTUNREACH, 1, 10, 3, 6},
		{EHOSTDOWN, 1, 10, 3, 6},
		{ENOPROTOOPT, 2, 2, 4, 4},
		{EOPNOTSUPP, 1, 10, 3, 6},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct icmperr e = icmperr_from_errno(4, row[i].error, false, 0);

		assert_int_equal(e.type, ICMP_DEST_UNREACH);
		assert_int_equal(e.code, row[i].soft4);
		assert_int_equal(e.info, 0);
		e = icmperr_from_errno(4, row[i].error, true, 0);
		assert_int_equal(e.code, row[i].hard4);
		e = icmperr_from_errno(6, row[i].error, false, 0);
		assert_int_equal(e.type, ICMP6_DST_UNREACH);
		assert_int_equal(e.code, row[i].soft6);
		e = icmperr_from_errno(6, row[i].error, true, 0);
		assert_int_equal(e.code, row[i].hard6);
	}
}

static void tells_the_mtu(void **state)
{
	struct icmperr e = icmperr_from_errno(4, EMSGSIZE, true, 1400);

	(void)state;
	assert_int_equal(e.type, ICMP_DEST_UNREACH);
	assert_int_equal(e.code, ICMP_FRAG_NEEDED);
	assert_int_equal(e.info, 1400);
	e = icmperr_from_errno(4, EMSGSIZE, true, 65536); /* the loopback's */
	assert_int_equal(e.info, 65535);
	e = icmperr_from_errno(6, EMSGSIZE, true, 65536);
	assert_int_equal(e.type, ICMP6_PACKET_TOO_BIG);
	assert_int_equal(e.code, 0);
	assert_int_equal(e.info, 65536);
}

static void passes_on_what_came_from_the_network(void **state)
{
	static const struct {
		struct sock_extended_err ee;
		uint8_t target_v, v;
		bool told;
		uint8_t type, code;
		uint32_t info;
	} row[] = {
		/* the same version: as it is */
		{{.ee_origin = SO_EE_ORIGIN_ICMP,
			 .ee_type = 3,
			 .ee_code = 1,
			 .ee_errno = EHOSTUNREACH},
			4, 4, true, 3, 1, 0},
		{{.ee_origin = SO_EE_ORIGIN_ICMP,
			 .ee_type = 3,
			 .ee_code = 4,
			 .ee_errno = EMSGSIZE,
			 .ee_info = 1400},
			4, 4, true, 3, 4, 1400},
		{{.ee_origin = SO_EE_ORIGIN_ICMP, .ee_type = 11, .ee_errno = EHOSTUNREACH}, 4, 4,
			true, 11, 0, 0},
		{{.ee_origin = SO_EE_ORIGIN_ICMP, .ee_type = 12, .ee_errno = EPROTO, .ee_info = 20},
			4, 4, true, 12, 0, 20u << 24},
		{{.ee_origin = SO_EE_ORIGIN_ICMP, .ee_type = 4}, 4, 4, false, 0, 0, 0},
		{{.ee_origin = SO_EE_ORIGIN_ICMP6, .ee_type = 1, .ee_code = 3}, 6, 6, true, 1, 3,
			0},
		{{.ee_origin = SO_EE_ORIGIN_ICMP6, .ee_type = 2, .ee_info = 1280}, 6, 6, true, 2, 0,
			1280},
		{{.ee_origin = SO_EE_ORIGIN_ICMP6, .ee_type = 4, .ee_code = 1, .ee_info = 40}, 6, 6,
			true, 4, 1, 40},
		/* another version: translated */
		{{.ee_origin = SO_EE_ORIGIN_ICMP,
			 .ee_type = 3,
			 .ee_code = 3,
			 .ee_errno = ECONNREFUSED},
			4, 6, true, 1, 4, 0},
		{{.ee_origin = SO_EE_ORIGIN_ICMP6,
			 .ee_type = 1,
			 .ee_code = 4,
			 .ee_errno = ECONNREFUSED},
			6, 4, true, 3, 3, 0},
		{{.ee_origin = SO_EE_ORIGIN_ICMP,
			 .ee_type = 3,
			 .ee_code = 4,
			 .ee_errno = EMSGSIZE,
			 .ee_info = 1400},
			4, 6, true, 2, 0, 1420},
		{{.ee_origin = SO_EE_ORIGIN_ICMP6,
			 .ee_type = 2,
			 .ee_errno = EMSGSIZE,
			 .ee_info = 1400},
			6, 4, true, 3, 4, 1380},
		{{.ee_origin = SO_EE_ORIGIN_ICMP, .ee_type = 11, .ee_errno = EHOSTUNREACH}, 4, 6,
			true, 3, 0, 0},
		{{.ee_origin = SO_EE_ORIGIN_ICMP6, .ee_type = 3, .ee_errno = EHOSTUNREACH}, 6, 4,
			true, 11, 0, 0},
		/* IPv4 errors of an IPv6 socket that speaks to a mapped address */
		{{.ee_origin = SO_EE_ORIGIN_ICMP,
			 .ee_type = 3,
			 .ee_code = 3,
			 .ee_errno = ECONNREFUSED},
			6, 6, true, 1, 4, 0},
		/* the host's own */
		{{.ee_origin = SO_EE_ORIGIN_LOCAL, .ee_errno = EMSGSIZE, .ee_info = 1500}, 4, 4,
			true, 3, 4, 1500},
		{{.ee_origin = SO_EE_ORIGIN_LOCAL, .ee_errno = ENETUNREACH}, 4, 4, true, 3, 6, 0},
		{{.ee_origin = SO_EE_ORIGIN_TXSTATUS}, 4, 4, false, 0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct icmperr e = {0};

		assert_int_equal(
			icmperr_from_queue(&e, &row[i].ee, row[i].target_v, row[i].v, true),
			row[i].told);
		assert_int_equal(e.type, row[i].type);
		assert_int_equal(e.code, row[i].code);
		assert_int_equal(e.info, row[i].info);
	}
}

static void is_silent_about_groups(void **state)
{
	static const struct {
		const char *to;
		bool allowed;
	} row[] = {{"192.0.2.1", true}, {"127.0.0.1", true}, {"2001:db8::1", true}, {"::1", true},
		{"0.0.0.0", false}, {"0.1.2.3", false}, {"224.0.0.1", false},
		{"239.255.255.250", false}, {"255.255.255.255", false}, {"::", false},
		{"ff02::fb", false}};
	struct addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		assert_int_equal(addr_parse(&a, row[i].to), 0);
		assert_int_equal(icmperr_allowed(&a), row[i].allowed);
	}
	memset(&a, 0, sizeof(a));
	assert_false(icmperr_allowed(&a));
}

static void writes_headers_that_parse(void **state)
{
	static const char *const pair[][2] = {{"198.51.100.1", "10.0.0.1"},
		{"2001:db8::1", "fd00::1"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pair); i++) {
		uint8_t room[ICMPERR_ROOM + 60];
		struct icmperr e = icmperr_from_errno(i ? 6 : 4, EMSGSIZE, true, 1400);
		struct addr from, to;
		struct packet p;
		size_t h;

		addr_parse(&from, pair[i][0]);
		addr_parse(&to, pair[i][1]);
		memset(room, 0xaa, sizeof(room));
		h = icmperr_write(&e, room + ICMPERR_ROOM, 60, &from, &to);
		assert_int_equal(h, i ? 48 : 28);
		assert_int_equal(packet_parse(&p, room + ICMPERR_ROOM - h, h + 60), 0);
		assert_int_equal(p.len, h + 60);
		assert_true(addr_equal_ip(&p.src, &from));
		assert_true(addr_equal_ip(&p.dst, &to));
		assert_int_equal(p.icmp_type, e.type);
		assert_int_equal(p.icmp_code, e.code);
		assert_int_equal(packet_get32(p.data + p.l4 + 4), 1400);
		assert_int_equal(
			packet_sum_fold(packet_sum(p.data + p.l4, p.len - p.l4,
				i ? packet_sum_pseudo(&from, &to, IPPROTO_ICMPV6, p.len - p.l4)
				  : 0)),
			0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(turns_an_errno_into_a_code),
		cmocka_unit_test(tells_the_mtu),
		cmocka_unit_test(passes_on_what_came_from_the_network),
		cmocka_unit_test(is_silent_about_groups),
		cmocka_unit_test(writes_headers_that_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
