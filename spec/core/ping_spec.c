/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#include "router.h"

#define ID 0x4242

static uint8_t pattern[65536];

static const struct {
	const char *child, *here, *elsewhere;
	size_t max;
	uint8_t request, reply, unreach, prohibited, exceeded;
} family[] = {
	{"10.0.0.1", "127.0.0.1", "192.0.2.9", 65535 - 28, ICMP_ECHO, ICMP_ECHOREPLY,
		ICMP_DEST_UNREACH, ICMP_PKT_FILTERED, ICMP_TIME_EXCEEDED},
	{"fd00::1", "::1", "2001:db8::9", 65535 - 8, ICMP6_ECHO_REQUEST, ICMP6_ECHO_REPLY,
		ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADMIN, ICMP6_TIME_EXCEEDED},
};

/* The last packet to the child is the reply to (@id, @seq). */
static void assert_reply(size_t f, const char *from, uint16_t id, uint16_t seq, size_t n)
{
	char text[ADDR_TEXT_MAX];

	assert_int_equal(w.p.icmp_type, family[f].reply);
	assert_int_equal(w.p.icmp_code, 0);
	assert_string_equal(addr_format(&w.p.src, false, text), from);
	assert_string_equal(addr_format(&w.p.dst, false, text), family[f].child);
	assert_int_equal(w.p.dst.port, id);
	assert_int_equal(packet_get16(w.bytes + w.p.l4 + 6), seq);
	assert_int_equal(w.p.len - w.p.payload, n);
	assert_memory_equal(w.bytes + w.p.payload, pattern, n);
}

static void knows_requests(void **state)
{
	struct packet p = {.proto = IPPROTO_ICMP, .icmp_type = ICMP_ECHO};

	(void)state;
	assert_true(ping_is_request(&p));
	p.icmp_code = 1;
	assert_false(ping_is_request(&p));
	p.icmp_code = 0;
	p.fragment = true;
	assert_false(ping_is_request(&p));
	p.fragment = false;
	p.icmp_type = ICMP_ECHOREPLY;
	assert_false(ping_is_request(&p));
	p.proto = IPPROTO_ICMPV6;
	p.icmp_type = ICMP6_ECHO_REQUEST;
	assert_true(ping_is_request(&p));
	p.icmp_type = ICMP_ECHO;
	assert_false(ping_is_request(&p));
	p.proto = IPPROTO_UDP;
	p.icmp_type = 0;
	assert_false(ping_is_request(&p));
}

static void brings_replies_back(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		const size_t size[] = {0, 1, 56, 1472, 9000, family[f].max};
		uint16_t seq = 0;

		for (size_t i = 0; i < ARRAY_LEN(size); i++, seq++) {
			world_child_ping(family[f].child, family[f].here, ID, seq, pattern, size[i],
				64);
			world_child_next();
			assert_reply(f, family[f].here, ID, seq, size[i]);
			assert_int_equal(w.p.ttl, 64); /* the loopback's */
		}
		/* Another identifier is another flow, and gets its own replies. */
		world_child_ping(family[f].child, family[f].here, 1, 7, pattern, 8, 64);
		world_child_ping(family[f].child, family[f].here, ID, 8, pattern, 8, 64);
		for (int i = 0; i < 2; i++) {
			world_child_next();
			if (w.p.dst.port == 1)
				assert_reply(f, family[f].here, 1, 7, 8);
			else
				assert_reply(f, family[f].here, ID, 8, 8);
		}
	}
	assert_int_equal(w.asked, 4);
	assert_true(world_idle_wakes() < 5);
}

static void counts_payload(void **state)
{
	NEEDS_WORLD;
	world_child_ping(family[0].child, family[0].here, ID, 1, pattern, 56, 64);
	world_child_next();
	ping_fini(&w.ping);
	assert_int_equal(w.up, 56);
	assert_int_equal(w.down, 56);
	assert_int_equal(w.cause, FLOW_CAUSE_LEFT_OPEN);
}

static void drops_replies_of_strangers(void **state)
{
	struct sockaddr_in to = {.sin_family = AF_INET}, at = {.sin_family = AF_INET};
	uint8_t m[16] = {ICMP_ECHOREPLY};
	struct sockaddr_in own;
	socklen_t len = sizeof(own);
	struct assoc *a;
	uint16_t sum;
	int raw;

	NEEDS_WORLD;
	world_child_ping(family[0].child, family[0].here, ID, 1, pattern, 8, 64);
	world_child_next();
	a = container_of(expiry_first(&w.ping.set.active), struct assoc, expiry);
	/* The identifier on the wire is the socket's port. */
	assert_int_equal(getsockname(a->dgram.fd, (struct sockaddr *)&own, &len), 0);
	memcpy(m + 4, &own.sin_port, 2);
	sum = packet_sum_fold(packet_sum(m, sizeof(m), 0));
	memcpy(m + 2, &sum, 2);
	raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	assert_true(raw >= 0);
	at.sin_addr.s_addr = htonl(0x7f000002);
	to.sin_addr.s_addr = htonl(0x7f000001);
	assert_int_equal(bind(raw, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(sendto(raw, m, sizeof(m), 0, (struct sockaddr *)&to, sizeof(to)), 16);
	world_until(w.ping.set.rx.foreign == 1);
	assert_false(world_child_has());
	close(raw);
}

static void refuses_visibly_what_policy_denies(void **state)
{
	NEEDS_WORLD;
	w.verdict = VERDICT_DENY;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		const uint8_t *q;

		world_child_ping(family[f].child, family[f].here, ID, 3, pattern, 8, 64);
		world_child_next();
		q = world_assert_error(family[f].unreach, family[f].prohibited, family[f].child,
			family[f].here);
		assert_int_equal(q[0], family[f].request);
		assert_int_equal(packet_get16(q + 4), ID);
		assert_int_equal(packet_get16(q + 6), 3);
	}
}

static void is_dropped_by_default_deny_unless_named(void **state)
{
	NEEDS_WORLD;
	w.policy.default_deny = true;
	w.verdict = VERDICT_NONE;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		world_child_ping(family[f].child, family[f].here, ID, 1, pattern, 8, 64);
		assert_int_equal(w.cause, FLOW_CAUSE_DENIED);
	}
	assert_false(world_child_has());
}

