/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <lauxlib.h>
#include <malloc.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lua/scripts.h"
#include "lua/stream.h"
#include "spec/lua/island.h"
#include "spec/lua/rig.h"

/* Everywhere a script can wait, the wait ends: with its flow, with its rules, or with both. Each
 * leaves what there was before: the registry, the coroutines, the descriptors, the memory.
 */
#define PUBLIC "198.51.100.7:443"
#define WARM 2   /* rounds until pools and tables have their size */
#define ROUNDS 5 /* further ones, which must cost nothing */

struct await {
	const char *code;
	int bytes; /* of @answer that the peer sends */
};

/* What a SOCKS5 proxy says in a good conversation. */
static const char answer[] = "\5\0\5\0\0\1\0\0\0\0\0\0";

static const char socks5[] = "require('nsnet.socks5').dialer { proxy = PEER }('tcp', "
			     "'198.51.100.7:443')";
static const char wrapped[] = "coroutine.wrap(function() coroutine.wrap(function()\n"
			      "require('nsnet.socks5').dialer { proxy = PEER }('tcp', "
			      "'198.51.100.7:443') end)() end)()";

static const struct await awaits[] = {
	{"nsnet.sleep(100)", 0},
	{"pcall(nsnet.sleep, 100)", 0},
	{"nsnet.dial('tcp', PEER):read(1)", 0},
	{"nsnet.dial('tcp', PEER):read_exact(13)", 12},
	{"nsnet.dial('tcp', PEER):read_line()", 12},
	{"nsnet.dial('tcp', PEER):read_until('end')", 12},
	{"local s = nsnet.dial('unix', UNIX) while s:write(('x'):rep(300000)) do end", 0},
	{"local s = nsnet.dial('tcp', PEER) nsnet.spawn(s.read, s, 1):join()", 0},
	{"nsnet.dial('udp', '127.0.0.3:1'):read(1)", 0},
	{"nsnet.dial('tcp', FULL)", 0},
	{"nsnet.dial('tcp', FULL, { bind = '127.0.0.9' })", 0},
	{"nsnet.dial('tcp', 'name.invalid:9')", 0},
	{"nsnet.dial('udp', 'name.invalid:9')", 0},
	{"nsnet.resolve('name.invalid')", 0},
	{"local st = nsnet.state st.t = st.t or nsnet.spawn(nsnet.sleep, 100) st.t:join()", 0},
	{"coroutine.wrap(function() nsnet.sleep(100) end)()", 0},
	{"setmetatable({}, { __index = function() nsnet.sleep(100) end }).x()", 0},
	{"for _ in function() nsnet.sleep(100) end do end", 0},
	{"load('nsnet.sleep(100)')()", 0},
	/* each step of a handshake, plain and at depth */
	{socks5, 0},
	{socks5, 1},
	{socks5, 2},
	{socks5, 5},
	{socks5, 6},
	{socks5, 11},
	{wrapped, 0},
	{wrapped, 2},
	{wrapped, 6},
	{"require('nsnet.http_connect').dialer { proxy = PEER }('tcp', '198.51.100.7:443')", 0},
};

static int idle, full, silent; /* listeners: talks, never answers, a mute name server */
static int held[64], held_len; /* connections of the first */
static int local_listener;
static char path[64], local[64];

static int listener(uint32_t ip, uint16_t port, int type, int queue)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(ip)};
	int s = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(s, (struct sockaddr *)&sin, sizeof(sin)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(s, queue), 0);
	for (int i = 0; type == SOCK_STREAM && !queue && i < 2; i++) {
		int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(c, (struct sockaddr *)&sin, sizeof(sin));
		close(c);
	}
	return s;
}

static int setup(void **state)
{
	(void)state;
	full = listener(0x7f000002, 9, SOCK_STREAM, 0);
	idle = listener(0x7f000003, 9, SOCK_STREAM, 64);
	silent = listener(0x7f000035, 53, SOCK_DGRAM, 0);
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	snprintf(local, sizeof(local), "/tmp/nsnet-await-%d.socket", (int)getpid());
	memcpy(sun.sun_path, local, sizeof(local));
	local_listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(local_listener, (struct sockaddr *)&sun, sizeof(sun)) ||
		listen(local_listener, 64))
		return -1;
	snprintf(path, sizeof(path), "/tmp/nsnet-await-%d.lua", (int)getpid());
	return 0;
}

