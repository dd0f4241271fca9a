/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>

#include "router.h"
#include "server.h"

#define CHILD4 "10.0.0.1:4000"
#define CHILD6 "[fd00::1]:4000"
#define SERVER4 "127.0.0.1:7007"
#define SERVER6 "[::1]:7007"
#define NOBODY4 "127.0.0.1:7008"
#define NOBODY6 "[::1]:7008"

static uint8_t pattern[65536];

static const struct {
	const char *child, *server, *nobody;
	size_t max;
	uint8_t unreach, refused, prohibited, host_unreach;
} family[] = {
	{CHILD4, SERVER4, NOBODY4, 65507, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, ICMP_PKT_FILTERED,
		ICMP_HOST_ANO},
	{CHILD6, SERVER6, NOBODY6, 65527, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT,
		ICMP6_DST_UNREACH_ADMIN, 6},
};

static void carries_datagrams_of_every_size_both_ways(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		const size_t size[] = {1, 0, 64, 1472, 9000, 65000, family[f].max};
		struct server *s = server_start(family[f].server);

		for (size_t i = 0; i < ARRAY_LEN(size); i++) {
			world_child_udp(family[f].child, family[f].server, pattern, size[i]);
			world_child_next();
			world_assert_from_to(family[f].server, family[f].child);
			assert_int_equal(s->len, size[i]);
			assert_memory_equal(s->bytes, pattern, size[i]);
			assert_int_equal(w.p.len - w.p.payload, size[i]);
			assert_memory_equal(w.bytes + w.p.payload, pattern, size[i]);
		}
		server_stop(s);
	}
	assert_int_equal(w.asked, 2); /* one flow each */
	assert_int_equal(w.udp.set.count, 2);
}

static void leaves_the_checksum_to_the_kernel(void **state)
{
	struct server *s;

	NEEDS_WORLD;
	s = server_start(SERVER6);
	world_child_udp(CHILD6, SERVER6, "x", 1);
	world_child_next(); /* verifies the completed sum */
	assert_int_equal(w.vh.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(w.vh.csum_start, 40);
	assert_int_equal(w.vh.csum_offset, 6);
	server_stop(s);
}

static void answers_a_refused_port_as_the_host_does(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		struct server *s;
		const uint8_t *q;

		world_child_udp(family[f].child, family[f].nobody, "hello", 5);
		world_child_next();
		q = world_assert_error(family[f].unreach, family[f].refused, family[f].child,
			family[f].nobody);
		assert_memory_equal(q + 8, "hello", 5); /* the quote has the payload, too */
		assert_true(world_idle_wakes() < 5);
		/* The flow lives on, and an old error eats no datagram. */
		world_child_udp(family[f].child, family[f].nobody, "a", 1);
		s = server_start(family[f].nobody);
		world_child_udp(family[f].child, family[f].nobody, "b", 1);
		world_until(s->received == 1);
		assert_int_equal(s->bytes[0], 'b');
		world_child_next();
		world_assert_error(family[f].unreach, family[f].refused, family[f].child,
			family[f].nobody);
		world_child_next();
		world_assert_from_to(family[f].nobody, family[f].child);
		server_stop(s);
	}
	assert_int_equal(w.asked, 2);
	assert_int_equal(w.udp.set.up, 6);
}

static void keeps_foreign_senders_out(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		struct server *s = server_start(family[f].server);
		struct server *foreign = server_start(family[f].nobody);

		s->mute = true;
		world_child_udp(family[f].child, family[f].server, "x", 1);
		world_until(s->received == 1);
		/* Where the kernel answers ECONNREFUSED for a socket connected elsewhere. */
		sendto(foreign->fd, "spoof", 5, 0, (struct sockaddr *)&s->from, s->from_len);
		assert_int_equal(
			sendto(s->fd, "true", 4, 0, (struct sockaddr *)&s->from, s->from_len), 4);
		world_child_next();
		assert_int_equal(w.p.len - w.p.payload, 4);
		assert_memory_equal(w.bytes + w.p.payload, "true", 4);
		assert_true(world_idle_wakes() < 5);
		assert_false(world_child_has());
		server_stop(s);
		server_stop(foreign);
	}
}

