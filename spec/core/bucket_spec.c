/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/bucket.h"

static void lets_a_burst_go_and_then_the_rate(void **state)
{
	struct bucket *b = bucket_new(1000, 500);
	double now = 100;

	(void)state;
	assert_int_equal(bucket_allows(b, 2000, now), 500);
	assert_int_equal(bucket_allows(b, 20, now), 20); /* asking takes nothing */
	bucket_take(b, 500);
	assert_int_equal(bucket_allows(b, 1, now), 0);
	assert_int_equal(bucket_allows(b, 2000, now + 0.25), 250);
	bucket_take(b, 250);
	assert_int_equal(bucket_allows(b, 2000, now + 3600), 500); /* never more than a burst */
	bucket_unref(b);
}

static void says_how_long_to_wait(void **state)
{
	struct bucket *b = bucket_new(1000, 500);
	double now = 100, wait;

	(void)state;
	assert_true(bucket_wait(b, 500, now) <= 0);
	bucket_take(b, 500);
	wait = bucket_wait(b, 100, now);
	assert_true(wait > 0.0999 && wait < 0.1001);
	/* More than a burst never fits: a whole one is waited for, not for ever. */
	wait = bucket_wait(b, 100000, now);
	assert_true(wait > 0.4999 && wait < 0.5001);
	assert_int_equal(bucket_allows(b, 100000, now + wait + 1e-9), 500);
	bucket_unref(b);
}

/* What was taken beyond what was there is paid back first. */
static void pays_debts(void **state)
{
	struct bucket *b = bucket_new(1000, 500);

	(void)state;
	assert_int_equal(bucket_allows(b, 1, 10), 1);
	bucket_take(b, 1500);
	assert_int_equal(bucket_allows(b, 1, 10.875), 0);
	assert_int_equal(bucket_allows(b, 5000, 11.25), 250);
	bucket_unref(b);
}

static void a_clock_that_goes_back_gives_nothing(void **state)
{
	struct bucket *b = bucket_new(1000, 500);

	(void)state;
	assert_int_equal(bucket_allows(b, 500, 100), 500);
	bucket_take(b, 500);
	assert_int_equal(bucket_allows(b, 500, 50), 0);
	assert_int_equal(bucket_allows(b, 500, 100.125), 125);
	bucket_unref(b);
}

static void is_shared_until_the_last_lets_go(void **state)
{
	struct bucket *b = bucket_new(1000, 500);

	(void)state;
	assert_ptr_equal(bucket_ref(b), b);
	bucket_unref(b);
	assert_int_equal(bucket_allows(b, 500, 1), 500);
	bucket_unref(b);
	assert_null(bucket_ref(NULL));
	bucket_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lets_a_burst_go_and_then_the_rate),
		cmocka_unit_test(says_how_long_to_wait),
		cmocka_unit_test(pays_debts),
		cmocka_unit_test(a_clock_that_goes_back_gives_nothing),
		cmocka_unit_test(is_shared_until_the_last_lets_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
