/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "core/base.h"
#include "core/expiry.h"

struct thing {
	struct expiry_entry entry;
	bool due;
};

static struct ev_loop *loop;
static struct expiry soon, later;
static double soon_s = 0.02, later_s = 3600;
static unsigned due;
static struct expiry_entry *last;

static void on_due(struct expiry *x, struct expiry_entry *e)
{
	assert_ptr_equal(e->in, x);
	expiry_remove(e);
	container_of(e, struct thing, entry)->due = true;
	last = e;
	due++;
}

static int setup(void **state)
{
	(void)state;
	loop = ev_loop_new(EVFLAG_AUTO);
	expiry_init(&soon, loop, &soon_s, on_due);
	expiry_init(&later, loop, &later_s, on_due);
	due = 0;
	return loop ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	expiry_fini(&soon);
	expiry_fini(&later);
	ev_loop_destroy(loop);
	return 0;
}

static void ends_things_in_the_order_of_their_last_use(void **state)
{
	struct thing a = {0}, b = {0}, c = {0};

	(void)state;
	expiry_add(&soon, &a.entry);
	expiry_add(&soon, &b.entry);
	expiry_add(&soon, &c.entry);
	assert_ptr_equal(expiry_first(&soon), &a.entry);
	expiry_use(&a.entry);
	assert_ptr_equal(expiry_first(&soon), &b.entry);
	expiry_use(&a.entry); /* it is the last already */
	assert_ptr_equal(expiry_first(&soon), &b.entry);
	while (due < 3)
		ev_run(loop, EVRUN_ONCE);
	assert_true(a.due && b.due && c.due);
	assert_ptr_equal(last, &a.entry);
	assert_null(expiry_first(&soon));
}

static void does_not_end_what_is_used(void **state)
{
	struct thing a = {0}, b = {0};
	double start = expiry_now();

	(void)state;
	soon_s = 0.1;
	expiry_add(&soon, &a.entry);
	expiry_add(&soon, &b.entry);
	while (!b.due) {
		expiry_use(&a.entry);
		ev_run(loop, EVRUN_NOWAIT);
		assert_false(a.due);
	}
	/* A thing is kept for its time at least. */
	assert_true(expiry_now() - start >= soon_s);
	expiry_remove(&a.entry);
	soon_s = 0.02;
}

static void moves_things_and_lets_them_go(void **state)
{
	struct thing a = {0}, b = {0};

	(void)state;
	expiry_remove(&a.entry); /* in none: nothing happens */
	expiry_add(&later, &a.entry);
	expiry_add(&later, &b.entry);
	assert_true(ev_is_active(&later.timer));
	expiry_add(&soon, &a.entry);
	assert_ptr_equal(a.entry.in, &soon);
	assert_ptr_equal(expiry_first(&later), &b.entry);
	while (!a.due)
		ev_run(loop, EVRUN_ONCE);
	assert_false(b.due);
	expiry_remove(&b.entry);
	/* Nothing left: nothing wakes the loop any more. */
	assert_false(ev_is_active(&later.timer));
	assert_false(ev_is_active(&soon.timer));
}

static void obeys_a_changed_limit(void **state)
{
	struct thing a = {0}, b = {0};

	(void)state;
	soon_s = 3600;
	expiry_add(&soon, &a.entry);
	soon_s = 0.01;
	expiry_remove(&a.entry);
	expiry_add(&soon, &b.entry);
	while (!b.due)
		ev_run(loop, EVRUN_ONCE);
	soon_s = 0.02;
}

int main(void)
{
#define WITH_LOOP(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_LOOP(ends_things_in_the_order_of_their_last_use),
		WITH_LOOP(does_not_end_what_is_used),
		WITH_LOOP(moves_things_and_lets_them_go),
		WITH_LOOP(obeys_a_changed_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
