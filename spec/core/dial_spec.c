/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/dial.h"

static struct {
	struct ev_loop *loop;
	struct dial dial;
	int listener, fd, calls;
	struct addr to;
} t;

static void on_dialed(void *arg, int fd)
{
	assert_ptr_equal(arg, &t);
	t.calls++;
	t.fd = fd;
}

static int setup(void **state)
{
	struct sockaddr_storage ss;
	socklen_t len;

	(void)state;
	memset(&t, 0, sizeof(t));
	t.loop = ev_loop_new(EVFLAG_AUTO);
	t.listener = socket(AF_INET, SOCK_STREAM, 0);
	addr_parse(&t.to, "127.0.0.1");
	len = addr_to_sockaddr(&t.to, &ss);
	if (bind(t.listener, (struct sockaddr *)&ss, len) || listen(t.listener, 0) ||
		getsockname(t.listener, (struct sockaddr *)&ss, &len))
		return -1;
	return addr_from_sockaddr(&t.to, &ss);
}

static int teardown(void **state)
{
	(void)state;
	dial_stop(&t.dial);
	close(t.listener);
	ev_loop_destroy(t.loop);
	return 0;
}

static int wait_for_it(void)
{
	while (!t.calls)
		ev_run(t.loop, EVRUN_ONCE);
	assert_int_equal(t.calls, 1);
	return t.fd;
}

static void it_connects_and_hands_the_socket_over(void **state)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr peer;
	int fd;

	(void)state;
	assert_int_equal(dial_start(&t.dial, t.loop, &t.to, 20, on_dialed, &t), 0);
	assert_int_equal(t.calls, 0);
	fd = wait_for_it();
	assert_true(fd >= 0);
	assert_int_equal(getpeername(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(&peer, &ss), 0);
	assert_true(addr_equal(&peer, &t.to));
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	dial_stop(&t.dial); /* the socket is ours */
	assert_true(fcntl(fd, F_GETFL) >= 0);
	close(fd);
}

static void it_comes_from_the_address_that_is_asked_for(void **state)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr from, own;
	int fd;

	(void)state;
	addr_parse(&from, "127.0.0.9");
	assert_int_equal(dial_start_from(&t.dial, t.loop, &from, &t.to, 20, on_dialed, &t), 0);
	fd = wait_for_it();
	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(&own, &ss), 0);
	assert_true(addr_equal_ip(&own, &from));
	close(fd);
	addr_parse(&from, "192.0.2.1"); /* not the host's */
	assert_int_equal(dial_start_from(&t.dial, t.loop, &from, &t.to, 20, on_dialed, &t),
		-EADDRNOTAVAIL);
}

static void a_refusal_is_an_errno(void **state)
{
	int rc;

	(void)state;
	close(t.listener);
	t.listener = -1;
	rc = dial_start(&t.dial, t.loop, &t.to, 20, on_dialed, &t);
	if (rc == 0)
		rc = wait_for_it();
	assert_int_equal(rc, -ECONNREFUSED);
}

static void silence_is_not_waited_for_any_longer_than_said(void **state)
{
	struct dial queued[4];
	int connected = 0;

	(void)state;
	/* The queue of the listener is full after one or two: the next SYN is dropped. */
	memset(queued, 0, sizeof(queued));
	for (int i = 0; i < 4; i++) {
		t.calls = 0;
		assert_int_equal(dial_start(&queued[i], t.loop, &t.to, 0.2, on_dialed, &t), 0);
		if (wait_for_it() < 0)
			break;
		connected++; /* and stays open: it fills the queue */
	}
	assert_true(connected >= 1 && connected < 4);
	assert_int_equal(t.fd, -ETIMEDOUT);
}

static void who_stops_it_hears_nothing(void **state)
{
	(void)state;
	dial_stop(&t.dial); /* zeroed */
	assert_int_equal(dial_start(&t.dial, t.loop, &t.to, 20, on_dialed, &t), 0);
	dial_stop(&t.dial);
	dial_stop(&t.dial);
	ev_run(t.loop,
		EVRUN_NOWAIT); /* nothing is left in the loop, so ONCE would return as well */
	ev_run(t.loop, 0);
	assert_int_equal(t.calls, 0);
}

static void without_descriptors_it_says_so_at_once(void **state)
{
	struct rlimit was, none;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &was);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = was.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	int rc = dial_start(&t.dial, t.loop, &t.to, 20, on_dialed, &t);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(rc, -EMFILE);
	ev_run(t.loop, 0);
	assert_int_equal(t.calls, 0);
}

static void a_delay_keeps_the_socket_and_closes_it_if_stopped(void **state)
{
	int fd = dup(t.listener);

	(void)state;
	dial_delay(&t.dial, t.loop, fd, 0.01, on_dialed, &t);
	assert_int_equal(wait_for_it(), fd);
	dial_delay(&t.dial, t.loop, fd, 20, on_dialed, &t);
	dial_stop(&t.dial);
	assert_int_equal(t.calls, 1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

#define dial_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		dial_test(it_connects_and_hands_the_socket_over),
		dial_test(it_comes_from_the_address_that_is_asked_for),
		dial_test(a_refusal_is_an_errno),
		dial_test(silence_is_not_waited_for_any_longer_than_said),
		dial_test(who_stops_it_hears_nothing),
		dial_test(without_descriptors_it_says_so_at_once),
		dial_test(a_delay_keeps_the_socket_and_closes_it_if_stopped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
