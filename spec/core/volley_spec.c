/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/volley.h"

static void holds_what_is_for_one_socket(void **state)
{
	static struct volley v;
	struct dgram one = {0}, other = {0};
	struct packet p = {0};
	struct buf *b[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		b[i] = buf_get();
	assert_false(volley_add(&v, &one, b[0], &p, b[0]->data, 0));
	assert_null(v.to);
	p.ttl = 1;
	assert_true(volley_add(&v, &one, b[0], &p, b[0]->data, 100));
	assert_ptr_equal(v.to, &one);
	assert_false(volley_add(&v, &other, b[1], &p, b[1]->data, 100));
	assert_false(volley_add(&v, &one, b[1], &p, b[1]->data, 101));
	assert_false(volley_add(&v, &one, b[1], &p, b[1]->data, 0));
	p.ttl = 2;
	assert_true(volley_add(&v, &one, b[1], &p, b[1]->data, 99));
	assert_false(volley_add(&v, &one, b[2], &p, b[2]->data, 99));
	assert_int_equal(v.bundle.count, 2);
	assert_int_equal(v.packet[0].ttl, 1);
	assert_int_equal(v.packet[1].ttl, 2);
	assert_ptr_equal(v.bundle.iov[2].iov_base, b[1]->data);
	buf_put(b[2]);
	assert_int_equal(volley_clear(&v), 2);
	assert_null(v.to);
	assert_int_equal(buf_used(), 0);
	assert_int_equal(volley_clear(&v), 0);
	buf_pool_fini();
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(holds_what_is_for_one_socket)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
