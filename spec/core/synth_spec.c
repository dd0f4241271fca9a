/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/synth.h"

static int setup(void **state)
{
	static struct synth s;

	*state = &s;
	return synth_init(&s);
}

static int teardown(void **state)
{
	synth_fini(*state);
	return 0;
}

static struct synth_name *give(struct synth *s, unsigned i, double now)
{
	char name[32];

	snprintf(name, sizeof(name), "n%u.test", i);
	return synth_give(s, name, now);
}

static void check_text(struct synth *s, const struct synth_name *n, const char *v4, const char *v6)
{
	char text[ADDR_TEXT_MAX];
	struct addr a = synth_address(s, n, 4);

	assert_string_equal(addr_format(&a, false, text), v4);
	assert_ptr_equal(synth_find(s, &a), n);
	a = synth_address(s, n, 6);
	assert_string_equal(addr_format(&a, false, text), v6);
	assert_ptr_equal(synth_find(s, &a), n);
}

static void name_and_address_lead_to_each_other(void **state)
{
	struct synth *s = *state;
	struct synth_name *n[2] = {synth_give(s, "a.test", 0), synth_give(s, "b.test", 0)};

	check_text(s, n[0], "198.18.0.1", "fd6e:736e:6573::1");
	check_text(s, n[1], "198.18.0.2", "fd6e:736e:6573::2");
	assert_ptr_equal(synth_give(s, "a.test", 5), n[0]);
}

static void every_number_is_an_address(void **state)
{
	struct synth *s = *state;
	struct synth_name *n = NULL;

	for (unsigned i = 0; i < SYNTH_MAX; i++) {
		n = give(s, i, 0);
		assert_non_null(n);
		struct addr a = synth_address(s, n, 4), b = synth_address(s, n, 6);
		assert_ptr_equal(synth_find(s, &a), n);
		assert_ptr_equal(synth_find(s, &b), n);
	}
	check_text(s, n, "198.19.0.0", "fd6e:736e:6573::1:0");
	assert_null(give(s, SYNTH_MAX, 0));
	assert_int_equal(s->refused, 1);
}

static void other_addresses_are_no_names(void **state)
{
	static const char *const texts[] = {"198.18.0.0", "198.18.0.2", "198.19.255.255",
		"198.20.0.1", "198.17.0.1", "fd6e:736e:6573::", "fd6e:736e:6573::2",
		"fd6e:736e:6573::1:0:1", "fd6e:736e:6573:0:1::1", "fd6e:736e:6573::ffff:ffff",
		"::ffff:198.18.0.1"};
	struct synth *s = *state;
	struct addr a;

	give(s, 1, 0);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		assert_int_equal(addr_parse(&a, texts[i]), 0);
		assert_null(synth_find(s, &a));
	}
}

static void the_longest_unused_makes_room(void **state)
{
	struct synth *s = *state;
	struct addr first;

	s->max = 3;
	first = synth_address(s, give(s, 1, 0), 4);
	give(s, 2, 1);
	give(s, 3, 2);
	give(s, 1, 3); /* used again: 2 is next */
	assert_null(give(s, 4, 1 + SYNTH_HOLD_S - 0.1));
	struct synth_name *n = give(s, 4, 1 + SYNTH_HOLD_S);
	assert_non_null(n);
	check_text(s, n, "198.18.0.2", "fd6e:736e:6573::2");
	assert_string_equal(synth_find(s, &first)->text, "n1.test");
	assert_null(give(s, 2, 1 + SYNTH_HOLD_S)); /* 3 is used still */
	assert_int_equal(s->count, 3);
}

static void an_address_in_use_stays(void **state)
{
	struct synth *s = *state;
	struct synth_name *n;
	const double late = 10 * SYNTH_HOLD_S;

	s->max = 1;
	n = give(s, 1, 0);
	synth_hold(n);
	synth_hold(n);
	assert_null(give(s, 2, late));
	assert_ptr_equal(give(s, 1, late), n);
	synth_release(s, n, late);
	assert_null(give(s, 2, 2 * late));
	synth_release(s, n, 2 * late);
	assert_null(give(s, 2, 2 * late + SYNTH_HOLD_S - 0.1));
	n = give(s, 2, 2 * late + SYNTH_HOLD_S);
	assert_non_null(n);
	assert_string_equal(n->text, "n2.test");
	assert_int_equal(n->number, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(name_and_address_lead_to_each_other, setup,
			teardown),
		cmocka_unit_test_setup_teardown(every_number_is_an_address, setup, teardown),
		cmocka_unit_test_setup_teardown(other_addresses_are_no_names, setup, teardown),
		cmocka_unit_test_setup_teardown(the_longest_unused_makes_room, setup, teardown),
		cmocka_unit_test_setup_teardown(an_address_in_use_stays, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
