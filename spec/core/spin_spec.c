/* SPDX-License-Identifier: MIT */
#include "core/spin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static struct ev_loop *loop;
static int ends[2];
static unsigned events;

static void on_readable(struct ev_loop *l, ev_io *w, int revents)
{
	char byte;

	(void)l;
	(void)revents;
	assert_int_equal(read(w->fd, &byte, 1), 1);
	events++;
}

static void happens(ev_io *w)
{
	const unsigned before = events;

	assert_int_equal(write(ends[1], "x", 1), 1);
	ev_run(loop, EVRUN_ONCE);
	assert_int_equal(events, before + 1);
	assert_true(ev_is_active(w));
}

static void stays_awake_after_an_event_until_its_time_is_over(void **state)
{
	struct spin s = {0};
	ev_io w;

	(void)state;
	ev_io_init(&w, on_readable, ends[0], EV_READ);
	ev_io_start(loop, &w);
	spin_start(&s, loop, 3600);
	ev_run(loop, EVRUN_NOWAIT);
	assert_false(ev_is_active(&s.idle)); /* nothing has happened yet */

	happens(&w);
	assert_true(ev_is_active(&s.idle));
	for (int i = 0; i < 100; i++)
		ev_run(loop, EVRUN_ONCE); /* would sleep for ever otherwise */
	assert_true(ev_is_active(&s.idle));

	s.until = ev_now(loop); /* its time is over */
	ev_run(loop, EVRUN_ONCE);
	assert_false(ev_is_active(&s.idle));

	happens(&w); /* and begins anew with the next event */
	assert_true(ev_is_active(&s.idle));
	assert_true(s.until > ev_now(loop));
	spin_stop(&s);
	assert_false(ev_is_active(&s.idle));
	ev_io_stop(loop, &w);
	ev_run(loop, 0); /* nothing is left that keeps the loop */
}

static void does_nothing_for_no_time(void **state)
{
	struct spin s = {0};
	ev_io w;

	(void)state;
	ev_io_init(&w, on_readable, ends[0], EV_READ);
	ev_io_start(loop, &w);
	spin_start(&s, loop, 0);
	happens(&w);
	assert_false(ev_is_active(&s.idle));
	spin_stop(&s);
	ev_io_stop(loop, &w);
	ev_run(loop, 0);
}

static void does_not_keep_a_loop_that_has_nothing_else(void **state)
{
	struct spin s = {0};

	(void)state;
	spin_start(&s, loop, 3600);
	ev_run(loop, 0);
	spin_stop(&s);
}

static int setup(void **state)
{
	(void)state;
	loop = ev_loop_new(EVFLAG_AUTO);
	return loop && pipe(ends) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	ev_loop_destroy(loop);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stays_awake_after_an_event_until_its_time_is_over),
		cmocka_unit_test(does_nothing_for_no_time),
		cmocka_unit_test(does_not_keep_a_loop_that_has_nothing_else),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
