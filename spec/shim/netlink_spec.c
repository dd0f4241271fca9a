/* SPDX-License-Identifier: MIT */
#include "container-shim/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* The kernel's place is taken by the other end of a socket pair, which has its
 * answer ready before it is asked. The bytes expected
 * are written out field by field from rtnetlink(7). */
static int end[2];

static void answer_with(int error)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} m = {
		.header = {.nlmsg_len = sizeof(m), .nlmsg_type = NLMSG_ERROR},
		.error = {.error = error},
	};

	assert_int_equal(send(end[1], &m, sizeof(m), 0), sizeof(m));
}

static void expect(const void *bytes, size_t len)
{
	unsigned char got[1024];

	assert_int_equal(recv(end[1], got, sizeof(got), 0), len);
	assert_memory_equal(got, bytes, len);
}

/* Numbers in netlink are the machine's own; these are written little-endian. */
#define U16(v) (v) & 255, (v) >> 8
#define U32(v) (v) & 255, (v) >> 8 & 255, (v) >> 16 & 255, (v) >> 24 & 255
#define HEADER(len, type, flags) U32(len), U16(type), U16(flags), U32(0), U32(0)

static int set_up(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, end);
}

static int tear_down(void **state)
{
	(void)state;
	close(end[0]);
	close(end[1]);
	return 0;
}

static void brings_a_link_up(void **state)
{
	static const unsigned char want[] = {HEADER(32, 16, 5), 0, 0, U16(0), U32(1), U32(1),
		U32(1)};

	(void)state;
	answer_with(0);
	assert_int_equal(netlink_link_up(end[0], 1, 0, 0), 0);
	expect(want, sizeof(want));
}

static void brings_a_link_up_with_mtu_and_queue(void **state)
{
	static const unsigned char want[] = {HEADER(48, 16, 5), 0, 0, U16(0), U32(7), U32(1),
		U32(1), U16(8), U16(4), U32(65520), U16(8), U16(13), U32(10000)};

	(void)state;
	answer_with(0);
	assert_int_equal(netlink_link_up(end[0], 7, 65520, 10000), 0);
	expect(want, sizeof(want));
}

static void asks_for_no_link_local_address(void **state)
{
	/* IFLA_AF_SPEC { AF_INET6 { IFLA_INET6_ADDR_GEN_MODE = NONE } } */
	static const unsigned char want[] = {HEADER(48, 16, 5), 0, 0, U16(0), U32(7), U32(0),
		U32(0), U16(16), U16(26), U16(12), U16(10), U16(5), U16(8), 1, 0, 0, 0};

	(void)state;
	answer_with(0);
	assert_int_equal(netlink_no_link_local(end[0], 7), 0);
	expect(want, sizeof(want));
}

static void adds_an_ipv4_address(void **state)
{
	static const unsigned char want[] = {HEADER(40, 20, 0x605), 2, 24, 0, 0, U32(7), U16(8),
		U16(2), 10, 0, 0, 1, U16(8), U16(1), 10, 0, 0, 1};
	struct net4 net = {.prefix = 24};

	(void)state;
	inet_pton(AF_INET, "10.0.0.1", &net.addr);
	answer_with(0);
	assert_int_equal(netlink_add_address4(end[0], 7, &net), 0);
	expect(want, sizeof(want));
}

static void adds_an_ipv6_address_without_detection(void **state)
{
	static const unsigned char want[] = {HEADER(64, 20, 0x605), 10, 64, 2 /* nodad */, 0,
		U32(7), U16(20), U16(2), 0xfd, 0x6e, 0x73, 0x6e, 0x65, 0x74, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 1, U16(20), U16(1), 0xfd, 0x6e, 0x73, 0x6e, 0x65, 0x74, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 1};
	struct net6 net = {.prefix = 64};

	(void)state;
	inet_pton(AF_INET6, "fd6e:736e:6574::1", &net.addr);
	answer_with(0);
	assert_int_equal(netlink_add_address6(end[0], 7, &net), 0);
	expect(want, sizeof(want));
}