static int teardown(void **state)
{
	close(full);
	close(idle);
	close(silent);
	close(local_listener);
	unlink(path);
	unlink(local);
	return rig_teardown(state);
}

/* Lets everything get as far as it can. */
static void settle(struct rig *r, int bytes)
{
	for (int i = 0; i < 12; i++) {
		int c = accept4(idle, NULL, NULL, SOCK_CLOEXEC);
		ev_run(r->loop, EVRUN_NOWAIT);
		if (c >= 0) {
			assert_int_equal(send(c, answer, (size_t)bytes, MSG_NOSIGNAL), bytes);
			held[held_len++] = c;
		}
		usleep(300);
	}
}

static void let_go(struct rig *r)
{
	for (int i = 0; i < 3; i++)
		ev_run(r->loop, EVRUN_NOWAIT);
	while (held_len)
		close(held[--held_len]);
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

struct traces {
	int registry, fds;
	size_t tasks, streams, jobs, lua, heap;
};

static struct traces look(struct rig *r)
{
	struct ruleset *rs = r->host->current;
	lua_State *L = rs->vm.L;
	struct traces t = {.fds = count_fds(), .streams = stream_count()};
	lua_gc(L, LUA_GCCOLLECT, 0);
	lua_gc(L, LUA_GCCOLLECT, 0);
	/* The free slots of luaL_ref() are numbers. */
	lua_pushnil(L);
	while (lua_next(L, LUA_REGISTRYINDEX)) {
		t.registry += lua_type(L, -1) != LUA_TNUMBER;
		lua_pop(L, 1);
	}
	t.tasks = rs->vm.task_count;
	t.jobs = rs->spawn_count + rs->timer_count;
	t.lua = rs->vm.mem_used;
	t.heap = mallinfo2().uordblks;
	return t;
}

static void assert_same(const char *code, struct traces a, struct traces b)
{
	bool same = a.registry == b.registry && a.fds == b.fds && a.tasks == b.tasks &&
		a.streams == b.streams && a.jobs == b.jobs && b.lua <= a.lua + 4096 &&
		b.heap <= a.heap + 32768;
	if (!same)
		print_error("%s\nregistry %d %d, fds %d %d, tasks %zu %zu, streams %zu %zu, jobs "
			    "%zu %zu, lua %zu %zu, heap %zu %zu\n",
			code, a.registry, b.registry, a.fds, b.fds, a.tasks, b.tasks, a.streams,
			b.streams, a.jobs, b.jobs, a.lua, b.lua, a.heap, b.heap);
	assert_true(same);
}

/* A rig with a script where @await is the body of the function in @frame. */
static void open_await(struct rig *r, const char *frame, const struct await *a)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file,
		"local PEER, FULL, UNIX = '127.0.0.3:9', '127.0.0.2:9', '%s'\n"
		"local function wait(conn)\n%s\nnsnet.log.error('went on')\nend\n%s\n"
		"nsnet.on_close(function(conn) print(conn.close_reason) end)\n",
		local, a->code, frame);
	fclose(file);
	rig_open(r);
	assert_int_equal(lua_host_add_file(r->host, path), 0);
	rig_run(r, "");
}

/* Starts a flow that waits, in its chain or in its dialer. */
static void start_flow(struct rig *r, struct rig_flow *f)
{
	if (!rig_ask(r, f, IPPROTO_TCP, PUBLIC))
		return;
	flow_set_state(&f->flow, FLOW_STATE_DIALING);
	assert_int_equal(policy_dial(&r->policy, &f->flow), -EINPROGRESS);
}

static const char *const frames[] = {
	"nsnet.on_connect(wait)",
	"nsnet.dialer(wait)",
	"nsnet.rules { { nsnet.allow, when = wait } }",
};

