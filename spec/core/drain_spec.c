/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/drain.h"
#include "core/log.h"
#include "spec/support/virtual_time.h"

static struct {
	struct ev_loop *loop;
	struct drain drain;
	size_t left;       /* connections that owe bytes */
	uint64_t progress; /* a byte moved: another number */
	int done;
} t;

static size_t pending(void *arg, uint64_t *progress)
{
	assert_ptr_equal(arg, &t);
	*progress = t.progress;
	return t.left;
}

static void on_done(void *arg)
{
	assert_ptr_equal(arg, &t);
	t.done++;
}

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	memset(&t, 0, sizeof(t));
	t.loop = ev_loop_new(EVFLAG_AUTO);
	return t.loop ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	drain_stop(&t.drain);
	drain_stop(&t.drain); /* safe */
	ev_loop_destroy(t.loop);
	return 0;
}

static int start(int diag)
{
	ev_now_update(t.loop);
	return drain_start(&t.drain, t.loop, diag, pending, on_done, &t);
}

static void nothing_pending_is_not_waited_for(void **state)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	(void)state;
	assert_int_equal(start(-1), 1);
	assert_int_equal(start(fd), 1);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* it was taken */
	advance(t.loop, 60);
	assert_int_equal(t.done, 0);
}

static void it_ends_with_the_last_byte_and_says_so_once(void **state)
{
	(void)state;
	t.left = 2;
	assert_int_equal(start(-1), 0);
	advance(t.loop, 1);
	assert_int_equal(t.done, 0);
	t.left = 0;
	advance(t.loop, 1);
	advance(t.loop, 60);
	assert_int_equal(t.done, 1);
}

static void who_moves_a_byte_now_and_then_is_waited_for(void **state)
{
	(void)state;
	t.left = 1;
	assert_int_equal(start(-1), 0);
	for (int i = 0; i < 20; i++) {
		t.progress++;
		advance(t.loop, 9);
	}
	assert_int_equal(t.done, 0);
	advance(t.loop, 11);
	assert_int_equal(t.done, 1);
}

static void on_line(void *arg, enum log_level level, const char *line)
{
	assert_int_equal(level, LOG_LEVEL_WARN);
	snprintf(arg, 256, "%s", line);
}

/* Giving up @left connections is told by a line with @what. */
static void says(size_t left, const char *what)
{
	char line[256] = "";

	log_set_level(LOG_LEVEL_WARN);
	log_set_sink(on_line, line);
	t.left = left;
	assert_int_equal(start(-1), 0);
	advance(t.loop, 11);
	log_set_sink(NULL, NULL);
	assert_non_null(strstr(line, what));
}

static void it_says_how_many_are_given_up(void **state)
{
	(void)state;
	says(1, "1 connection still owes bytes to a destination that takes none for 10 s; it is");
	says(2, "2 connections still owe bytes to destinations that take none for 10 s; they are");
}

static void who_stops_it_hears_nothing(void **state)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	(void)state;
	t.left = 1;
	assert_int_equal(start(fd), 0);
	drain_stop(&t.drain);
	t.left = 0;
	advance(t.loop, 60);
	assert_int_equal(t.done, 0);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void a_kernel_that_cannot_be_asked_keeps_nobody(void **state)
{
	int pair[2];

	(void)state;
	/* It takes the question, and what comes back is no answer: the other end has gone. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	close(pair[1]);
	assert_int_equal(start(pair[0]), 1);
	assert_int_equal(fcntl(pair[0], F_GETFD), -1);
}

/* A dump that failed on its way says so in its last message: what was counted is not all. */
static void a_dump_that_failed_is_not_taken_for_an_answer(void **state)
{
	struct {
		struct nlmsghdr h;
		int error;
	} done = {{.nlmsg_len = NLMSG_LENGTH(sizeof(int)), .nlmsg_type = NLMSG_DONE}, -ENOMEM};
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(write(pair[1], &done, sizeof(done)), sizeof(done));
	done.error = 0; /* the other family's goes well */
	assert_int_equal(write(pair[1], &done, sizeof(done)), sizeof(done));
	t.left = 1;
	assert_int_equal(start(pair[0]), 0);
	assert_int_equal(fcntl(pair[0], F_GETFD), -1); /* it is not asked again */
	close(pair[1]);
	t.left = 0;
	advance(t.loop, 1);
	assert_int_equal(t.done, 1);
}

#define drain_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		drain_test(nothing_pending_is_not_waited_for),
		drain_test(it_ends_with_the_last_byte_and_says_so_once),
		drain_test(who_moves_a_byte_now_and_then_is_waited_for),
		drain_test(it_says_how_many_are_given_up),
		drain_test(who_stops_it_hears_nothing),
		drain_test(a_kernel_that_cannot_be_asked_keeps_nobody),
		drain_test(a_dump_that_failed_is_not_taken_for_an_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
