/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/base.h"
#include "core/bundle.h"

static uint8_t bytes[70000];

static void takes_payloads_of_one_size(void **state)
{
	static const struct {
		size_t len, segment;
		bool taken;
	} row[][6] = {
		{{100, 100, true}, {100, 100, true}, {100, 100, true}, {101, 101, false}},
		{{100, 100, true}, {100, 100, true}, {1, 1, true}, {100, 100, false}, {1, 1, false},
			{0, 0, false}},
		{{100, 100, true}, {0, 0, false}}, {{0, 0, true}, {0, 0, false}, {1, 1, false}},
		/* what came bundled */
		{{300, 100, true}, {100, 100, true}, {200, 100, true}, {50, 50, true},
			{100, 100, false}},
		{{350, 100, true}, {100, 100, false}},
		{{100, 100, true}, {350, 100, true}, {100, 100, false}},
		{{100, 100, true}, {90, 30, false}}, {{200, 200, true}, {350, 100, false}},
		/* no more than a packet holds */
		{{30000, 30000, true}, {30000, 30000, true}, {30000, 30000, false}},
		{{65507, 65507, true}, {1, 1, false}}, {{65507, 1000, true}, {1, 1, false}},
		/* nor than a kernel takes in one call */
		{{6000, 100, true}, {400, 100, true}, {100, 100, false}},
		{{6000, 100, true}, {500, 100, false}, {300, 100, true}},
		{{48000, 100, true}, {100, 100, false}}, /* the first is always taken */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct bundle b = {0};
		size_t total = 0;

		for (size_t k = 0; k < 6 && (k == 0 || row[i][k].len || row[i][k].taken); k++) {
			assert_int_equal(bundle_add(&b, bytes, row[i][k].len, row[i][k].segment),
				row[i][k].taken);
			if (row[i][k].taken)
				total += row[i][k].len;
			assert_int_equal(b.total, total);
		}
	}
}

static void counts_pieces_and_payloads(void **state)
{
	struct bundle b = {0};

	(void)state;
	assert_true(bundle_add(&b, bytes, 300, 100));
	assert_true(bundle_add(&b, bytes + 300, 100, 100));
	assert_true(bundle_add(&b, bytes + 400, 150, 100));
	assert_int_equal(b.count, 3);
	assert_int_equal(b.packets, 6);
	assert_int_equal(b.segment, 100);
	assert_int_equal(b.total, 550);
	assert_ptr_equal(b.iov[1].iov_base, bytes);
	assert_int_equal(b.iov[3].iov_len, 150);
	bundle_clear(&b);
	assert_int_equal(b.count, 0);
	assert_true(bundle_add(&b, bytes, 0, 0));
	assert_int_equal(b.packets, 1);
	assert_false(bundle_add(&b, bytes, 7, 7));
	bundle_clear(&b);
	for (int i = 0; i < BUNDLE_MAX; i++)
		assert_true(bundle_add(&b, bytes, 9, 9));
	assert_false(bundle_add(&b, bytes, 9, 9));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_payloads_of_one_size),
		cmocka_unit_test(counts_pieces_and_payloads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
