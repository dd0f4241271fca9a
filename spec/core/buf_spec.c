/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/base.h"
#include "core/buf.h"

#define SIZE sizeof(struct buf)

static int teardown(void **state)
{
	(void)state;
	buf_set_limit((size_t)256 << 20);
	buf_pool_fini();
	return buf_used() == 0 ? 0 : -1;
}

static void counts_what_is_in_hands(void **state)
{
	struct buf *b[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(b); i++) {
		b[i] = buf_get();
		assert_non_null(b[i]);
		memset(b[i]->whole, (int)i, sizeof(b[i]->whole)); /* each its own */
	}
	assert_int_equal(buf_used(), ARRAY_LEN(b) * SIZE);
	for (size_t i = 0; i < ARRAY_LEN(b); i++) {
		assert_int_equal(b[i]->whole[0], (uint8_t)i);
		assert_int_equal(b[i]->data[BUF_DATA_MAX], (uint8_t)i);
		buf_put(b[i]);
	}
	buf_put(NULL);
	assert_int_equal(buf_used(), 0);
	buf_charge(1000);
	assert_int_equal(buf_used(), 1000);
	buf_release(1000);
}

static void gives_the_last_one_back_first(void **state)
{
	struct buf *a = buf_get(), *b = buf_get();

	(void)state;
	buf_put(a);
	buf_put(b);
	assert_ptr_equal(buf_get(), b); /* still in the cache */
	assert_ptr_equal(buf_get(), a);
	buf_put(a);
	buf_put(b);
}

static void presses_whoever_holds_more_than_its_share(void **state)
{
	struct buf *b[40];

	(void)state;
	buf_set_limit(20 * SIZE);
	for (size_t i = 0; i < ARRAY_LEN(b); i++)
		b[i] = buf_get();
	assert_true(buf_pressure(11 * SIZE, 2));
	assert_false(buf_pressure(9 * SIZE, 2));
	assert_true(buf_pressure(21 * SIZE, 1));
	assert_true(buf_pressure(21 * SIZE, 0)); /* nobody counted: no division by it */
	/* 128 KB are left to everybody, however many there are, */
	assert_false(buf_pressure(128 << 10, 1000));
	assert_true(buf_pressure((128 << 10) + 1, 1000));
	/* but not when twice the limit is in use: then one buffer is. */
	buf_charge(20 * SIZE);
	assert_true(buf_pressure(SIZE, 1000));
	assert_false(buf_pressure(0, 1000));
	assert_false(buf_pressure(9 * SIZE, 2));
	buf_release(20 * SIZE);
	for (size_t i = 0; i < ARRAY_LEN(b) - 20; i++)
		buf_put(b[i]);
	assert_false(buf_pressure(20 * SIZE, 1000)); /* at the limit, not above */
	for (size_t i = ARRAY_LEN(b) - 20; i < ARRAY_LEN(b); i++)
		buf_put(b[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(counts_what_is_in_hands, teardown),
		cmocka_unit_test_teardown(gives_the_last_one_back_first, teardown),
		cmocka_unit_test_teardown(presses_whoever_holds_more_than_its_share, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
