/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base.h"
#include "core/craft.h"
#include "core/notice.h"

static struct tun tun;
static int child;
static uint8_t got[2000];
static struct packet p;

static int setup(void **state)
{
	int pair[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == -1)
		return -1;
	tun_init(&tun, ev_default_loop(0), pair[0], 1500);
	child = pair[1];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tun_fini(&tun);
	close(child);
	return 0;
}

/* A datagram of @n bytes at @out + 48; returns its view. */
static struct packet datagram(uint8_t *out, const char *from, const char *to, size_t n)
{
	struct addr src, dst;
	struct packet q;
	size_t h;

	assert_int_equal(addr_parse(&src, from), 0);
	assert_int_equal(addr_parse(&dst, to), 0);
	memset(out + 48, 'x', n);
	h = craft_udp(out + 48, n, &src, &dst);
	assert_int_equal(packet_parse(&q, out + 48 - h, h + n), 0);
	return q;
}

static bool next(void)
{
	ssize_t n = read(child, got, sizeof(got));
	const size_t v = sizeof(struct virtio_net_hdr);

	if (n == -1)
		return false;
	assert_int_equal(packet_parse(&p, got + v, (size_t)n - v), 0);
	return true;
}

static void quotes_as_much_as_fits(void **state)
{
	static const struct {
		const char *from, *to;
		size_t n, len;
	} row[] = {
		{"10.0.0.1:9", "192.0.2.1:53", 0, 28 + 28},
		{"10.0.0.1:9", "192.0.2.1:53", 9000, 576},
		{"[fd00::1]:9", "[2001:db8::1]:53", 0, 48 + 48},
		{"[fd00::1]:9", "[2001:db8::1]:53", 9000, 1280},
	};
	uint8_t out[9100];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct notice_limit l = {0};
		struct packet q = datagram(out, row[i].from, row[i].to, row[i].n);

		assert_true(notice_answer(&l, &tun, &q, ECONNREFUSED, true, 0, 1));
		assert_true(next());
		assert_int_equal(p.len, row[i].len);
		assert_true(addr_equal_ip(&p.src, &q.dst));
		assert_true(addr_equal_ip(&p.dst, &q.src));
		assert_memory_equal(p.data + p.payload, q.data, p.len - p.payload);
	}
}

static void is_limited(void **state)
{
	uint8_t out[100];
	struct packet q = datagram(out, "10.0.0.1:9", "192.0.2.1:53", 1);
	struct notice_limit l = {0};
	double now = 1000;
	int sent = 0;

	(void)state;
	for (int i = 0; i < 50; i++)
		sent += notice_answer(&l, &tun, &q, EACCES, true, 0, now);
	assert_int_equal(sent, NOTICE_BURST);
	for (int i = 0; i < 50; i++)
		sent += notice_answer(&l, &tun, &q, EACCES, true, 0, now + NOTICE_EVERY_S * 1.01);
	assert_int_equal(sent, NOTICE_BURST + 1);
	for (int i = 0; i < 50; i++)
		sent += notice_answer(&l, &tun, &q, EACCES, true, 0, now + 60);
	assert_int_equal(sent, 2 * NOTICE_BURST + 1);
	while (sent--)
		assert_true(next());
	assert_false(next());
}

static void says_nothing_where_nothing_is_to_be_said(void **state)
{
	uint8_t out[100];
	struct notice_limit l = {0};
	struct packet q = datagram(out, "10.0.0.1:9", "239.1.2.3:53", 1);

	(void)state;
	assert_false(notice_answer(&l, &tun, &q, EACCES, true, 0, 1));
	q = datagram(out, "0.0.0.0:9", "192.0.2.1:53", 1);
	assert_false(notice_answer(&l, &tun, &q, EACCES, true, 0, 1));
	q = datagram(out, "10.0.0.1:9", "192.0.2.1:53", 1);
	assert_false(notice_answer(&l, &tun, &q, EMSGSIZE, true, 0, 1)); /* no MTU */
	assert_false(next());
}

static void names_who_can_be_believed(void **state)
{
	static const struct {
		const char *from, *shown;
	} row[] = {
		{"198.51.100.1", "198.51.100.1"}, /* a router */
		{"203.0.113.5", "192.0.2.1"},     /* where it was redirected to */
		{"127.0.0.1", "192.0.2.1"},
		{"0.0.0.0", "192.0.2.1"},
		{"2001:db8::1", "192.0.2.1"},
		/* A router of the host's that has an address of the namespace's own network. */
		{"10.0.0.1", "192.0.2.1"},
		{"10.0.0.254", "192.0.2.1"},
		{"10.0.1.1", "10.0.1.1"},
	};
	struct guard guard = {0};
	uint8_t out[200];
	char text[ADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(cidr_parse(&guard.inside4, "10.0.0.0/24"), 0);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct icmperr e = icmperr_from_errno(4, EHOSTUNREACH, false, 0);
		struct packet q = datagram(out, "10.0.0.1:9", "192.0.2.1:53", 1);
		struct flow f = {.key = {.src = q.src, .dst = q.dst}};
		struct addr from;

		assert_int_equal(addr_parse(&f.decision.target, "203.0.113.5:53"), 0);
		assert_int_equal(addr_parse(&from, row[i].from), 0);
		memmove(out + ICMPERR_ROOM, q.data, q.len);
		notice_pass(&tun, &guard, &f, &e, &from, out + ICMPERR_ROOM, q.len);
		assert_true(next());
		assert_string_equal(addr_format(&p.src, false, text), row[i].shown);
	}
}

int main(void)
{
#define WITH_TUN(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_TUN(quotes_as_much_as_fits),
		WITH_TUN(is_limited),
		WITH_TUN(says_nothing_where_nothing_is_to_be_said),
		WITH_TUN(names_who_can_be_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
