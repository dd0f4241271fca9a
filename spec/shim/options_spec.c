/* SPDX-License-Identifier: MIT */
#include "container-shim/options.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct options o;

/* Parses @words, NULL-terminated, behind "container-shim --fd 0". */
static int parse(const char *const *words)
{
	static char *argv[96] = {"container-shim", "--fd", "0"}; /* @o points into it */
	int argc = 3;

	while (*words)
		argv[argc++] = (char *)*words++;
	argv[argc] = NULL;
	optind = 0;
	return options_parse(&o, argc, argv);
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void has_defaults(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--", "cmd"), 0);
	assert_int_equal(o.fd, 0);
	assert_int_equal(o.mtu, 65520);
	assert_int_equal(ntohl(o.net4.addr.s_addr), 0x0a000001);
	assert_int_equal(o.net4.prefix, 24);
	assert_int_equal(o.net6.addr.s6_addr[0], 0xfd);
	assert_int_equal(o.net6.addr.s6_addr[15], 1);
	assert_int_equal(o.net6.prefix, 64);
	assert_true(o.unshare && o.drop);
	assert_false(o.root || o.keep_caps || o.verbose);
	assert_null(o.dns[0]);
	assert_null(o.hide[0]);
	assert_string_equal(o.tun_path, "/dev/net/tun");
}

static void leaves_the_commands_options_to_it(void **state)
{
	(void)state;
	assert_int_equal(PARSE("cmd", "--mtu", "12", "-v"), 0);
	assert_string_equal(o.command[0], "cmd");
	assert_string_equal(o.command[1], "--mtu");
	assert_false(o.verbose);
	assert_int_equal(PARSE("--", "--root"), 0);
	assert_string_equal(o.command[0], "--root");
	assert_false(o.root);
}

static void keeping_capabilities_implies_root(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--keep-caps", "--", "cmd"), 0);
	assert_true(o.root);
}

static void collects_lists(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--dns", "10.0.0.53", "--hide", "/a", "--dns", "fd00::53", "--hide",
				 "/b", "cmd"),
		0);
	assert_string_equal(o.dns[0], "10.0.0.53");
	assert_string_equal(o.dns[1], "fd00::53");
	assert_null(o.dns[2]);
	assert_string_equal(o.hide[1], "/b");
	assert_null(o.hide[2]);
}

static void bounds_lists(void **state)
{
	const char *words[64];
	int n = 0;

	(void)state;
	for (int i = 0; i < OPTIONS_LIST_MAX - 1; i++) {
		words[n++] = "--hide";
		words[n++] = "/a";
	}
	words[n] = "cmd";
	words[n + 1] = NULL;
	assert_int_equal(parse(words), 0);
	words[n] = "--hide";
	words[n + 1] = "/a";
	words[n + 2] = "cmd";
	words[n + 3] = NULL;
	assert_int_equal(parse(words), 2);
}

static void takes_ports_to_listen_at(void **state)
{
	const char *words[2 * OPTIONS_LISTEN_MAX + 4];
	int n = 0;

	(void)state;
	for (int i = 0; i < OPTIONS_LISTEN_MAX; i++) {
		words[n++] = "--listen";
		words[n++] = "65535";
	}
	words[n] = "cmd";
	words[n + 1] = NULL;
	assert_int_equal(parse(words), 0);
	assert_int_equal(o.n_listen, OPTIONS_LISTEN_MAX);
	assert_int_equal(o.listen[OPTIONS_LISTEN_MAX - 1], 65535);
	words[n] = "--listen";
	words[n + 1] = "1";
	words[n + 2] = "cmd";
	words[n + 3] = NULL;
	assert_int_equal(parse(words), 2);
}

static void refuses(const char *option, const char *value)
{
	if (PARSE(option, value, "cmd") != 2)
		fail_msg("%s '%s' was taken", option, value);
}

static void refuses_what_it_cannot_mean(void **state)
{
	static const char *const bad[][2] = {
		{"--mtu", "1279"},
		{"--mtu", "65521"},
		{"--mtu", "-1500"},
		{"--mtu", "1500x"},
		{"--mtu", ""},
		{"--mtu", "99999999999999999999"},
		{"--net4", "10.0.0.1"},
		{"--net4", "10.0.0.1/0"},
		{"--net4", "10.0.0.1/33"},
		{"--net4", "10.0.0.256/24"},
		{"--net4", "fd00::1/64"},
		{"--net4", "10.0.0.1/24/2"},
		{"--net6", "fd00::1/129"},
		{"--net6", "10.0.0.1/24"},
		{"--net6", "fd00::1/"},
		{"--dns", "example.com"},
		{"--dns", "10.0.0.53 evil"},
		{"--dns", "10.0.0.53\nsearch evil"},
		{"--hide", "a"},
		{"--hide", ""},
		{"--tun-name", ""},
		{"--tun-name", "sixteen-letters-"},
		{"--tun-name", "a/b"},
		{"--fd", "x"},
		{"--fd", "-1"},
		{"--fd", "1023"},
		{"--no-such-option", "x"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuses(bad[i][0], bad[i][1]);
}

static void refuses_contradictions(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--no-unshare", "--root", "cmd"), 2);
	assert_int_equal(PARSE("--no-unshare", "--keep-caps", "cmd"), 2);
	assert_int_equal(PARSE("--no-unshare", "cmd"), 0);
	assert_int_equal(PARSE("--join-net", "/n", "--join-user", "/u"), 0);
	assert_string_equal(o.join_net, "/n");
	assert_string_equal(o.join_user, "/u");
	assert_false(o.unshare);
	assert_int_equal(PARSE("--join-net", "/n", "cmd"), 2);
	assert_int_equal(PARSE("--join-net", "/n", "--dns", "10.0.0.53"), 2);
	assert_int_equal(PARSE("--join-net", "/n", "--hide", "/tmp"), 2);
	assert_int_equal(PARSE("--join-net", "/n", "--root"), 2);
	assert_int_equal(PARSE("--join-user", "/u", "cmd"), 2);
}

static void wants_a_command_and_a_socket(void **state)
{
	char *no_fd[] = {"container-shim", "--", "cmd", NULL};
	char *bind[] = {"container-shim", "--bind-tun", "/r", NULL};

	(void)state;
	assert_int_equal(PARSE("--root", "--"), 2);
	optind = 0;
	assert_int_equal(options_parse(&o, 3, no_fd), 2);
	optind = 0;
	assert_int_equal(options_parse(&o, 3, bind), 0);
	assert_string_equal(o.bind_tun, "/r");
	assert_int_equal(PARSE("--bind-tun", "/r", "--join-net", "/n"), 2);
	assert_int_equal(PARSE("--bind-tun", ""), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_defaults),
		cmocka_unit_test(leaves_the_commands_options_to_it),
		cmocka_unit_test(keeping_capabilities_implies_root),
		cmocka_unit_test(collects_lists),
		cmocka_unit_test(bounds_lists),
		cmocka_unit_test(takes_ports_to_listen_at),
		cmocka_unit_test(refuses_what_it_cannot_mean),
		cmocka_unit_test(refuses_contradictions),
		cmocka_unit_test(wants_a_command_and_a_socket),
	};

	/* A descriptor that is open, for --fd 0, and one that is not. */
	if (fcntl(0, F_GETFD) == -1 && open("/dev/null", O_RDONLY) != 0)
		return 1;
	close(1023);
	return cmocka_run_group_tests_name("shim/options", tests, NULL, NULL);
}
