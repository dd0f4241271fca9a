/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>

#include "spec/lua/rig.h"

static char dir[] = "/tmp/nsnet-spec-XXXXXX";
static char path[64];

static int setup(void **state)
{
	(void)state;
	memcpy(dir, "/tmp/nsnet-spec-XXXXXX", sizeof(dir));
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/log", dir);
	return 0;
}

static int teardown(void **state)
{
	char command[64];
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return rig_teardown(state) || system(command);
}

static const char *content(void)
{
	static char text[4096];
	FILE *file = fopen(path, "r");
	if (!file)
		return "(no file)";
	text[fread(text, 1, sizeof(text) - 1, file)] = 0;
	fclose(file);
	return text;
}

/* Loads @code with PATH in it. Returns the status. */
static int load(struct rig *r, const char *code)
{
	char text[2048];
	snprintf(text, sizeof(text), "local PATH = '%s'\n%s", path, code);
	rig_open(r);
	return rig_load(r, text);
}

#define LINES                                                                                      \
	"local log = nsnet.append(PATH)\n"                                                         \
	"log:write 'loaded'\n"                                                                     \
	"nsnet.on_start(function() log:write 'started' end)\n"                                     \
	"nsnet.on_connect({ observe = true }, function(c) log:write(c.address) end)\n"

static void lines_are_written_from_the_loop(void **state)
{
	struct rig r;
	struct stat st;
	(void)state;
	/* A script that is only checked touches no file. */
	assert_int_equal(load(&r, LINES), 0);
	ev_run(r.loop, EVRUN_NOWAIT);
	assert_string_equal(content(), "(no file)");
	assert_int_equal(lua_host_start(r.host), 0);
	rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:80");
	assert_string_equal(content(), "");
	ev_run(r.loop, EVRUN_NOWAIT);
	assert_string_equal(content(), "loaded\nstarted\n198.51.100.7:80\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* What waits at the end is written, too; the next run adds to it. */
	rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:81");
	rig_close(&r);
	assert_string_equal(content(), "loaded\nstarted\n198.51.100.7:80\n198.51.100.7:81\n");
	assert_int_equal(load(&r, LINES), 0);
	assert_int_equal(lua_host_start(r.host), 0);
	/* A log that was turned away is opened anew when the scripts are loaded again. */
	ev_run(r.loop, EVRUN_NOWAIT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(lua_host_reload(r.host), 0);
	rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:82");
	rig_close(&r);
	assert_string_equal(content(), "loaded\nstarted\n198.51.100.7:82\n");
}

static void a_file_that_cannot_be_opened_stops_the_start(void **state)
{
	struct rig r;
	(void)state;
	assert_int_equal(load(&r, "nsnet.append(PATH .. '/no/such')"), 0);
	assert_int_equal(lua_host_start(r.host), 70);
	assert_has(rig_log(&r), "nsnet.append: ");
	rig_close(&r);
	assert_int_equal(load(&r, "nsnet.append('/dev/full')"), 0);
	assert_int_equal(lua_host_start(r.host), 70);
	assert_has(rig_log(&r), "/dev/full: neither a file nor a pipe");
	rig_close(&r);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(load(&r, "nsnet.append(PATH)"), 0);
	assert_int_equal(lua_host_start(r.host), 70);
	assert_has(rig_log(&r), "nobody reads this pipe");
	rig_close(&r);
	assert_int_equal(load(&r,
				 "assert(not pcall(nsnet.append))\n"
				 "assert(not pcall(nsnet.append, ''))\n"
				 "assert(not pcall(nsnet.append, 'a\\0b'))\n"
				 "for i = 1, 16 do nsnet.append(PATH) end\n"
				 "local ok, why = pcall(nsnet.append, PATH)\n"
				 "assert(not ok and why:find 'more than 16 files', why)\n"
				 "nsnet.on_connect(function() nsnet.append(PATH) end)\n"),
		0);
	assert_int_equal(rig_verdict(&r, IPPROTO_TCP, "198.51.100.7:80"), VERDICT_DENY);
	assert_has(rig_log(&r), "nsnet.append must be called while the script loads");
	rig_close(&r);
}

static void a_pipe_that_nobody_empties_costs_lines_and_no_more(void **state)
{
	struct rig r;
	(void)state;
	signal(SIGPIPE, SIG_IGN); /* as the host does */
	assert_int_equal(mkfifo(path, 0600), 0);
	int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(reader >= 0);
	assert_int_equal(load(&r,
				 "local log = nsnet.append(PATH)\n"
				 "nsnet.on_connect(function()\n"
				 "  local line, n = ('x'):rep(9999), 0\n"
				 "  while true do\n"
				 "    local ok, err, code = log:write(line)\n"
				 "    assert(ok or code == 'limit', err)\n"
				 "    if not ok then return nsnet.deny(tostring(n)) end\n"
				 "    n = n + 1\n"
				 "  end\n"
				 "end)\n"),
		0);
	assert_int_equal(lua_host_start(r.host), 0);
	struct rig_flow f;
	assert_true(rig_ask(&r, &f, IPPROTO_TCP, "198.51.100.7:80"));
	/* Some are in the pipe, and not more than its size and ours wait. */
	assert_in_range(atoi(f.flow.decision.reason), 26, 40);
	rig_end(&r, &f, FLOW_CAUSE_DENIED);
	assert_null(strstr(rig_log(&r), "lost"));
	close(reader);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines_are_written_from_the_loop, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_cannot_be_opened_stops_the_start, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_pipe_that_nobody_empties_costs_lines_and_no_more,
			setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
