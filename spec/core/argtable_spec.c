/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/argtable.h"
#include "core/base.h"
#include "core/log.h"

struct into {
	bool flag;
	int count;
	const char *text;
	size_t whole;
	double number;
	char taken[16];
};

static int take(void *to, const struct argtable_row *row, const char *text)
{
	if (strcmp(text, "bad") == 0)
		return argtable_wrong(row, text, "give another");
	snprintf(((struct into *)to)->taken, 16, "%s=%s", row->name, text);
	return 0;
}

static const struct argtable_row rows[] = {
	{.heading = "A heading"},
	{.letter = 'f', .name = "flag", .help = "a flag", .field = offsetof(struct into, flag)},
	{.letter = 'c',
		.name = "count",
		.help = "how often",
		.kind = ARGTABLE_COUNT,
		.field = offsetof(struct into, count)},
	{.name = "text",
		.value = "TEXT",
		.help = "text",
		.kind = ARGTABLE_TEXT,
		.field = offsetof(struct into, text)},
	{.name = "whole",
		.value = "N",
		.help = "whole",
		.kind = ARGTABLE_WHOLE,
		.field = offsetof(struct into, whole),
		.least = 1,
		.most = 9},
	{.name = "number",
		.value = "S",
		.help = "number",
		.kind = ARGTABLE_NUMBER,
		.field = offsetof(struct into, number),
		.least = 0.5,
		.most = 9},
	{.letter = 't',
		.name = "taken",
		.value = "WORD",
		.help = "taken",
		.kind = ARGTABLE_TAKEN,
		.take = take},
};

static char said[256];

static void on_line(void *arg, enum log_level level, const char *line)
{
	UNUSED(arg);
	assert_int_equal(level, LOG_LEVEL_ERROR);
	snprintf(said, sizeof(said), "%s", line);
}

static struct into into;
static bool given[ARRAY_LEN(rows)];

static int parse(const char *line)
{
	static char copy[256];
	static char *words[16];
	int n = 0;

	into = (struct into){0};
	memset(given, 0, sizeof(given));
	snprintf(copy, sizeof(copy), "program %s", line);
	for (char *w = strtok(copy, " "); w; w = strtok(NULL, " "))
		words[n++] = w;
	words[n] = NULL;
	return argtable_parse(rows, ARRAY_LEN(rows), &into, given, n, words);
}

static void each_kind_fills_its_field(void **state)
{
	static const bool all[] = {false, true, true, true, true, true, true};

	(void)state;
	assert_int_equal(parse("-fcc --text a --whole=3 --number 0.5 -tx -c rest --flag"), 10 - 1);
	assert_true(into.flag);
	assert_int_equal(into.count, 3);
	assert_string_equal(into.text, "a");
	assert_int_equal(into.whole, 3);
	assert_true(into.number == 0.5);
	assert_string_equal(into.taken, "taken=x");
	assert_memory_equal(given, all, sizeof(given));
}

static void what_is_not_an_option_ends_them(void **state)
{
	(void)state;
	assert_int_equal(parse("a -f"), 1);
	assert_false(into.flag);
	assert_int_equal(parse("-f -- -c"), 3);
	assert_int_equal(into.count, 0);
	assert_true(given[1]);
	assert_false(given[2]);
}

static void what_is_wrong_is_said_in_one_line(void **state)
{
	static const char *const wrong[][2] = {
		{"--whole 10", "--whole '10': give a number from 1 to 9"},
		{"--whole 1.5", "--whole '1.5': give a whole number"},
		{"--number 0.4", "--number '0.4': give a number from 0.5 to 9"},
		{"--number nan", "--number 'nan': give a number from 0.5 to 9"},
		{"-t bad", "--taken 'bad': give another"},
		{"--text --", "--text '--': that ends the options: the value is missing"},
		{"--text", "option '--text': needs a value; see nsnet-host --help"},
		{"--flag=1", "option '--flag=1': takes no value"},
		{"-fx", "option '-x': there is none of this name; see nsnet-host --help"},
		{"--cuont", "option '--cuont': there is none of this name; did you mean --count?"},
	};

	(void)state;
	log_set_sink(on_line, NULL);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_int_equal(parse(wrong[i][0]), -EXIT_USAGE);
		assert_string_equal(said, wrong[i][1]);
	}
	log_set_sink(NULL, NULL);
}

static void help_is_the_table(void **state)
{
	char text[1024] = "";
	FILE *f = fmemopen(text, sizeof(text), "w");

	(void)state;
	assert_non_null(f);
	argtable_print(rows, ARRAY_LEN(rows), f);
	fclose(f);
	assert_non_null(strstr(text, "\nA heading\n  -f, --flag             a flag\n"));
	assert_non_null(strstr(text, "\n      --text TEXT        text\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_fills_its_field),
		cmocka_unit_test(what_is_not_an_option_ends_them),
		cmocka_unit_test(what_is_wrong_is_said_in_one_line),
		cmocka_unit_test(help_is_the_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
