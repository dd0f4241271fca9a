/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/settings.h"

static char said[512];

static void listen_to(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	assert_int_equal(level, LOG_LEVEL_ERROR);
	snprintf(said, sizeof(said), "%s", line);
}

static int begin(void **state)
{
	(void)state;
	said[0] = '\0';
	log_set_sink(listen_to, NULL);
	return 0;
}

static int end(void **state)
{
	(void)state;
	log_set_sink(NULL, NULL);
	return 0;
}

static void zero_stands_for_what_the_header_says(void **state)
{
	struct nsnet_options o = {0};

	(void)state;
	assert_int_equal(settings_complete(&o), 0);
	assert_string_equal(o.net4, "10.0.0.1/24");
	assert_string_equal(o.net6, "fd6e:736e:6574::1/64");
	assert_int_equal(o.mtu, 65520);
	assert_int_equal(o.max_connections, 16384);
	assert_int_equal(o.max_flows, 1024);
	assert_int_equal(o.memory, 256 << 20);
	assert_true(o.udp_idle_s == 60 && o.tcp_idle_s == 0 && o.dial_timeout_s == 0);
	assert_string_equal(said, "");
}

static void what_is_given_stays(void **state)
{
	struct nsnet_options o = {.net4 = "192.168.7.1/16",
		.net6 = "fd00::1/48",
		.mtu = 1280,
		.max_connections = 1,
		.max_flows = 2,
		.memory = 3,
		.udp_idle_s = 0.5,
		.rules = "rules.lua"};
	const struct nsnet_options given = o;

	(void)state;
	assert_int_equal(settings_complete(&o), 0);
	assert_memory_equal(&o, &given, sizeof(o));
}

static enum nsnet_verdict may_connect(void *arg, struct nsnet_flow *f)
{
	(void)arg;
	(void)f;
	return NSNET_DENY;
}

static void what_is_not_possible_is_named(void **state)
{
	const struct {
		struct nsnet_options o;
		const char *name;
	} all[] = {
		{{.net4 = "10.0.0.1"}, "net4"},
		{{.net4 = "10.0.0.1/25"}, "net4"},
		{{.net4 = "fd00::1/64"}, "net4"},
		{{.net4 = "10.0.0.1:80/24"}, "net4"},
		{{.net6 = "10.0.0.1/24"}, "net6"},
		{{.net6 = "fd00::1/121"}, "net6"},
		{{.net6 = ""}, "net6"},
		{{.mtu = 1279}, "mtu"},
		{{.mtu = 65521}, "mtu"},
		{{.tcp_idle_s = -1}, "negative"},
		{{.udp_idle_s = -1}, "negative"},
		{{.dial_timeout_s = -1}, "negative"},
		{{.rules = "rules.lua", .hooks = {.connect = may_connect}},
			"rules and options.hooks"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct nsnet_options o = all[i].o;

		said[0] = '\0';
		assert_int_equal(settings_complete(&o), -EINVAL);
		assert_non_null(strstr(said, all[i].name));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(zero_stands_for_what_the_header_says, begin, end),
		cmocka_unit_test_setup_teardown(what_is_given_stays, begin, end),
		cmocka_unit_test_setup_teardown(what_is_not_possible_is_named, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
