/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ev.h>
#include <math.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/base.h"
#include "core/clock.h"

#define near(a, b) assert_true(fabs((a) - (b)) < 0.002)

static double now(clockid_t id)
{
	struct timespec ts;
	assert_int_equal(clock_gettime(id, &ts), 0);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The first test: nothing is frozen yet. */
static void is_not_noticed_before(void **state)
{
	int fds[2];
	(void)state;
	struct timespec real;
	assert_int_equal(syscall(SYS_clock_gettime, CLOCK_REALTIME, &real), 0);
	assert_true(fabs(now(CLOCK_REALTIME) - (double)real.tv_sec) < 3600);
	assert_true(fabs((double)time(NULL) - (double)real.tv_sec) < 3600);
	assert_int_equal(pipe(fds), 0);
	struct pollfd p = {.fd = fds[0], .events = POLLIN};
	double before = clock_real();
	assert_int_equal(poll(&p, 1, 20), 0);
	assert_true(clock_real() - before >= 0.02);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(poll(&p, 1, -1), 1);
	assert_int_equal(poll(&p, 1, 0), 1);
	close(fds[0]);
	close(fds[1]);
}

struct shot {
	ev_timer timer;
	double at;
	unsigned count;
};

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	struct shot *s = container_of(w, struct shot, timer);
	s->at = clock_passed();
	s->count++;
}

static void leaps_from_timer_to_timer(void **state)
{
	(void)state;
	double real = clock_real();
	clock_freeze(1e9);
	near(now(CLOCK_REALTIME), 1e9);
	struct ev_loop *loop = ev_loop_new(EVBACKEND_POLL);
	assert_non_null(loop);
	struct shot soon = {0}, late = {0}, often = {0};
	ev_timer_init(&soon.timer, on_timer, 0.25, 0.);
	ev_timer_init(&late.timer, on_timer, 86400, 0.);
	ev_timer_init(&often.timer, on_timer, 3600, 3600);
	ev_timer_start(loop, &late.timer);
	ev_timer_start(loop, &soon.timer);
	ev_timer_start(loop, &often.timer);
	while (!soon.count)
		ev_run(loop, EVRUN_ONCE);
	near(soon.at, 0.25);
	assert_int_equal(often.count, 0);
	while (!late.count)
		ev_run(loop, EVRUN_ONCE);
	near(late.at, 86400);
	assert_true(often.count == 23 || often.count == 24);
	near(now(CLOCK_REALTIME), 1e9 + 86400);
	/* The loop's own idea of the time is the same one. */
	near(ev_now(loop), 1e9 + 86400);
	ev_loop_destroy(loop);
	/* A day has passed; here it was hardly a moment. */
	assert_true(clock_real() - real < 3600);
}

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	char c;
	assert_int_equal(read(w->fd, &c, 1), 1);
	(*(unsigned *)w->data)++;
}

static void what_is_there_comes_before_any_leap(void **state)
{
	(void)state;
	int fds[2];
	unsigned count = 0;
	ev_io io;
	struct shot late = {0};
	clock_freeze(0);
	struct ev_loop *loop = ev_loop_new(EVBACKEND_POLL);
	assert_int_equal(pipe(fds), 0);
	ev_io_init(&io, on_io, fds[0], EV_READ);
	io.data = &count;
	ev_io_start(loop, &io);
	ev_timer_init(&late.timer, on_timer, 1, 0.);
	ev_timer_start(loop, &late.timer);
	for (int i = 0; i < 100; i++)
		assert_int_equal(write(fds[1], "x", 1), 1);
	while (count < 100) {
		ev_run(loop, EVRUN_ONCE);
		assert_int_equal(late.count, 0);
	}
	near(clock_passed(), 0);
	ev_loop_destroy(loop);
	close(fds[0]);
	close(fds[1]);
}

static void the_wall_clock_can_be_set(void **state)
{
	(void)state;
	clock_freeze(5);
	double before = now(CLOCK_MONOTONIC);
	clock_set(1234567);
	near(now(CLOCK_REALTIME), 1234567);
	near(clock_wall(), 1234567);
	assert_int_equal(time(NULL), 1234567);
	near(now(CLOCK_MONOTONIC), before);
}

static void processor_time_goes_on(void **state)
{
	(void)state;
	clock_freeze(0);
	double start = now(CLOCK_THREAD_CPUTIME_ID);
	while (now(CLOCK_THREAD_CPUTIME_ID) - start < 0.005)
		;
	near(clock_passed(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_not_noticed_before),
		cmocka_unit_test(leaps_from_timer_to_timer),
		cmocka_unit_test(what_is_there_comes_before_any_leap),
		cmocka_unit_test(the_wall_clock_can_be_set),
		cmocka_unit_test(processor_time_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
