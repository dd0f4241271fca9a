/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"

/* Stderr is a pipe while a message is written, so that the test sees what one read() gives. */
static int saved_stderr, out[2];

static int capture(void **state)
{
	(void)state;
	saved_stderr = dup(STDERR_FILENO);
	if (pipe2(out, O_NONBLOCK) == -1 || dup2(out[1], STDERR_FILENO) == -1)
		return -1;
	log_set_level(LOG_LEVEL_WARN);
	return 0;
}

static int release(void **state)
{
	(void)state;
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(out[0]);
	close(out[1]);
	return 0;
}

/* What was written since the last call, "" if nothing. */
static const char *written(void)
{
	static char text[2 * PIPE_BUF];
	ssize_t n = read(out[0], text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void line_begins_with_our_name(void **state)
{
	(void)state;
	log_warn("dial %s: %d", "example.com", 7);
	assert_string_equal(written(), "nsnet-host: dial example.com: 7\n");
}

static void level_decides(void **state)
{
	(void)state;
	log_info("quiet");
	log_debug("quiet");
	assert_string_equal(written(), "");
	assert_false(log_enabled(LOG_LEVEL_INFO));
	log_set_level(LOG_LEVEL_INFO);
	assert_true(log_enabled(LOG_LEVEL_INFO));
	log_info("loud");
	log_debug("quiet");
	assert_string_equal(written(), "nsnet-host: loud\n");
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("quiet");
	log_error("loud");
	assert_string_equal(written(), "nsnet-host: loud\n");
}

static void strangers_cannot_forge_lines(void **state)
{
	static const struct {
		const char *text, *shown;
	} row[] = {
		{"a\nnsnet-host: all is well", "a\\x0ansnet-host: all is well"},
		{"\r\t\b\x7f", "\\x0d\t\\x08\\x7f"}, {"\x1b[2J", "\\x1b[2J"},
		{"\xc2\x9b"
		 "2J",
			"\\xc2\\x9b2J"},                      /* C1 CSI in UTF-8 */
		{"\x9b", "\\x9b"},                            /* and in Latin-1 */
		{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"}, /* good UTF-8 stays */
		{"\xe2\x82\xac \xf0\x9f\x90\xa7", "\xe2\x82\xac \xf0\x9f\x90\xa7"},
		{"\xe2\x80\xae", "\\xe2\\x80\\xae"}, /* right-to-left override */
		{"\xe2\x80\xa8", "\\xe2\\x80\\xa8"}, /* line separator */
		{"\xc0\x8a", "\\xc0\\x8a"},          /* overlong newline */
		{"\xe0\x80\x8a", "\\xe0\\x80\\x8a"},
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"},                    /* surrogate */
		{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},           /* above U+10FFFF */
		{"\xff\xfe", "\\xff\\xfe"}, {"\xe2\x82", "\\xe2\\x82"}, /* cut short by the end */
	};
	char expect[128];

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		log_warn("%s", row[i].text);
		strcpy(expect, "nsnet-host: ");
		strcat(expect, row[i].shown);
		strcat(expect, "\n");
		assert_string_equal(written(), expect);
	}
}

static void long_text_is_cut_to_one_atomic_write(void **state)
{
	static char text[3 * PIPE_BUF];
	const char *line;

	(void)state;
	for (int fill = 0; fill < 2; fill++) {
		memset(text, fill ? '\n' : 'x', sizeof(text) - 1);
		log_warn("%s", text);
		line = written();
		assert_in_range(strlen(line), PIPE_BUF - 4, PIPE_BUF);
		assert_string_equal(line + strlen(line) - 4, "...\n");
		assert_null(memchr(line, '\n', strlen(line) - 1));
	}
}

static void full_pipe_costs_the_line_only(void **state)
{
	char fill[PIPE_BUF] = {0};

	(void)state;
	while (write(out[1], fill, sizeof(fill)) > 0)
		;
	errno = ENOENT;
	log_warn("nobody reads this");
	assert_int_equal(errno, ENOENT);
}

static void errno_is_kept_for_the_text_and_after(void **state)
{
	(void)state;
	errno = ECONNREFUSED;
	log_warn("dial: %m");
	assert_int_equal(errno, ECONNREFUSED);
	assert_string_equal(written(), "nsnet-host: dial: Connection refused\n");
}

static void limit_counts_what_it_leaves_out(void **state)
{
	struct log_limit l = {.burst = 2};
	unsigned long dropped = 99;
	int passed = 0;

	(void)state;
	/* Far more calls than the seconds that can go by meanwhile. */
	for (int i = 0; i < 1000; i++)
		passed += log_limit_pass(&l, &dropped);
	assert_in_range(passed, 2, 998);
	assert_true(l.dropped > 0);

	/* A later second: the first line tells, the next does not tell again. */
	l.dropped = 5;
	l.second -= 10;
	assert_true(log_limit_pass(&l, &dropped));
	assert_int_equal(dropped, 5);
	l.second -= 10;
	assert_true(log_limit_pass(&l, &dropped));
	assert_int_equal(dropped, 0);
}

static void keep_line(void *arg, enum log_level level, const char *line)
{
	snprintf(arg, 100, "%d %s", level, line);
}

static void a_sink_gets_the_lines_instead(void **state)
{
	char line[100] = "";

	(void)state;
	log_set_sink(keep_line, line);
	log_warn("a\nb \033[2J");
	assert_string_equal(line, "1 a\\x0ab \\x1b[2J");
	log_info("nobody wants to know");
	assert_string_equal(line, "1 a\\x0ab \\x1b[2J");
	assert_string_equal(written(), "");
	log_set_sink(NULL, NULL);
	log_warn("again");
	assert_string_equal(written(), "nsnet-host: again\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(line_begins_with_our_name, capture, release),
		cmocka_unit_test_setup_teardown(level_decides, capture, release),
		cmocka_unit_test_setup_teardown(strangers_cannot_forge_lines, capture, release),
		cmocka_unit_test_setup_teardown(long_text_is_cut_to_one_atomic_write, capture,
			release),
		cmocka_unit_test_setup_teardown(full_pipe_costs_the_line_only, capture, release),
		cmocka_unit_test_setup_teardown(errno_is_kept_for_the_text_and_after, capture,
			release),
		cmocka_unit_test(limit_counts_what_it_leaves_out),
		cmocka_unit_test_setup_teardown(a_sink_gets_the_lines_instead, capture, release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
