/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/backlog.h"
#include "core/buf.h"

static void keeps_copies_in_order(void **state)
{
	size_t budget = 0;
	struct backlog q;
	struct backlog_packet *w;
	uint8_t bytes[100];
	struct packet p = {.data = bytes, .len = sizeof(bytes), .l4 = 20};

	(void)state;
	backlog_init(&q, &budget);
	assert_null(backlog_pop(&q));
	for (int i = 0; i < BACKLOG_MAX; i++) {
		memset(bytes, i, sizeof(bytes));
		assert_true(backlog_push(&q, &p));
	}
	assert_false(backlog_push(&q, &p));
	assert_true(budget >= BACKLOG_MAX * sizeof(bytes));
	assert_int_equal(buf_used(), budget);
	memset(bytes, 0xff, sizeof(bytes));
	for (int i = 0; i < BACKLOG_MAX; i++) {
		w = backlog_pop(&q);
		assert_int_equal(w->p.len, sizeof(bytes));
		assert_int_equal(w->p.l4, 20);
		assert_int_equal(w->p.data[0], i);
		assert_int_equal(w->p.data[99], i);
		free(w);
	}
	assert_int_equal(budget, 0);
	assert_int_equal(buf_used(), 0);
}

static void shares_a_budget(void **state)
{
	static uint8_t bytes[65535];
	struct packet p = {.data = bytes, .len = sizeof(bytes)};
	struct backlog q[8];
	size_t budget = 0;
	unsigned taken = 0;

	(void)state;
	for (int i = 0; i < 8; i++) {
		backlog_init(&q[i], &budget);
		for (int k = 0; k < BACKLOG_MAX; k++)
			taken += backlog_push(&q[i], &p);
	}
	assert_true(budget <= BACKLOG_BYTES);
	assert_true(taken > BACKLOG_BYTES / 2 / sizeof(bytes));
	assert_true(taken < 8 * BACKLOG_MAX);
	for (int i = 0; i < 8; i++)
		backlog_clear(&q[i]);
	assert_int_equal(budget, 0);
	assert_int_equal(buf_used(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_copies_in_order),
		cmocka_unit_test(shares_a_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
