/* SPDX-License-Identifier: MIT */
#include "core/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base.h"

/* Parses the words of @line, which are parted by one space, as the shell would give them. */
static char copy[256];
static char *words[32];

static int parse(struct options *o, const char *line)
{
	int n = 0;

	snprintf(copy, sizeof(copy), "nsnet-host %s", line);
	for (char *w = strtok(copy, " "); w; w = strtok(NULL, " "))
		words[n++] = w;
	words[n] = NULL;
	return options_parse(o, n, words);
}

static void has_defaults(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, "-- true"), 0);
	assert_int_equal(o.command, OPTIONS_RUN);
	assert_int_equal(o.mtu, 65520);
	assert_string_equal(o.net4, "10.0.0.1/24");
	assert_string_equal(o.net6, "fd6e:736e:6574::1/64");
	assert_int_equal(o.max_conns, 16384);
	assert_int_equal(o.memory_mb, 256);
	assert_false(o.default_set);
	assert_true(o.separated);
	assert_int_equal(o.argc, 1);
	assert_string_equal(o.argv[0], "true");
	assert_null(o.argv[1]);
	options_fini(&o);
}

static void takes_every_kind_of_value(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(&o,
				 "-vv --watch --env A,B --max-conns 7 --udp-idle 0.5 "
				 "--default deny --net4 10.1.0.1/16 --net6=fd00::1/64 true -v"),
		0);
	assert_int_equal(o.verbose, 2); /* the last -v is the command's */
	assert_true(o.watch);
	assert_string_equal(o.env, "A,B");
	assert_int_equal(o.max_conns, 7);
	assert_true(o.udp_idle_s == 0.5);
	assert_true(o.default_set && o.default_deny);
	assert_string_equal(o.net4, "10.1.0.1/16");
	assert_string_equal(o.net6, "fd00::1/64");
	assert_false(o.separated);
	assert_int_equal(o.argc, 2);
	options_fini(&o);
}

static void keeps_the_order_of_scripts(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, "-s a.lua -e code --script=b.lua -- true"), 0);
	assert_int_equal(o.script_count, 3);
	assert_string_equal(o.scripts[0].text, "a.lua");
	assert_false(o.scripts[0].code);
	assert_string_equal(o.scripts[1].text, "code");
	assert_true(o.scripts[1].code);
	assert_string_equal(o.scripts[2].text, "b.lua");
	options_fini(&o);
}

static void implies_root_with_capabilities(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, "--keep-caps -- true"), 0);
	assert_true(o.root);
	options_fini(&o);
}

static void goes_on_behind_a_subcommand(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, "-s a.lua sub -s b.lua -v word --watch"), 0);
	assert_string_equal(o.argv[0], "sub");
	assert_int_equal(options_parse_after(&o), 0);
	assert_int_equal(o.script_count, 2);
	assert_int_equal(o.verbose, 1);
	assert_int_equal(o.argc, 2); /* options end at the first word, here too */
	assert_string_equal(o.argv[0], "word");
	assert_false(o.watch);
	options_fini(&o);
}

/* What parsing @line writes to stderr. */
static const char *complaint(const char *line)
{
	static char text[256];
	FILE *file = tmpfile();
	const int kept = dup(STDERR_FILENO);
	struct options o;
	ssize_t n;

	assert_non_null(file);
	assert_true(kept >= 0);
	assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(parse(&o, line), EXIT_USAGE);
	assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
	close(kept);
	options_fini(&o);
	n = pread(fileno(file), text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	fclose(file);
	return text;
}

static void names_the_thing_the_reason_and_the_remedy(void **state)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{"--mtu 5 -- true", "--mtu '5': give a number from 1280 to 65520"},
		{"--mtu 1500.5 -- true", "--mtu '1500.5': give a whole number"},
		{"--memory nan -- true", "--memory 'nan': give a number from 8 to 1000000"},
		{"--udp-idle 0x -- true", "--udp-idle '0x': give a number from 0.1 to 10000000"},
		{"--default perhaps -- true", "--default 'perhaps': say allow or deny"},
		{"--net4 10.0.0.1 -- true", "--net4 '10.0.0.1': give an IPv4 address and a prefix"},
		{"--net4 10.0.0.1/25 -- true", "--net4 '10.0.0.1/25': give an IPv4"},
		{"--net4 10.0.0.1/2x -- true", "--net4 '10.0.0.1/2x': give an IPv4"},
		{"--net4 fd00::1/24 -- true", "--net4 'fd00::1/24': give an IPv4"},
		{"--net6 10.0.0.1/24 -- true", "--net6 '10.0.0.1/24': give an IPv6"},
		{"--net6 fd00::1/ -- true", "--net6 'fd00::1/': give an IPv6"},
		{"--net6 fd00::1/999 -- true", "--net6 'fd00::1/999': give an IPv6"},
		{"-s", "option '-s': needs a value; see nsnet-host --help"},
		{"--mtu", "option '--mtu': needs a value"},
		{"--nothing -- true", "option '--nothing': there is none of this name"},
		{"--nthing -- true", "option '--nthing': there is none of this name; see"},
		{"--lgo -- true", "'--lgo': there is none of this name; did you mean --log?"},
		{"--log-jsn=x -- true", "of this name; did you mean --log-json?"},
		{"-x -- true", "option '-x': there is none of this name"},
		{"--watch=3 -- true", "option '--watch=3': takes no value"},
		{"-e -- true", "--eval '--': that ends the options: the value is missing"},
		{"--log -- true", "--log '--': that ends the options"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (!strstr(complaint(cases[i].line), cases[i].says))
			fail_msg("%s says: %s", cases[i].line, complaint(cases[i].line));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_defaults),
		cmocka_unit_test(takes_every_kind_of_value),
		cmocka_unit_test(keeps_the_order_of_scripts),
		cmocka_unit_test(implies_root_with_capabilities),
		cmocka_unit_test(goes_on_behind_a_subcommand),
		cmocka_unit_test(names_the_thing_the_reason_and_the_remedy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