static void end_and_check(struct rig *r, struct rig_flow *f, const char *code)
{
	rig_end(r, f, FLOW_CAUSE_CHILD_RESET);
	let_go(r);
	const char *log = rig_log(r);
	if (strcmp(log, "nsnet-host: reset by child\n") != 0)
		print_error("%s\n%s", code, log);
	assert_string_equal(log, "nsnet-host: reset by child\n");
}

static void the_end_of_the_flow_leaves_nothing(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(frames); k++) {
		for (size_t i = 0; i < ARRAY_LEN(awaits); i++) {
			struct traces before = {0};
			struct rig r;
			open_await(&r, frames[k], &awaits[i]);
			for (int round = 0; round < WARM + ROUNDS; round++) {
				struct rig_flow f;
				if (round == WARM)
					before = look(&r);
				start_flow(&r, &f);
				settle(&r, awaits[i].bytes);
				end_and_check(&r, &f, awaits[i].code);
			}
			assert_same(awaits[i].code, before, look(&r));
			rig_close(&r);
		}
	}
}

/* The rules are replaced under a flow that waits; it goes on waiting, and ends with them. */
static void a_reload_in_between_leaves_nothing(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(frames); k++) {
		for (size_t i = 0; i < ARRAY_LEN(awaits); i++) {
			/* A task ends with its rules, so whoever waits for it goes on. */
			if (strstr(awaits[i].code, ":join()"))
				continue;
			struct traces before = {0};
			struct rig r;
			open_await(&r, frames[k], &awaits[i]);
			for (int round = 0; round < WARM + ROUNDS; round++) {
				struct rig_flow f;
				if (round == WARM)
					before = look(&r);
				start_flow(&r, &f);
				settle(&r, awaits[i].bytes);
				assert_int_equal(lua_host_reload(r.host), 0);
				settle(&r, awaits[i].bytes);
				end_and_check(&r, &f, awaits[i].code);
			}
			assert_same(awaits[i].code, before, look(&r));
			rig_close(&r);
		}
	}
}

/* What a script does for itself ends with its rules. */
static void a_reload_ends_what_serves_no_flow(void **state)
{
	static const char *const own[] = {"nsnet.spawn(wait)", "nsnet.after(0, wait)",
		"nsnet.every(0.001, wait)"};
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(own); k++) {
		for (size_t i = 0; i < ARRAY_LEN(awaits); i++) {
			struct traces before = {0};
			struct rig r;
			open_await(&r, own[k], &awaits[i]);
			for (int round = 0; round < WARM + ROUNDS; round++) {
				assert_int_equal(lua_host_reload(r.host), 0);
				let_go(&r);
				settle(&r, awaits[i].bytes);
				if (round == WARM)
					before = look(&r);
			}
			assert_same(awaits[i].code, before, look(&r));
			let_go(&r);
			assert_string_equal(rig_log(&r), "");
			rig_close(&r);
		}
	}
}

static void a_handshake_works_inside_of_coroutines(void **state)
{
	(void)state;
	struct rig r;
	struct rig_flow f;
	static const struct await good = {
		"do return coroutine.wrap(function()\n"
		"  local step = coroutine.wrap(function()\n"
		"    coroutine.yield 'begun'\n"
		"    return require('nsnet.socks5').dialer { proxy = PEER }('tcp', "
		"'198.51.100.7:443', conn)\n"
		"  end)\n"
		"  assert(step() == 'begun')\n"
		"  return step()\n"
		"end)() end",
		12};
	open_await(&r, "nsnet.dialer(function(_, _, conn) return wait(conn) end)", &good);
	start_flow(&r, &f);
	settle(&r, good.bytes);
	assert_int_equal(f.dialed, 1);
	if (f.fd < 0)
		print_error("%s", rig_log(&r));
	assert_true(f.fd >= 0);
	close(f.fd);
	rig_end(&r, &f, FLOW_CAUSE_CLOSED);
	let_go(&r);
	rig_close(&r);
}

int main(void)
{
	island_enter();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_end_of_the_flow_leaves_nothing, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_reload_in_between_leaves_nothing, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_reload_ends_what_serves_no_flow, setup, teardown),
		cmocka_unit_test_setup_teardown(a_handshake_works_inside_of_coroutines, setup,
			teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
