/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>

#include "spec/lua/island.h"
#include "spec/lua/rig.h"

/* Each script loads, and survives a flow of each kind without a complaint. */
static void try_all(const char *pattern, size_t at_least)
{
	glob_t g;
	assert_int_equal(glob(pattern, 0, NULL, &g), 0);
	assert_true(g.gl_pathc >= at_least);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		struct rig r;
		rig_open(&r);
		assert_int_equal(lua_host_add_file(r.host, g.gl_pathv[i]), 0);
		rig_run(&r, "");
		rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:443");
		rig_verdict(&r, IPPROTO_TCP, "[2001:db8::7]:80");
		rig_verdict(&r, IPPROTO_UDP, "198.51.100.7:123");
		rig_verdict(&r, IPPROTO_ICMP, "198.51.100.7");
		lua_host_exit(r.host, 0);
		if (lua_host_errors(r.host))
			print_error("%s: %s", g.gl_pathv[i], rig_log(&r));
		assert_int_equal(lua_host_errors(r.host), 0);
		rig_close(&r);
	}
	globfree(&g);
}

static void the_finished_scripts_run(void **state)
{
	(void)state;
	try_all("scripts/*.lua", 3);
}

static void the_examples_run(void **state)
{
	(void)state;
	try_all("examples/*.lua", 9);
}

/* Runs each block of Lua in the document, by itself; how many there are. */
static int run_blocks(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[512], code[8192];
	int blocks = 0;
	bool inside = false;
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (!strcmp(line, "```lua\n")) {
			inside = true;
			code[0] = 0;
		} else if (inside && !strcmp(line, "```\n")) {
			struct rig r;
			inside = false;
			blocks++;
			rig_open(&r);
			rig_run(&r, code);
			rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:443");
			assert_int_equal(lua_host_errors(r.host), 0);
			rig_close(&r);
		} else if (inside) {
			assert_true(strlen(code) + strlen(line) < sizeof(code));
			strcat(code, line);
		}
	}
	fclose(file);
	return blocks;
}

static void the_reference_is_true(void **state)
{
	(void)state;
	assert_true(run_blocks("lua/README.md") >= 10);
	assert_true(run_blocks("README.md") >= 1);
}

/* The rig with one of our scripts. */
static void open_script(struct rig *r, const char *path)
{
	rig_open(r);
	assert_int_equal(lua_host_add_file(r->host, path), 0);
	rig_run(r, "");
}

static void connlog_tells_how_it_ended(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	open_script(&r, "scripts/connlog.lua");
	assert_true(rig_ask(&r, &f, IPPROTO_TCP, "198.51.100.7:443"));
	f.flow.bytes_up = 999;
	f.flow.bytes_down = 1500000;
	rig_end(&r, &f, FLOW_CAUSE_CLOSED);
	assert_has(rig_log(&r), "tcp 198.51.100.7:443 allow 999 up, 1.5M down, 0.00 s, closed");
	rig_verdict(&r, IPPROTO_TCP, "127.0.0.1:80");
	assert_has(rig_log(&r), "tcp 127.0.0.1:80 deny by guard: host loopback");
	rig_close(&r);
}

static void firewall_denies_by_default(void **state)
{
	(void)state;
	struct rig r;
	open_script(&r, "scripts/firewall.lua");
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:443"), VERDICT_ALLOW);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "[2001:db8::7]:80"), VERDICT_ALLOW);
	assert_int_equal(rig_verdict(&r, IPPROTO_UDP, "198.51.100.7:123"), VERDICT_ALLOW);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:22"), VERDICT_DENY);
	assert_int_equal(rig_verdict(&r, IPPROTO_UDP, "198.51.100.7:443"), VERDICT_DENY);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "10.1.2.3:443"), VERDICT_DENY);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "[::ffff:10.1.2.3]:443"), VERDICT_DENY);
	assert_int_equal(rig_verdict(&r, IPPROTO_ICMP, "198.51.100.7"), VERDICT_DROP);
	rig_close(&r);
}

static void redirect_goes_where_its_table_says(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	char text[ADDR_TEXT_MAX];
	open_script(&r, "scripts/redirect.lua");
	assert_true(rig_ask(&r, &f, IPPROTO_TCP, "203.0.113.10:443"));
	assert_int_equal(f.flow.decision.verdict, VERDICT_REDIRECT);
	assert_string_equal(addr_format(&f.flow.decision.target, true, text), "127.0.0.1:8443");
	rig_end(&r, &f, FLOW_CAUSE_CLOSED);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "203.0.113.10:80"), VERDICT_ALLOW);
	rig_close(&r);
}

int main(void)
{
	island_enter();
	const struct CMUnitTest tests[] = {
		rig_test(the_finished_scripts_run),
		rig_test(the_examples_run),
		rig_test(the_reference_is_true),
		rig_test(connlog_tells_how_it_ended),
		rig_test(firewall_denies_by_default),
		rig_test(redirect_goes_where_its_table_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
