/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plane.h"

#include "core/forward.h"

static struct forwards forwards;
static char why[FORWARD_WHY_MAX];

static int setup(void **state)
{
	int rc = plane_setup(state);

	if (rc || world_missing)
		return rc;
	forwards = (struct forwards){
		.loop = w.loop,
		.flows = &w.flows,
		.policy = &w.policy,
		.max = 3,
	};
	w.policy.default_deny = true; /* what is named is open all the same */
	w.verdict = VERDICT_NONE;
	return 0;
}

static int teardown(void **state)
{
	if (!world_missing) {
		forwards_stop(&forwards);
		assert_int_equal(forwards.count, 0);
	}
	return plane_teardown(state);
}

static void reads_what_is_meant(void **state)
{
	static const struct {
		const char *text, *to;
		uint16_t port;
	} good[] = {
		{"80", NULL, 80},
		{"65535", NULL, 65535},
		{"80:8080", NULL, 80},
		{"80:192.0.2.1:8080", "192.0.2.1:8080", 80},
		{"80:[2001:db8::1]:8080", "[2001:db8::1]:8080", 80},
	};
	static const char *const bad[] = {"", ":", "0", "65536", "-1", "+1", "x", "80:", "80:x",
		"80:0", "80:65536", ":80", "80:80:80", "80:192.0.2.1", "80:192.0.2.1:", "80:[::1]",
		"80:192.0.2.1:0", "80:localhost:80", "80:::1:80", "80:[::1%lo]:80", " 80", "80 ",
		"/x:80"};
	struct forward_spec s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		char text[ADDR_TEXT_MAX];

		assert_int_equal(forward_parse(&s, good[i].text), 0);
		assert_int_equal(s.port, good[i].port);
		assert_int_equal(!s.to.v, !good[i].to);
		if (good[i].to)
			assert_string_equal(addr_format(&s.to, true, text), good[i].to);
	}
	assert_int_equal(forward_parse(&s, "80:8080"), 0);
	assert_int_equal(s.to.port, 8080);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (forward_parse(&s, bad[i]) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
}

static void says_what_is_wrong(void **state)
{
	char text[16];

	NEEDS_WORLD;
	assert_int_equal(forwards_add(&forwards, "x", why), -EINVAL);
	assert_non_null(strstr(why, "'x' names no port"));
	for (unsigned i = 1; i <= FORWARD_PORTS; i++) {
		snprintf(text, sizeof(text), "%u", i);
		assert_int_equal(forwards_add(&forwards, text, why), 0);
	}
	assert_int_equal(forwards_add(&forwards, "99", why), -EINVAL);
	assert_non_null(strstr(why, "31 of them"));
	forwards.spec_count = 1;
	assert_int_equal(forwards_add(&forwards, "1:80", why), -EEXIST);
	assert_non_null(strstr(why, "port 1 leads to the host already"));
	assert_int_equal(forwards_start(&forwards, NULL, 0), -ENOENT); /* the shim is another's */
}

/* A port of the namespace that leads to @to; what its clients call is in *@at. */
static void open_port(const struct addr *to, struct addr *at)
{
	int listener = plane_listen(4, at);
	char text[80], address[ADDR_TEXT_MAX];

	snprintf(text, sizeof(text), "%u:%s", at->port, addr_format(to, true, address));
	assert_int_equal(forwards_add(&forwards, text, why), 0);
	assert_int_equal(forwards_start(&forwards, &listener, 1), 0);
}

static int call(const struct addr *to)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(to, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static void joins_a_client_and_the_host(void **state)
{
	struct addr host, at;
	int server, fd, peer;
	uint64_t progress = 0;

	NEEDS_WORLD;
	server = plane_listen(4, &host);
	open_port(&host, &at);
	fd = call(&at);
	assert_int_equal(forwards_undelivered(&forwards, &progress), 1); /* not accepted yet */
	peer = plane_accept(server);
	world_until(w.last && w.last->state == FLOW_STATE_OPEN);
	assert_true(addr_equal(&w.last->key.dst, &at));
	assert_false(w.last->inbound);
	assert_int_equal(write(fd, "question", 8), 8);
	assert_int_equal(forwards_undelivered(&forwards, &progress), 1);
	plane_read(peer, "question", 8);
	assert_int_equal(write(peer, "answer", 6), 6);
	plane_read(fd, "answer", 6);
	assert_int_equal(forwards_undelivered(&forwards, &progress), 0);
	assert_int_equal(progress, 14);
	w.last->ops->abort(w.last, FLOW_CAUSE_ABORTED);
	plane_read_end(fd, ECONNRESET);
	plane_read_end(peer, ECONNRESET);
	assert_int_equal(forwards.count, 0);
	close(fd);
	close(peer);
	close(server);
}

static void resets_who_is_denied(void **state)
{
	static const enum verdict no[] = {VERDICT_DENY, VERDICT_DROP};
	struct addr host, at;
	int server;

	NEEDS_WORLD;
	server = plane_listen(4, &host);
	open_port(&host, &at);
	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		int fd;

		w.verdict = no[i];
		fd = call(&at);
		plane_read_end(fd, ECONNRESET);
		assert_int_equal(w.cause, FLOW_CAUSE_DENIED);
		close(fd);
	}
	assert_int_equal(accept(server, NULL, NULL), -1);
	close(server);
}