static void route4(const char *addr, unsigned prefix, const void *want, size_t len)
{
	struct net4 net = {.prefix = prefix};

	inet_pton(AF_INET, addr, &net.addr);
	answer_with(0);
	assert_int_equal(netlink_add_route4(end[0], 7, &net), 0);
	expect(want, len);
}

static void routes_ipv4_by_the_next_address(void **state)
{
	static const unsigned char want[] = {HEADER(44, 24, 0x605), 2, 0, 0, 0, 254, 4, 0, 1,
		U32(0), U16(8), U16(5), 10, 0, 0, 2, U16(8), U16(4), U32(7)};
	static const unsigned char last[] = {HEADER(44, 24, 0x605), 2, 0, 0, 0, 254, 4, 0, 1,
		U32(0), U16(8), U16(5), 10, 0, 0, 254, U16(8), U16(4), U32(7)};

	(void)state;
	route4("10.0.0.1", 24, want, sizeof(want));
	route4("10.0.0.1", 30, want, sizeof(want));
	route4("10.0.0.253", 24, last, sizeof(last));
}

static void routes_ipv4_by_the_device_where_no_address_is_next(void **state)
{
	static const unsigned char want[] = {HEADER(36, 24, 0x605), 2, 0, 0, 0, 254, 4, 253, 1,
		U32(0), U16(8), U16(4), U32(7)};

	(void)state;
	route4("10.0.0.1", 32, want, sizeof(want));
	route4("10.0.0.0", 31, want, sizeof(want));
	/* The next one is the broadcast address. */
	route4("10.0.0.254", 24, want, sizeof(want));
	route4("10.0.0.2", 30, want, sizeof(want));
	route4("10.0.0.255", 24, want, sizeof(want));
}

static void routes_ipv6(void **state)
{
	static const unsigned char next[] = {HEADER(56, 24, 0x605), 10, 0, 0, 0, 254, 4, 0, 1,
		U32(0), U16(20), U16(5), 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, U16(8),
		U16(4), U32(7)};
	static const unsigned char device[] = {HEADER(36, 24, 0x605), 10, 0, 0, 0, 254, 4, 0, 1,
		U32(0), U16(8), U16(4), U32(7)};
	struct net6 net = {.prefix = 64};

	(void)state;
	inet_pton(AF_INET6, "fd00::1", &net.addr);
	answer_with(0);
	assert_int_equal(netlink_add_route6(end[0], 7, &net), 0);
	expect(next, sizeof(next));
	net.prefix = 128;
	answer_with(0);
	assert_int_equal(netlink_add_route6(end[0], 7, &net), 0);
	expect(device, sizeof(device));
	net.prefix = 64;
	net.addr.s6_addr[15] = 0xff;
	answer_with(0);
	assert_int_equal(netlink_add_route6(end[0], 7, &net), 0);
	expect(device, sizeof(device));
}

static void returns_what_the_kernel_says(void **state)
{
	struct net4 net = {.prefix = 24};

	(void)state;
	answer_with(-EPERM);
	assert_int_equal(netlink_add_address4(end[0], 7, &net), -EPERM);
	answer_with(-EEXIST);
	assert_int_equal(netlink_add_route4(end[0], 7, &net), -EEXIST);
}

static void refuses_an_answer_that_is_none(void **state)
{
	(void)state;
	assert_int_equal(send(end[1], "short", 5, 0), 5);
	assert_int_equal(netlink_link_up(end[0], 1, 0, 0), -EBADMSG);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(brings_a_link_up),
		TEST(brings_a_link_up_with_mtu_and_queue),
		TEST(asks_for_no_link_local_address),
		TEST(adds_an_ipv4_address),
		TEST(adds_an_ipv6_address_without_detection),
		TEST(routes_ipv4_by_the_next_address),
		TEST(routes_ipv4_by_the_device_where_no_address_is_next),
		TEST(routes_ipv6),
		TEST(returns_what_the_kernel_says),
		TEST(refuses_an_answer_that_is_none),
	};

	return cmocka_run_group_tests_name("shim/netlink", tests, NULL, NULL);
}