static void redirects_and_hides_it(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		struct server *s = server_start(family[f].server);
		const char *to = f ? "[2001:db8::9]:53" : "192.0.2.9:53";

		w.verdict = VERDICT_REDIRECT;
		w.target = family[f].server;
		world_child_udp(family[f].child, to, "x", 1);
		world_child_next();
		world_assert_from_to(to, family[f].child);
		/* Errors, too. */
		w.target = family[f].nobody;
		to = f ? "[2001:db8::9]:54" : "192.0.2.9:54";
		world_child_udp(family[f].child, to, "x", 1);
		world_child_next();
		world_assert_error(family[f].unreach, family[f].refused, family[f].child, to);
		server_stop(s);
	}
}

static void redirects_from_one_ip_version_to_the_other(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		struct server *s = server_start(family[1 - f].server);
		const char *to = f ? "[2001:db8::9]:53" : "192.0.2.9:53";

		w.verdict = VERDICT_REDIRECT;
		w.target = family[1 - f].server;
		world_child_udp(family[f].child, to, "x", 1);
		world_child_next();
		world_assert_from_to(to, family[f].child);
		w.target = family[1 - f].nobody;
		to = f ? "[2001:db8::9]:54" : "192.0.2.9:54";
		world_child_udp(family[f].child, to, "x", 1);
		world_child_next();
		world_assert_error(family[f].unreach, family[f].refused, family[f].child, to);
		server_stop(s);
	}
}

static void tells_at_once_that_there_is_no_way(void **state)
{
	NEEDS_WORLD;
	/* No route: ENETUNREACH in the child; then policy is left alone for a while. */
	for (int i = 0; i < 3; i++) {
		world_child_udp(CHILD4, "192.0.2.1:9", "x", 1);
		world_child_next();
		world_assert_error(ICMP_DEST_UNREACH, ICMP_NET_UNKNOWN, CHILD4, "192.0.2.1:9");
	}
	assert_int_equal(w.asked, 1);
	assert_int_equal(w.cause, FLOW_CAUSE_DIAL_FAILED);
	assert_int_equal(w.error, ENETUNREACH);
	world_child_udp(CHILD6, "[2001:db8::1]:9", "x", 1);
	world_child_next();
	world_assert_error(ICMP6_DST_UNREACH, 6, CHILD6, "[2001:db8::1]:9");
}

static void carries_ten_thousand_flows(void **state)
{
	struct rlimit old, limit;
	struct server *s;
	char from[32];
	const unsigned count = 10000;
	unsigned replies = 0;

	NEEDS_WORLD;
	getrlimit(RLIMIT_NOFILE, &old);
	limit = old;
	limit.rlim_cur = MIN(limit.rlim_max, count + 1000);
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < count + 1000)
		skip();
	s = server_start(SERVER4);
	w.udp.set.max = count;
	w.udp.set.idle_s = 3600; /* however slow the machine is */
	for (unsigned i = 0; i < count; i++) {
		snprintf(from, sizeof(from), "10.0.0.1:%u", 10000 + i);
		world_child_udp(from, SERVER4, &i, sizeof(i));
		while (i - replies > 100) {
			world_child_next();
			replies++;
		}
	}
	while (replies < count) {
		unsigned i;

		world_child_next();
		memcpy(&i, w.bytes + w.p.payload, sizeof(i));
		assert_int_equal(w.p.dst.port, 10000 + i);
		replies++;
	}
	assert_int_equal(w.udp.set.count, count);
	assert_int_equal(w.udp.set.evicted, 0);
	server_stop(s);
	udp_fini(&w.udp);
	assert_int_equal(w.closed, count);
	setrlimit(RLIMIT_NOFILE, &old);
}

