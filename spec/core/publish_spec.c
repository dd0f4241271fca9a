/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plane.h"

#include "core/publish.h"

static struct visits visits;
static struct publish publish;
static char why[PUBLISH_WHY_MAX];

static int up(void **state)
{
	int rc = plane_setup(state);

	if (rc || world_missing)
		return rc;
	visits_init(&visits, w.loop, &w.tun, &w.flows, &w.policy);
	publish = (struct publish){
		.loop = w.loop,
		.conns = &plane.conns,
		.visits = &visits,
		.self4 = world_addr("10.0.0.1"),
		.self6 = world_addr("fd00::1"),
		.alias4 = world_addr("10.0.0.100"),
		.alias6 = world_addr("fd00::100"),
	};
	publish_init(&publish);
	w.policy.default_deny = true; /* what is published is open all the same */
	w.verdict = VERDICT_NONE;
	return 0;
}

static int down(void **state)
{
	if (!world_missing) {
		publish_fini(&publish);
		visits_fini(&visits);
		assert_int_equal(visits.count, 0);
	}
	return plane_teardown(state);
}

static void reads_what_is_meant(void **state)
{
	static const struct {
		const char *text, *at, *path;
		unsigned port;
		bool udp;
	} good[] = {
		{"8080:80", "127.0.0.1:8080", "", 80, false},
		{"8080", "127.0.0.1:8080", "", 8080, false},
		{"8080/udp", "127.0.0.1:8080", "", 8080, true},
		{"8080:80/tcp", "127.0.0.1:8080", "", 80, false},
		{"8080:80/udp", "127.0.0.1:8080", "", 80, true},
		{"0.0.0.0:1:65535", "0.0.0.0:1", "", 65535, false},
		{"192.0.2.1:53:5353/udp", "192.0.2.1:53", "", 5353, true},
		{"[::]:8080:80", "[::]:8080", "", 80, false},
		{"[2001:db8::1]:8080:80/udp", "[2001:db8::1]:8080", "", 80, true},
		{"/run/x.sock:80", NULL, "/run/x.sock", 80, false},
		{"/run/a:b:80/tcp", NULL, "/run/a:b", 80, false},
	};
	static const char *const bad[] = {"", ":", "80:", ":80", "0:80", "80:0", "65536:80",
		"80:65536", "x:80", "80:x", "80:80:80", "1.2.3:80:80", "1.2.3.4:80", "::1:80:80",
		"[::1]:80", "[::1%lo]:80:80", "80:80/sctp", "80:80/", "/udp", "-1:80", "+1:80",
		"80: 80", " 80:80", "80:80 ", "/run/x.sock", "/run/x.sock:80/udp", "./x.sock:80",
		"localhost:80:80", "000080:80"};
	struct publish_spec s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		char text[ADDR_TEXT_MAX];

		assert_int_equal(publish_parse(&s, good[i].text), 0);
		assert_int_equal(s.port, good[i].port);
		assert_int_equal(s.udp, good[i].udp);
		assert_string_equal(s.path, good[i].path);
		assert_int_equal(!s.at.v, !good[i].at);
		if (good[i].at)
			assert_string_equal(addr_format(&s.at, true, text), good[i].at);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (publish_parse(&s, bad[i]) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
}

static const char *const at[] = {"127.0.0.1:%u:80", "[::1]:%u:80"};
static const char *const self[] = {"10.0.0.1:80", "[fd00::1]:80"};
static const char *const alias[] = {"10.0.0.100", "fd00::100"};

/* Publishes port 80 of the child at a free port of family @f; its number. */
static uint16_t open_port(size_t f, bool named)
{
	static uint16_t port = 20000;
	char text[64];

	snprintf(text, sizeof(text), at[f], ++port);
	assert_int_equal(publish_add(&publish, text, named, why), 0);
	return port;
}

/* A socket that has called there, and its own port. */
static int call(size_t f, uint16_t port, uint16_t *own)
{
	struct addr to = world_addr(f ? "::1" : "127.0.0.1"), from;
	struct sockaddr_storage ss;
	socklen_t len;
	int fd;

	to.port = port;
	len = addr_to_sockaddr(&to, &ss);
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
	len = sizeof(ss);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(&from, &ss), 0);
	*own = from.port;
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

/* The SYN that comes to the child; the talk in which it answers. */
static struct talk called(size_t f, uint16_t own)
{
	struct addr peer = world_addr(alias[f]);
	struct talk t;

	peer.port = own;
	t = talk_new(self[f], &peer);
	world_until(world_child_has());
	talk_expect(&t, SYN);
	return t;
}

static void joins_a_caller_and_the_child(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < 2; f++) {
		uint16_t own;
		int fd = call(f, open_port(f, true), &own);
		struct talk t = called(f, own);

		assert_int_equal(w.last->inbound, true);
		assert_int_equal(w.last->state, FLOW_STATE_DIALING);
		assert_int_equal(write(fd, "early", 5), 5);
		settle();
		segment_none(); /* nothing before the handshake */
		talk_send(&t, SYN | ACK, NULL, 0);
		segment_next();
		assert_int_equal(got.flags & (SYN | ACK), ACK);
		talk_get(&t, "early", 5);
		assert_int_equal(w.last->state, FLOW_STATE_OPEN);
		talk_send(&t, ACK, "answer", 6);
		plane_read(fd, "answer", 6);
		talk_send(&t, RST, NULL, 0);
		plane_read_end(fd, ECONNRESET);
		close(fd);
		while (world_child_has())
			world_child_read();
	}
	assert_int_equal(w.asked, 2);
}

