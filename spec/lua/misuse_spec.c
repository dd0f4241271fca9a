/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spec/lua/rig.h"

#define PUBLIC "198.51.100.7:443"

/* What is left out in silence is a rule that its writer believes in. */
static void nothing_of_a_script_is_left_out_in_silence(void **state)
{
	(void)state;
	static const char *const bad[][2] = {
		{"nsnet.rules { { port = { 80, https = 443 }, nsnet.deny } }",
			"port= must be a list; 'https' is no place in one"},
		{"nsnet.rules { { port = { 80, nil, 443 }, nsnet.deny } }",
			"port=: entry 2 is nil, and others follow"},
		{"nsnet.rules { { cidr = { '10.0.0.0/8', lan = '192.168.0.0/16' }, nsnet.deny } }",
			"cidr= must be a list; 'lan'"},
		{"nsnet.rules { { domain = { 'a.test', more = 'b.test' }, nsnet.deny } }",
			"domain= must be a list; 'more'"},
		{"nsnet.rules { { sni = { 'a.test', [3] = 'b.test' }, nsnet.deny } }",
			"sni=: entry 2 is nil"},
		{"nsnet.rules { { process = { 'curl', x = 'wget' }, nsnet.deny } }",
			"process= must be a list; 'x'"},
		{"nsnet.on_dns({ type = { 'A', x = 'AAAA' } }, print)", "type= must be a list"},
		{"nsnet.on_dns({ domain = { 'a.test', x = 'b.test' } }, print)",
			"domain= must be a list"},
		{"nsnet.domains { ads = 'a.test' }", "nsnet.domains must be a list; 'ads'"},
		{"local t = { 'a.test' } t[9] = 'b.test' nsnet.domains(t)",
			"nsnet.domains: entry 2 is nil"},
		{"nsnet.cidrs { '10.0.0.0/8', x = '::/0' }", "nsnet.cidrs must be a list; 'x'"},
		{"local t = { { port = 1, nsnet.deny } } t[3] = { nsnet.deny } nsnet.rules(t)",
			"nsnet.rules: entry 2 is nil, and others follow"},
		{"nsnet.rules { [0] = { nsnet.deny } }",
			"nsnet.rules must be a list; '0' is no place in one"},
		{"nsnet.rules { [1.5] = { nsnet.deny } }", "'1.5' is no place"},
		{"nsnet.default(nsnet.deny { style = 'unreachable' })",
			"nsnet.default takes nsnet.deny alone; a last rule without conditions"},
		{"nsnet.default(nsnet.deny 'why')", "nsnet.default takes nsnet.deny alone"},
		{"nsnet.default(nsnet.allow, 1)", "nsnet.default takes nsnet.allow alone"},
		{"nsnet.deny(5)", "nsnet.deny takes a reason (a string) or a table, not a number"},
		{"nsnet.redirect('192.0.2.1:80\\0.example')", "is no IP address with a port"},
		{"local v = nsnet.redirect()", "nsnet.redirect takes a string, not nothing"},
		{"local v = nsnet.redirect('192.0.2.1:80', 'why')",
			"nsnet.redirect(address, options) takes a table, not a string"},
		{"nsnet.guard()", "nsnet.guard takes ([filter,] function), not nothing"},
		{"nsnet.guard({ process = './curl' }, print)",
			"process=\"./curl\" is no absolute path"},
		{"nsnet.guard({ process = '../curl' }, print)", "is no absolute path"},
		{"nsnet.guard({ process = '~/curl' }, print)", "is no absolute path"},
		{"nsnet.guard({ process = '' }, print)", "process=\"\" is no program's name"},
		{"nsnet.append('a.log', 'a line')", "nsnet.append takes a path alone"},
		{"nsnet.log.conn(5)", "nsnet.log.conn takes a connection, not a number"},
		{"require()", "rules.lua:1: require takes the name of a module, not a nil"},
		{"require 'a/b'", "rules.lua:1: module 'a/b' was not found: it is no module name"},
		{"rawset(nsnet, 'deny', nsnet.allow)", "rules.lua:1: nsnet.deny cannot be set"},
		{"require('nsnet.http_connect').dialer { proxy = '192.0.2.1:1', user = 'a:b' }",
			"rules.lua:1: http_connect.dialer: user has a colon"},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct rig r;
		rig_open(&r);
		int status = rig_load(&r, bad[i][0]);
		if (status != 70)
			print_error("loaded: %s\n", bad[i][0]);
		const char *log = rig_log(&r);
		assert_has(log, bad[i][1]);
		assert_has(log, "nsnet-host: rules.lua:1: ");
		assert_int_equal(status, 70);
		rig_close(&r);
	}
}

static void a_limit_that_says_nothing_is_refused(void **state)
{
	(void)state;
	static const char *const bad[][2] = {
		{"{ burst = 5 }", "conn:limit: burst= belongs to an up= or down="},
		{"{ up = bucket, burst = 5 }", "a bucket has its own"},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct rig r;
		char code[256];
		rig_open(&r);
		snprintf(code, sizeof(code),
			"local bucket = nsnet.bucket { rate = 9 }\n"
			"nsnet.on_connect(function(c) c:limit %s end)",
			bad[i][0]);
		rig_run(&r, code);
		assert_int_equal(rig_verdict(&r, IPPROTO_TCP, PUBLIC), VERDICT_DENY);
		assert_has(rig_log(&r), bad[i][1]);
		rig_close(&r);
	}
}

/* A pipe is read once. Read again it would be empty, and its rules gone; and one that nobody writes
 * to would stop the loop. */
static void a_pipe_is_read_at_the_start_only(void **state)
{
	(void)state;
	struct rig r;
	char dir[] = "/tmp/nsnet-spec-XXXXXX", path[64], code[256];
	int fd[2];
	assert_non_null(mkdtemp(dir));
	assert_int_equal(pipe(fd), 0);
	assert_true(write(fd[1], "nsnet.default(nsnet.deny)", 25) == 25);
	close(fd[1]);
	snprintf(path, sizeof(path), "/dev/fd/%d", fd[0]);
	rig_open(&r);
	assert_int_equal(lua_host_add_file(r.host, path), 0);
	rig_run(&r, "");
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, PUBLIC), VERDICT_DENY);
	assert_int_equal(lua_host_reload(r.host), 66);
	assert_has(rig_log(&r), "no regular file: it can only be read at the start; keep it in a");
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, PUBLIC), VERDICT_DENY);
	rig_close(&r);
	close(fd[0]);

	snprintf(path, sizeof(path), "%s/list", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	snprintf(code, sizeof(code),
		"nsnet.on_connect({ port = 443 }, function() nsnet.domains '%s' end)\n"
		"nsnet.on_connect({ port = 80 }, function() nsnet.cidrs '/dev/zero' end)",
		path);
	rig_open(&r);
	rig_run(&r, code);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, PUBLIC), VERDICT_DENY);
	assert_has(rig_log(&r), "list: no regular file");
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:80"), VERDICT_DENY);
	assert_has(rig_log(&r), "/dev/zero: no regular file");
	rig_close(&r);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(nothing_of_a_script_is_left_out_in_silence),
		rig_test(a_limit_that_says_nothing_is_refused),
		rig_test(a_pipe_is_read_at_the_start_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
