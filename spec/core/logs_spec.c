/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sample.h"

#include <signal.h>

#include "core/log.h"
#include "core/logs.h"

static struct {
	struct policy policy;
	struct cage cage;
	struct logs logs;
	struct options options;
	char path[32];
} t;

static int setup(void **state)
{
	static char *argv[] = {NULL};

	(void)state;
	memset(&t, 0, sizeof(t));
	cage_init(&t.cage);
	t.policy.loop = ev_default_loop(0);
	t.options.argv = argv;
	sample_path(t.path);
	log_set_level(LOG_LEVEL_ERROR);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	logs_close(&t.logs, 0);
	logs_close(&t.logs, 0);
	assert_null(t.policy.observers);
	cage_fini(&t.cage);
	unlink(t.path);
	return 0;
}

static int open_logs(void)
{
	return logs_open(&t.logs, &t.options, &t.policy, &t.cage);
}

static void costs_nothing_where_nothing_is_asked(void **state)
{
	(void)state;
	assert_int_equal(open_logs(), 0);
	assert_null(t.policy.observers);
	assert_false(t.policy.identify);
	assert_false(t.policy.logged);
	assert_false(t.cage.sees_processes);
	assert_false(logs_signal(&t.logs, SIGUSR1));
}

static void asks_for_processes_unless_told_not_to(void **state)
{
	(void)state;
	t.options.log = t.path;
	assert_int_equal(open_logs(), 0);
	assert_non_null(t.policy.observers);
	assert_true(t.policy.identify);
	assert_true(t.cage.sees_processes);
	assert_false(t.policy.logged); /* a file is not where denials are looked for */
	logs_close(&t.logs, 0);

	t.policy.identify = t.cage.sees_processes = false;
	t.options.no_who = true;
	assert_int_equal(open_logs(), 0);
	assert_false(t.policy.identify);
	assert_false(t.cage.sees_processes);
}

static void logs_to_stderr_if_verbose(void **state)
{
	(void)state;
	t.options.verbose = 1;
	assert_int_equal(open_logs(), 0);
	assert_true(t.policy.logged);
	assert_non_null(t.logs.text.observer.decided);
}

static void ends_alike_for_every_file_that_cannot_be_written(void **state)
{
	const char **option[] = {&t.options.log, &t.options.log_json, &t.options.pcap,
		&t.options.learn};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(option); i++) {
		*option[i] = "/dev/null/log";
		assert_int_equal(open_logs(), EXIT_NO_OUTPUT);
		logs_close(&t.logs, 0);
		assert_null(t.policy.observers);
		*option[i] = NULL;
	}
	t.options.pcap_files = 2;
	assert_int_equal(open_logs(), EXIT_USAGE);
}

static void writes_all_of_them_at_once(void **state)
{
	struct flow f = sample_flow(IPPROTO_TCP, "203.0.113.9:443");
	char other[32], *text;

	(void)state;
	sample_path(other);
	t.options.log = t.path;
	t.options.log_json = other;
	t.options.summary = true;
	assert_int_equal(open_logs(), 0);
	observe_ended(t.policy.observers, &f);
	assert_false(logs_signal(&t.logs, SIGHUP));
	assert_true(logs_signal(&t.logs, SIGUSR1));
	logs_close(&t.logs, 3);
	text = sample_text(t.path);
	assert_non_null(strstr(text, "203.0.113.9:443"));
	free(text);
	text = sample_text(other);
	assert_non_null(strstr(text, "\"type\":\"flow\""));
	assert_non_null(strstr(text, "\"status\":3"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(costs_nothing_where_nothing_is_asked, setup,
			teardown),
		cmocka_unit_test_setup_teardown(asks_for_processes_unless_told_not_to, setup,
			teardown),
		cmocka_unit_test_setup_teardown(logs_to_stderr_if_verbose, setup, teardown),
		cmocka_unit_test_setup_teardown(ends_alike_for_every_file_that_cannot_be_written,
			setup, teardown),
		cmocka_unit_test_setup_teardown(writes_all_of_them_at_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