static void passes_on_what_routers_say(void **state)
{
	pid_t router;
	char text[ADDR_TEXT_MAX];

	NEEDS_WORLD;
	if (geteuid() != 0)
		skip();
	router = world_router();
	/* Prohibited: not by the destination, but by the router. */
	world_child_udp(CHILD4, "203.0.113.65:9", "x", 1);
	world_child_next();
	world_assert_error(ICMP_DEST_UNREACH, ICMP_PKT_FILTERED, CHILD4, "203.0.113.65:9");
	assert_string_equal(addr_format(&w.p.src, true, text), "198.51.100.1");
	world_child_udp(CHILD6, "[2001:db8:2:1::5]:9", "x", 1);
	world_child_next();
	world_assert_error(ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADMIN, CHILD6,
		"[2001:db8:2:1::5]:9");
	assert_string_equal(addr_format(&w.p.src, true, text), "2001:db8:1::1");
	/* Too long for a link behind it. */
	world_child_udp(CHILD4, "203.0.113.129:9", pattern, 1400);
	world_child_next();
	world_assert_error(ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, CHILD4, "203.0.113.129:9");
	assert_int_equal(packet_get32(w.bytes + w.p.l4 + 4), 1280);
	world_child_udp(CHILD6, "[2001:db8:2:2::5]:9", pattern, 1400);
	world_child_next();
	world_assert_error(ICMP6_PACKET_TOO_BIG, 0, CHILD6, "[2001:db8:2:2::5]:9");
	assert_int_equal(packet_get32(w.bytes + w.p.l4 + 4), 1280);
	/* Later ones are fragmented by the host, and none is lost to an old error. */
	world_child_udp(CHILD4, "203.0.113.129:9", pattern, 1400);
	assert_true(world_idle_wakes() < 5);
	assert_false(world_child_has());
	world_router_end(router);
}

static void sends_with_the_childs_ttl(void **state)
{
	struct addr src = world_addr(CHILD4), dst = world_addr("203.0.113.1:33434");
	char text[ADDR_TEXT_MAX];
	pid_t router;
	struct buf *b;

	NEEDS_WORLD;
	if (geteuid() != 0)
		skip();
	router = world_router();
	for (uint8_t ttl = 1; ttl <= 2; ttl++) {
		if (ttl == 1) /* not the router's own */
			dst.ip[3] = 130;
		b = buf_get();
		memcpy(b->data + 28, "x", 1);
		craft_udp(b->data + 28, 1, &src, &dst);
		b->data[8] = ttl;
		world_child_packet(b, 29);
		world_child_next();
		assert_string_equal(addr_format(&w.p.src, true, text),
			ttl == 1 ? "198.51.100.1" : "203.0.113.1");
		assert_int_equal(w.p.icmp_type, ttl == 1 ? ICMP_TIME_EXCEEDED : ICMP_DEST_UNREACH);
		dst.ip[3] = 1;
	}
	world_router_end(router);
}

/* Sends datagrams of these sizes in one batch of the tun; each begins with its number. */
static void child_sends_batch(size_t f, const size_t *size, uint8_t count)
{
	uint8_t bytes[2000];

	w.in_batch = true;
	for (uint8_t i = 0; i < count; i++) {
		memset(bytes, i, size[i]);
		world_child_udp(family[f].child, family[f].server, bytes, size[i]);
	}
	w.in_batch = false;
	udp_flush(&w.udp);
}

static void bundles_without_a_trace(void **state)
{
	static const size_t size[] = {100, 100, 100, 100, 100, 60, 100, 100, 0, 0, 100, 1, 1, 1,
		200, 200, 200, 300, 200, 1472, 1472, 1472, 1};

	NEEDS_WORLD;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		struct server *s = server_start(family[f].server);

		child_sends_batch(f, size, ARRAY_LEN(size));
		while (s->received < ARRAY_LEN(size)) /* all are there before one is read */
			server_on_readable(w.loop, &s->io, EV_READ);
		for (uint8_t i = 0; i < ARRAY_LEN(size); i++) {
			world_child_next();
			world_assert_from_to(family[f].server, family[f].child);
			assert_int_equal(w.p.len - w.p.payload, size[i]);
			for (size_t k = 0; k < size[i]; k++)
				assert_int_equal(w.bytes[w.p.payload + k], i);
		}
		assert_int_equal(s->received, ARRAY_LEN(size));
		server_stop(s);
	}
	assert_true(w.bundles > 2); /* it was tried */
	assert_int_equal(w.udp.set.up, 2 * ARRAY_LEN(size));
	assert_int_equal(w.udp.set.down, 2 * ARRAY_LEN(size));
	udp_fini(&w.udp);
	assert_int_equal(w.up, w.down);
}