static void goes_where_a_rule_sends_it(void **state)
{
	struct addr host, other, at;
	char text[ADDR_TEXT_MAX];
	int server, elsewhere, fd, peer;

	NEEDS_WORLD;
	server = plane_listen(4, &host);
	elsewhere = plane_listen(6, &other);
	open_port(&host, &at);
	w.verdict = VERDICT_REDIRECT;
	w.target = addr_format(&other, true, text);
	fd = call(&at);
	peer = plane_accept(elsewhere);
	assert_int_equal(accept(server, NULL, NULL), -1);
	close(peer);
	close(fd);
	close(elsewhere);
	close(server);
}

/* What a rule asks for is never left out. */
static void resets_what_it_cannot_do(void **state)
{
	struct addr host, at;
	int server, fd;

	NEEDS_WORLD;
	server = plane_listen(4, &host);
	open_port(&host, &at);
	plane.data = true;
	fd = call(&at);
	plane_read_end(fd, ECONNRESET);
	close(fd);
	plane.data = false;
	plane.shape = shape_new();
	assert_non_null(plane.shape);
	fd = call(&at);
	plane_read_end(fd, ECONNRESET);
	assert_int_equal(w.cause, FLOW_CAUSE_DENIED);
	assert_int_equal(accept(server, NULL, NULL), -1);
	close(fd);
	close(server);
}

static void waits_for_policy(void **state)
{
	struct decision d = {0};
	struct addr host, at;
	int server, fd, peer;

	NEEDS_WORLD;
	server = plane_listen(4, &host);
	open_port(&host, &at);
	w.verdict = VERDICT_PENDING;
	fd = call(&at);
	world_until(w.asked == 1);
	settle();
	assert_int_equal(accept(server, NULL, NULL), -1);
	policy_answer(&w.policy, w.last, VERDICT_VIA, &d); /* no dialer is asked */
	peer = plane_accept(server);
	close(fd);
	plane_read_end(peer, 0);
	close(peer);

	fd = call(&at);
	world_until(w.asked == 2);
	w.last->ops->abort(w.last, FLOW_CAUSE_ABORTED);
	plane_read_end(fd, ECONNRESET);
	assert_int_equal(w.cancelled, 1);
	close(fd);
	close(server);
}

static void resets_who_is_refused_by_the_host(void **state)
{
	struct addr host, at;
	int server, fd;

	NEEDS_WORLD;
	server = plane_listen(4, &host);
	close(server);
	open_port(&host, &at);
	fd = call(&at);
	plane_read_end(fd, ECONNRESET);
	assert_int_equal(w.cause, FLOW_CAUSE_DIAL_FAILED);
	assert_int_equal(w.error, ECONNREFUSED);
	close(fd);
}

static void serves_so_many_and_resets_the_others(void **state)
{
	struct addr host, at;
	int server, fds[4];

	NEEDS_WORLD;
	server = plane_listen(4, &host);
	open_port(&host, &at);
	for (size_t i = 0; i < 3; i++)
		fds[i] = call(&at);
	world_until(forwards.count == 3);
	fds[3] = call(&at);
	plane_read_end(fds[3], ECONNRESET);
	assert_int_equal(forwards.count, 3);
	for (size_t i = 0; i < 4; i++)
		close(fds[i]);
	close(server);
}

static void closes_sockets_that_nobody_asked_for(void **state)
{
	struct addr at, other;
	char text[16];
	int fds[2];

	NEEDS_WORLD;
	fds[0] = plane_listen(4, &at);
	fds[1] = plane_listen(4, &other);
	snprintf(text, sizeof(text), "%u", at.port);
	assert_int_equal(forwards_add(&forwards, text, why), 0);
	assert_int_equal(forwards_start(&forwards, fds, 2), 0);
	assert_int_equal(forwards.port_count, 1);
	assert_int_equal(fcntl(fds[1], F_GETFD), -1);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(reads_what_is_meant),
#define IT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	IT(says_what_is_wrong),
	IT(joins_a_client_and_the_host),
	IT(resets_who_is_denied),
	IT(goes_where_a_rule_sends_it),
	IT(resets_what_it_cannot_do),
	IT(waits_for_policy),
	IT(resets_who_is_refused_by_the_host),
	IT(serves_so_many_and_resets_the_others),
	IT(closes_sockets_that_nobody_asked_for),
};

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, world_enter, NULL);
}
