/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/shape.h"

static void is_as_late_as_it_says(void **state)
{
	struct shape *s = shape_new();

	(void)state;
	assert_true(shape_delay(s) <= 0);
	s->latency_s = 0.25;
	for (int i = 0; i < 100; i++)
		assert_true(shape_delay(s) >= 0.25 && shape_delay(s) <= 0.25);
	shape_free(s);
	shape_free(NULL);
}

static void spreads_jitter_evenly(void **state)
{
	struct shape *s = shape_new();
	unsigned part[10] = {0};

	(void)state;
	s->latency_s = 1;
	s->jitter_s = 0.5;
	s->random = 7;
	for (int i = 0; i < 10000; i++) {
		double d = shape_delay(s) - 1;

		assert_true(d >= 0 && d < 0.5);
		part[(int)(d * 20)]++;
	}
	/* The seed is fixed, so this is so or not: 1000 each, give or take. */
	for (int i = 0; i < 10; i++)
		assert_in_range(part[i], 850, 1150);
	shape_free(s);
}

static void repeats_itself_with_its_seed(void **state)
{
	struct shape *a = shape_new(), *b = shape_new();
	unsigned other = 0;

	(void)state;
	a->jitter_s = b->jitter_s = 1;
	a->random = b->random = 42;
	for (int i = 0; i < 100; i++) {
		double one = shape_delay(a), two = shape_delay(b);

		assert_memory_equal(&one, &two, sizeof(one));
	}
	b->random = 43;
	for (int i = 0; i < 100; i++)
		other += shape_delay(a) < shape_delay(b);
	assert_in_range(other, 25, 75); /* nothing to do with each other */
	shape_free(a);
	shape_free(b);
}

static void owns_a_reference_of_its_buckets(void **state)
{
	struct shape *s = shape_new();
	struct bucket *b = bucket_new(1, 1);

	(void)state;
	s->up = bucket_ref(b);
	s->down = bucket_ref(b);
	assert_int_equal(b->refs, 3);
	shape_free(s);
	assert_int_equal(b->refs, 1);
	bucket_unref(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_as_late_as_it_says),
		cmocka_unit_test(spreads_jitter_evenly),
		cmocka_unit_test(repeats_itself_with_its_seed),
		cmocka_unit_test(owns_a_reference_of_its_buckets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
