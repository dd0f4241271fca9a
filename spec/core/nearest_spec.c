/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/base.h"
#include "core/nearest.h"

static const char *of(const char *word, const char *const *known)
{
	struct nearest n = nearest_to(word);

	for (; *known; known++)
		nearest_try(&n, *known);
	return n.best;
}

static void finds_what_was_meant(void **state)
{
	static const char *const known[] = {"on_connect", "on_close", "on_data", "deny", "drop",
		"allow", "log", "x", NULL};
	static const char *const rows[][2] = {
		{"on_connect", "on_connect"},
		{"on_conect", "on_connect"} /* left out */,
		{"on_cconnect", "on_connect"} /* put in */,
		{"on_donnect", "on_connect"},
		{"no_connect", "on_connect"} /* swapped */,
		{"onclose", "on_close"},
		{"alow", "allow"},
		{"dney", "deny"},
		{"lgo", "log"},
		{"on_dat", "on_data"},
		{"on_start", NULL},
		{"", NULL},
		{"y", NULL},
		{"lo", "log"},
		{"refuse", NULL},
	};

	UNUSED(state);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *best = of(rows[i][0], known);

		if (rows[i][1]) {
			assert_non_null(best);
			assert_string_equal(best, rows[i][1]);
		} else {
			assert_null(best);
		}
	}
}

static void takes_the_nearest_whatever_the_order(void **state)
{
	static const char *const a[] = {"abcdef", "abcdeg", "abcxyf", NULL};
	static const char *const b[] = {"abcxyf", "abcdeg", "abcdef", NULL};

	UNUSED(state);
	assert_string_equal(of("abcde", a), "abcdef");
	assert_string_equal(of("abcde", b), "abcdef");
}

static void has_no_opinion_about_long_words(void **state)
{
	char word[NEAREST_MAX + 2];
	const char *known[] = {word, NULL};

	UNUSED(state);
	memset(word, 'a', sizeof(word));
	word[NEAREST_MAX] = '\0';
	assert_string_equal(of(word, known), word);
	word[NEAREST_MAX] = 'a';
	word[NEAREST_MAX + 1] = '\0';
	assert_null(of(word, known));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(finds_what_was_meant),
	cmocka_unit_test(takes_the_nearest_whatever_the_order),
	cmocka_unit_test(has_no_opinion_about_long_words),
};

int main(void)
{
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