static void refuses_visibly_what_the_host_forbids(void **state)
{
	int before;

	NEEDS_WORLD;
	/* A new namespace has the kernel's default, which is nobody. */
	before = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	log_set_level(LOG_LEVEL_ERROR);
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		world_child_ping(family[f].child, family[f].here, ID, 1, pattern, 8, 64);
		world_child_next();
		world_assert_error(family[f].unreach, family[f].prohibited, family[f].child,
			family[f].here);
		assert_int_equal(w.cause, FLOW_CAUSE_DIAL_FAILED);
		assert_int_equal(w.error, EACCES);
	}
	log_set_level(LOG_LEVEL_WARN);
	assert_int_equal(setns(before, CLONE_NEWNET), 0);
	close(before);
}

static void tells_at_once_that_there_is_no_way(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		world_child_ping(family[f].child, family[f].elsewhere, ID, 1, pattern, 8, 64);
		world_child_next();
		/* The plain code: ping shows it, and needs no open one. */
		world_assert_error(family[f].unreach, 0, family[f].child, family[f].elsewhere);
	}
}

static void redirects_and_hides_it(void **state)
{
	NEEDS_WORLD;
	w.verdict = VERDICT_REDIRECT;
	for (size_t f = 0; f < ARRAY_LEN(family); f++) {
		w.target = family[f].here;
		world_child_ping(family[f].child, family[f].elsewhere, ID, 5, pattern, 8, 64);
		world_child_next();
		assert_reply(f, family[f].elsewhere, ID, 5, 8);
		/* To the other IP version. */
		w.target = family[1 - f].here;
		world_child_ping(family[f].child, family[f].elsewhere, 9, 6, pattern, 8, 64);
		world_child_next();
		assert_reply(f, family[f].elsewhere, 9, 6, 8);
	}
}

static void traces_routes(void **state)
{
	static const struct {
		const char *far, *router, *closed;
	} row[] = {
		{"203.0.113.130", "198.51.100.1", "203.0.113.66"},
		{"2001:db8:2:2::9", "2001:db8:1::1", "2001:db8:2:1::9"},
	};
	char text[ADDR_TEXT_MAX];
	const uint8_t *q;
	pid_t router;

	NEEDS_WORLD;
	router = world_router();
	for (size_t f = 0; f < ARRAY_LEN(row); f++) {
		/* First: a Linux router says this only once per second. */
		world_child_ping(family[f].child, row[f].closed, ID, 78, pattern, 32, 9);
		world_child_next();
		world_assert_error(family[f].unreach, family[f].prohibited, family[f].child,
			row[f].closed);
		assert_string_equal(addr_format(&w.p.src, false, text), row[f].router);
		/* An error is no end, and the next request has its own TTL. */
		world_child_ping(family[f].child, row[f].far, ID, 77, pattern, 32, 1);
		world_child_next();
		q = world_assert_error(family[f].exceeded, 0, family[f].child, row[f].far);
		assert_string_equal(addr_format(&w.p.src, false, text), row[f].router);
		assert_int_equal(q[0], family[f].request);
		assert_int_equal(packet_get16(q + 4), ID);
		assert_int_equal(packet_get16(q + 6), 77);
		/* The TTL of the reply is the network's. */
		world_child_ping(family[f].child, row[f].router, ID, 79, pattern, 32, 9);
		world_child_next();
		assert_reply(f, row[f].router, ID, 79, 32);
	}
	assert_true(world_idle_wakes() < 5);
	world_router_end(router);
}

static void ends_what_is_idle_and_makes_room(void **state)
{
	NEEDS_WORLD;
	w.ping.set.max = 2;
	for (uint16_t id = 1; id <= 3; id++)
		world_child_ping(family[0].child, family[0].here, id, 1, pattern, 8, 64);
	assert_int_equal(w.cause, FLOW_CAUSE_EVICTED);
	assert_int_equal(w.ping.set.count, 2);
	ping_fini(&w.ping);
	ping_init(&w.ping, w.loop, &w.tun, &w.flows, &w.policy);
	w.ping.set.idle_s = 0.02;
	world_child_ping(family[0].child, family[0].here, ID, 1, pattern, 8, 64);
	world_until(w.closed == 4);
	assert_int_equal(w.cause, FLOW_CAUSE_IDLE);
}

int main(void)
{
#define IN_WORLD(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_requests),
		IN_WORLD(brings_replies_back),
		IN_WORLD(counts_payload),
		IN_WORLD(drops_replies_of_strangers),
		IN_WORLD(refuses_visibly_what_policy_denies),
		IN_WORLD(is_dropped_by_default_deny_unless_named),
		IN_WORLD(refuses_visibly_what_the_host_forbids),
		IN_WORLD(tells_at_once_that_there_is_no_way),
		IN_WORLD(redirects_and_hides_it),
		IN_WORLD(traces_routes),
		IN_WORLD(ends_what_is_idle_and_makes_room),
	};

	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 5 + (i >> 8));
	return cmocka_run_group_tests(tests, world_enter, NULL);
}
