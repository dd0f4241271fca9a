/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/lane.h"

static void push(struct lane *l, const char *text, double now, double delay_s)
{
	struct buf *b = buf_get();

	assert_non_null(b);
	memcpy(b->data, text, strlen(text));
	lane_push(l, b, strlen(text), now, delay_s);
}

/* What may leave at @now, as far as it is contiguous; it leaves. */
static const char *take(struct lane *l, double now)
{
	static char text[256];
	const uint8_t *data;
	size_t n = lane_ready(l, now, &data);

	assert_true(n < sizeof(text));
	if (n) {
		memcpy(text, data, n);
		lane_pop(l, n);
	}
	text[n] = '\0';
	return text;
}

static void bytes_leave_when_their_time_has_come(void **state)
{
	struct lane l = {0};

	(void)state;
	assert_true(lane_empty(&l));
	assert_true(lane_wait(&l, 100) < 0);
	push(&l, "one", 100, 0.5);
	push(&l, "two", 100.25, 0.5);
	assert_true(lane_wait(&l, 100.25) == 0.25);
	assert_string_equal(take(&l, 100.49), "");
	assert_string_equal(take(&l, 100.5), "one");
	assert_string_equal(take(&l, 100.5), "");
	assert_string_equal(take(&l, 101), "two");
	assert_true(lane_empty(&l));
	assert_int_equal(l.held, 0);
}

static void order_is_kept_whatever_the_jitter(void **state)
{
	struct lane l = {0};

	(void)state;
	push(&l, "slow", 100, 1);
	push(&l, "fast", 100.1, 0.01); /* would overtake */
	assert_string_equal(take(&l, 100.5), "");
	assert_string_equal(take(&l, 101), "slowfast");
}

static void what_comes_together_shares_a_buffer_and_what_is_late_does_not(void **state)
{
	struct lane l = {0};

	(void)state;
	for (int i = 0; i < 1000; i++)
		push(&l, "x", 100, 0.5);
	assert_int_equal(l.held, sizeof(struct buf));
	push(&l, "y", 100.01, 0.5);
	assert_int_equal(l.held, 2 * sizeof(struct buf));
	lane_clear(&l);
	assert_true(lane_empty(&l));
	assert_int_equal(l.held, 0);
}

static void the_end_comes_behind_the_bytes_and_as_late(void **state)
{
	struct lane l = {0};

	(void)state;
	push(&l, "last", 100, 0.5);
	lane_push_end(&l, 100.1, 0.5);
	assert_false(lane_ended(&l, 200)); /* a byte is there */
	assert_string_equal(take(&l, 100.5), "last");
	assert_false(lane_ended(&l, 100.5));
	assert_true(lane_wait(&l, 100.5) > 0.0999 && lane_wait(&l, 100.5) < 0.1001);
	assert_true(lane_ended(&l, 100.6 + 1e-9));
	assert_true(lane_wait(&l, 100.7) < 0);
	lane_clear(&l);
	assert_false(lane_ended(&l, 200));
}

static void a_bucket_lets_a_part_go(void **state)
{
	struct bucket *b = bucket_new(1000, 100);
	struct lane l = {.bucket = b};
	const uint8_t *data;
	char text[201];

	(void)state;
	memset(text, 'a', 100);
	memset(text + 100, 'b', 100);
	text[200] = '\0';
	push(&l, text, 100, 0);
	assert_int_equal(lane_ready(&l, 100, &data), 100);
	assert_int_equal(data[0], 'a');
	lane_pop(&l, 100);
	assert_int_equal(lane_ready(&l, 100, &data), 0);
	assert_true(lane_wait(&l, 100) > 0.09 && lane_wait(&l, 100) < 0.11);
	assert_int_equal(lane_ready(&l, 100.2, &data), 100);
	assert_int_equal(data[0], 'b');
	lane_pop(&l, 100);
	assert_true(lane_empty(&l));
	bucket_unref(b);
}

static void it_is_full_at_its_limit_and_gives_the_memory_back(void **state)
{
	struct lane l = {0};
	const size_t before = buf_used();
	int n = 0;

	(void)state;
	while (!lane_full(&l)) {
		push(&l, "x", 100 + n, 0);
		n++;
	}
	assert_true(n > 1 && (size_t)n * sizeof(struct buf) >= LANE_MAX);
	assert_true((size_t)(n - 1) * sizeof(struct buf) < LANE_MAX);
	assert_true(buf_used() > before);
	assert_string_equal(take(&l, 1000), "x");
	lane_clear(&l);
	assert_int_equal(buf_used(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_leave_when_their_time_has_come),
		cmocka_unit_test(order_is_kept_whatever_the_jitter),
		cmocka_unit_test(what_comes_together_shares_a_buffer_and_what_is_late_does_not),
		cmocka_unit_test(the_end_comes_behind_the_bytes_and_as_late),
		cmocka_unit_test(a_bucket_lets_a_part_go),
		cmocka_unit_test(it_is_full_at_its_limit_and_gives_the_memory_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