static void bundles_of_two_flows_do_not_mix(void **state)
{
	struct server *s;

	NEEDS_WORLD;
	s = server_start(SERVER4);
	w.in_batch = true;
	for (uint8_t i = 0; i < 20; i++)
		world_child_udp(i % 3 ? "10.0.0.1:1" : "10.0.0.1:2", SERVER4, &i, 1);
	w.in_batch = false;
	udp_flush(&w.udp);
	for (uint8_t i = 0, last[2] = {0}; i < 20; i++) {
		uint8_t n, *before = &last[0];

		world_child_next();
		n = w.bytes[w.p.payload];
		before = &last[w.p.dst.port - 1];
		assert_int_equal(w.p.dst.port, n % 3 ? 1 : 2);
		assert_true(n >= *before); /* in order */
		*before = n;
	}
	server_stop(s);
}

static void a_bundle_that_cannot_go_goes_piece_by_piece(void **state)
{
	static const size_t size[] = {1200, 1200, 1200, 1200};
	struct server *s;

	NEEDS_WORLD;
	/* Nobody there: the error of the first must not eat the others. */
	child_sends_batch(0, size, 4);
	s = server_start(SERVER4);
	child_sends_batch(0, size, 4);
	world_until(s->received == 4);
	while (world_child_has())
		world_child_read();
	server_stop(s);
	/* A path that the segments do not fit: fragments, as for any datagram. */
	world_run("ip link set lo mtu 1000");
	s = server_start(SERVER4);
	child_sends_batch(0, size, 4);
	world_until(s->received == 4);
	assert_int_equal(s->len, 1200);
	world_run("ip link set lo mtu 65536");
	server_stop(s);
}

static void takes_apart_what_the_kernel_put_together(void **state)
{
	struct iovec iov = {.iov_base = pattern, .iov_len = 1000};
	uint8_t control[CMSG_SPACE(2)] __attribute__((aligned(8))) = {0};
	const uint16_t segment = 300;

	NEEDS_WORLD;
	for (int hooked = 0; hooked < 2; hooked++) {
		struct server *s = server_start(SERVER4);
		struct msghdr m = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
			.msg_name = &s->from};
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);

		c->cmsg_level = IPPROTO_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(2);
		memcpy(CMSG_DATA(c), &segment, 2);
		s->mute = true;
		w.udp.tun_bundles = !hooked; /* with an old kernel inside, too */
		world_child_udp(CHILD4, SERVER4, "x", 1);
		world_until(s->received == 1);
		m.msg_namelen = s->from_len;
		assert_int_equal(sendmsg(s->fd, &m, 0), 1000);
		for (size_t at = 0; at < 1000; at += 300) {
			size_t n = MIN((size_t)300, 1000 - at);

			world_child_next();
			assert_int_equal(w.p.len - w.p.payload, n);
			assert_memory_equal(w.bytes + w.p.payload, pattern + at, n);
		}
		assert_false(world_child_has());
		assert_int_equal(w.bundles, 1);
		server_stop(s);
	}
}

int main(void)
{
#define IN_WORLD(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		IN_WORLD(carries_datagrams_of_every_size_both_ways),
		IN_WORLD(leaves_the_checksum_to_the_kernel),
		IN_WORLD(answers_a_refused_port_as_the_host_does),
		IN_WORLD(keeps_foreign_senders_out),
		IN_WORLD(redirects_and_hides_it),
		IN_WORLD(redirects_from_one_ip_version_to_the_other),
		IN_WORLD(tells_at_once_that_there_is_no_way),
		IN_WORLD(carries_ten_thousand_flows),
		IN_WORLD(bundles_without_a_trace),
		IN_WORLD(bundles_of_two_flows_do_not_mix),
		IN_WORLD(a_bundle_that_cannot_go_goes_piece_by_piece),
		IN_WORLD(takes_apart_what_the_kernel_put_together),
		IN_WORLD(passes_on_what_routers_say),
		IN_WORLD(sends_with_the_childs_ttl),
	};

	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 7 + (i >> 8));
	return cmocka_run_group_tests(tests, world_enter, NULL);
}
