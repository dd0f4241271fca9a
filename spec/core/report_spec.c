/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "core/options.h"
#include "core/page.h"
#include "core/report.h"

static char dir[32], log_path[64], page_path[64];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/nsnet-spec-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(log_path, sizeof(log_path), "%s/log.jsonl", dir);
	snprintf(page_path, sizeof(page_path), "%s/page.html", dir);
	return 0;
}

static int teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static void write_log(const char *text, size_t n)
{
	FILE *f = fopen(log_path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

/* What stands in the page between what is ours; malloc'd. */
static char *embedded(size_t *len)
{
	FILE *f = fopen(page_path, "re");
	char *text;
	size_t n;

	assert_non_null(f);
	text = malloc(1 << 20);
	n = fread(text, 1, 1 << 20, f);
	fclose(f);
	assert_true(n >= page_before_len + page_behind_len);
	assert_memory_equal(text, page_before, page_before_len);
	assert_memory_equal(text + n - page_behind_len, page_behind, page_behind_len);
	*len = n - page_before_len - page_behind_len;
	memmove(text, text + page_before_len, *len);
	text[*len] = '\0';
	return text;
}

static int run(const char *log, const char *page)
{
	char *argv[] = {(char *)"report", (char *)log, (char *)"-o", (char *)page, NULL};

	return report_run(4, argv);
}

static void log_stands_in_the_page_as_it_is(void **state)
{
	static const char text[] = "{\"v\":1}\n{\"a\":\"b & c > d\"}\n";
	size_t n;
	char *got;

	(void)state;
	write_log(text, sizeof(text) - 1);
	assert_int_equal(run(log_path, page_path), 0);
	got = embedded(&n);
	assert_string_equal(got, text);
	free(got);
}

/* Nothing in a log can end the element that it stands in, well-formed or not. */
static void less_than_never_stands_in_the_page(void **state)
{
	static const char text[] = "{\"a\":\"</script><script>x()\"}\n<!--\n</script >\n\0<b>\n<";
	size_t n;
	char *got;

	(void)state;
	write_log(text, sizeof(text) - 1);
	assert_int_equal(run(log_path, page_path), 0);
	got = embedded(&n);
	assert_null(memchr(got, '<', n));
	assert_non_null(strstr(got, "{\"a\":\"\\u003c/script>\\u003cscript>x()\"}\n"));
	assert_memory_equal(got + n - 6, "\\u003c", 6);
	free(got);
}

/* The page's halves are no strings: they end without a NUL. */
static bool has(const char *half, size_t len, const char *text)
{
	return memmem(half, len, text, strlen(text));
}

static void page_loads_nothing(void **state)
{
	(void)state;
	assert_false(has(page_before, page_before_len, "http:"));
	assert_false(has(page_before, page_before_len, "https:"));
	assert_false(has(page_behind, page_behind_len, "http:"));
	assert_false(has(page_behind, page_behind_len, "https:"));
	assert_true(has(page_before, page_before_len, "default-src 'none'"));
}

static void what_is_no_log_makes_no_page(void **state)
{
	(void)state;
	write_log("GIF89a\n", 7);
	assert_int_equal(run(log_path, page_path), EXIT_NO_INPUT);
	assert_int_equal(access(page_path, F_OK), -1);
	write_log("", 0);
	assert_int_equal(run(log_path, page_path), EXIT_NO_INPUT);
	assert_int_equal(run("/nonexistent/log", page_path), EXIT_NO_INPUT);
	assert_int_equal(run(dir, page_path), EXIT_NO_OUTPUT); /* a folder cannot be read */
	assert_int_equal(access(page_path, F_OK), -1);
}

static void log_is_not_overwritten(void **state)
{
	struct stat st;

	(void)state;
	write_log("{}\n", 3);
	assert_int_equal(run(log_path, log_path), EXIT_USAGE);
	assert_int_equal(stat(log_path, &st), 0);
	assert_int_equal(st.st_size, 3);
}

static void page_that_cannot_be_written_is_an_error(void **state)
{
	(void)state;
	write_log("{}\n", 3);
	assert_int_equal(run(log_path, "/nonexistent/page"), EXIT_NO_OUTPUT);
	assert_int_equal(run(log_path, "/dev/full"), EXIT_NO_OUTPUT);
	assert_int_equal(access("/dev/full", F_OK), 0);
}

static void words_it_does_not_know_are_told(void **state)
{
	char *none[] = {(char *)"report", NULL};
	char *option[] = {(char *)"report", (char *)"--pretty", log_path, NULL};
	char *two[] = {(char *)"report", log_path, log_path, NULL};
	char *no_page[] = {(char *)"report", log_path, (char *)"-o", NULL};

	(void)state;
	write_log("{}\n", 3);
	assert_int_equal(report_run(1, none), EXIT_USAGE);
	assert_int_equal(report_run(3, option), EXIT_USAGE);
	assert_int_equal(report_run(3, two), EXIT_USAGE);
	assert_int_equal(report_run(3, no_page), EXIT_USAGE);
}

#define SPEC(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPEC(log_stands_in_the_page_as_it_is),
		SPEC(less_than_never_stands_in_the_page),
		SPEC(page_loads_nothing),
		SPEC(what_is_no_log_makes_no_page),
		SPEC(log_is_not_overwritten),
		SPEC(page_that_cannot_be_written_is_an_error),
		SPEC(words_it_does_not_know_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