static void resets_who_is_refused_inside(void **state)
{
	NEEDS_WORLD;
	for (size_t f = 0; f < 2; f++) {
		uint16_t own;
		int fd = call(f, open_port(f, true), &own);
		struct talk t = called(f, own);

		talk_send(&t, RST | ACK, NULL, 0);
		plane_read_end(fd, ECONNRESET);
		assert_int_equal(w.cause, FLOW_CAUSE_DIAL_FAILED);
		assert_int_equal(w.error, ECONNREFUSED);
		close(fd);
	}
}

static void resets_who_is_denied(void **state)
{
	static const enum verdict no[] = {VERDICT_DENY, VERDICT_DROP, VERDICT_REDIRECT};

	NEEDS_WORLD;
	w.target = "192.0.2.1:80";
	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		uint16_t own;
		int fd;

		w.verdict = no[i];
		fd = call(i % 2, open_port(i % 2, true), &own);
		plane_read_end(fd, ECONNRESET);
		assert_int_equal(w.cause, FLOW_CAUSE_DENIED);
		segment_none();
		close(fd);
	}
}

static void follows_the_default_where_nobody_named_the_port(void **state)
{
	uint16_t own;
	int fd;

	NEEDS_WORLD;
	fd = call(0, open_port(0, false), &own);
	plane_read_end(fd, ECONNRESET);
	close(fd);
	w.policy.default_deny = false;
	fd = call(0, open_port(0, false), &own);
	called(0, own);
	close(fd);
}

static void waits_for_policy(void **state)
{
	struct decision d = {0};
	struct talk t;
	uint16_t own;
	int fd;

	NEEDS_WORLD;
	w.verdict = VERDICT_PENDING;
	fd = call(0, open_port(0, true), &own);
	world_until(w.asked == 1);
	settle();
	segment_none();
	policy_answer(&w.policy, w.last, VERDICT_VIA, &d); /* there is nothing to dial */
	t = called(0, own);
	talk_send(&t, RST | ACK, NULL, 0);
	plane_read_end(fd, ECONNRESET);
	close(fd);

	fd = call(0, open_port(0, true), &own);
	world_until(w.asked == 2);
	w.last->ops->abort(w.last, FLOW_CAUSE_ABORTED);
	plane_read_end(fd, ECONNRESET);
	assert_int_equal(w.cancelled, 1);
	close(fd);
}

static void calls_again_if_the_child_is_slow_to_answer(void **state)
{
	uint16_t own;
	int fd;

	NEEDS_WORLD;
	fd = call(0, open_port(0, true), &own);
	called(0, own);
	segment_none();
	stack_tick(40);
	called(0, own);
	close(fd);
}

static void shows_callers_apart(void **state)
{
	struct flow_key taken = {.src = world_addr(self[0]), .proto = IPPROTO_TCP};
	struct flow f = {.ops = &conn_flow_ops};
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
	socklen_t len = sizeof(sin);
	uint16_t port;
	int fd;

	NEEDS_WORLD;
	port = open_port(0, true);
	/* The port that the caller will have is taken at the alias. */
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	taken.dst = world_addr(alias[0]);
	taken.dst.port = ntohs(sin.sin_port);
	flow_add(&w.flows, &f, &taken, 0);
	sin.sin_port = htons(port);
	assert_int_equal(connect(fd, (struct sockaddr *)&sin, len), 0);
	world_until(world_child_has());
	segment_next();
	assert_true(addr_equal_ip(&w.p.src, &taken.dst));
	assert_true(w.p.src.port >= 32768 && w.p.src.port != taken.dst.port);
	flow_remove(&f);
	close(fd);
}

static void says_why_it_cannot(void **state)
{
	char text[64];

	NEEDS_WORLD;
	assert_int_equal(publish_add(&publish, "x", true, why), -EINVAL);
	assert_non_null(strstr(why, "'x' names no port"));
	assert_int_equal(publish_add(&publish, "./my.sock:80", true, why), -EINVAL);
	assert_non_null(strstr(why, "'./my.sock:80' is a relative path: give the whole one"));
	assert_int_equal(publish_add(&publish, "x/udp", true, why), -EINVAL);
	assert_non_null(strstr(why, "'x/udp' names no port"));
	snprintf(text, sizeof(text), at[0], open_port(0, true));
	assert_int_equal(publish_add(&publish, text, true, why), -EEXIST);
	text[strlen(text) - 1] = '1';
	assert_int_equal(publish_add(&publish, text, true, why), -EADDRINUSE);
	assert_non_null(strstr(why, "somebody listens there"));
	assert_int_equal(publish_add(&publish, "192.0.2.77:99:80", true, why), -EADDRNOTAVAIL);
	assert_int_equal(publish_add(&publish, "/nonexistent/x:80", true, why), -ENOENT);
	assert_int_equal(publish_remove(&publish, text), -ENOENT);
	text[strlen(text) - 1] = '0';
	assert_int_equal(publish_remove(&publish, text), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(reads_what_is_meant),
#define IT(name) cmocka_unit_test_setup_teardown(name, up, down)
	IT(joins_a_caller_and_the_child),
	IT(resets_who_is_refused_inside),
	IT(resets_who_is_denied),
	IT(follows_the_default_where_nobody_named_the_port),
	IT(waits_for_policy),
	IT(calls_again_if_the_child_is_slow_to_answer),
	IT(shows_callers_apart),
	IT(says_why_it_cannot),
};

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, world_enter, NULL);
}
