/* SPDX-License-Identifier: MIT */
#include "lua/testfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>

#include "core/base.h"
#include "core/clock.h"
#include "core/log.h"
#include "lua/loader.h"
#include "lua/sandbox.h"
#include "lua/scripts.h"
#include "lua/testlib.h"

/* The wall clock of every test file at its beginning: noon, 1 January 2030, local time. */
#define START_YEAR 130 /* since 1900 */
#define START_HOUR 12

#define VIRTUAL_LIMIT_S 1e6 /* of a test: eleven days */
#define HEARTBEAT_S 3600.   /* so that time goes on when nobody has a timer */

struct run {
	struct tester t;
	struct testfile *f;
	ev_timer heartbeat;
};

static void on_heartbeat(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(w);
	UNUSED(revents);
}

static void on_cover(struct tester *t, const struct lua_rule *r)
{
	const struct run *run = container_of(t, struct run, t);
	if (run->f->cover)
		run->f->cover(run->f->arg, r);
}

static void on_missed(void *arg, const char *network, const char *address)
{
	tester_event(arg, "missed", network, address);
}

static void on_dialed(void *arg, const char *network, const char *address)
{
	tester_event(arg, "dialed", network, address);
}

/* Gives the file's state what the module nsnet.test is made of. */
static int setup(lua_State *L)
{
	struct run *run = lua_touserdata(L, 1);
	tester_set(L, &run->t);
	lua_pushliteral(L, "nsnet.test.native");
	testlib_open(L);
	lua_pushstring(L, run->f->path);
	lua_setfield(L, -2, "path");
	lua_pushboolean(L, run->f->verbose);
	lua_setfield(L, -2, "verbose");
	lua_rawset(L, LUA_GLOBALSINDEX);
	return 0;
}

/* Compiles the file: its function goes to the registry, *ref. */
struct compiled {
	struct run *run;
	int ref;
};

static int compile(lua_State *L)
{
	struct compiled *c = lua_touserdata(L, 1);
	struct testfile *f = c->run->f;
	size_t len;
	const char *text = loader_push_file(L, f->path, &len);
	if (!text) {
		log_error("%s: %s", f->path, strerror(errno));
		f->status = 66;
		return 0;
	}
	if (len > 1 && text[0] == '#' && text[1] == '!') {
		const char *end = memchr(text, '\n', len);
		len -= end ? (size_t)(end - text) : len;
		text = end ? end : "";
	}
	lua_pushfstring(L, "@%s", f->path);
	if (sandbox_compile(L, text, len, lua_tostring(L, -1))) {
		log_error("%s", lua_tostring(L, -1));
		f->status = 70;
		return 0;
	}
	c->ref = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

static int push_loader(lua_State *L)
{
	struct task *task = lua_touserdata(L, 1);
	static const char text[] = "require 'nsnet.test'";
	if (sandbox_compile(L, text, sizeof(text) - 1, "=nsnet.test"))
		return lua_error(L);
	lua_xmove(L, task->co, 1);
	return 0;
}

/* Loads the module, which leaves its runner in t.main_ref. */
static bool load_module(struct run *run)
{
	struct task *task = task_new(&run->t.rs->vm, "nsnet.test");
	if (!task)
		return false;
	task->budget_ms = TESTER_BUDGET_MS;
	if (vm_protect(&run->t.rs->vm, push_loader, task)) {
		task_discard(task);
		return false;
	}
	if (vm_start(task, 0) != VM_DONE)
		return false;
	task_recycle(task);
	return run->t.main_ref != LUA_NOREF;
}

static void main_done(void *arg, struct task *task)
{
	struct run *run = arg;
	if (task)
		task_recycle(task);
	if (!run->t.finished)
		run->t.status = -1;
	run->t.finished = true;
}

static bool start_main(struct run *run, int file_ref)
{
	struct task *task = task_new(&run->t.rs->vm, "nsnet.test");
	if (!task)
		return false;
	task->blocking = true;
	task->budget_ms = TESTER_BUDGET_MS;
	task->owned = &run->t.rs->own;
	task->done = main_done;
	task->arg = run;
	lua_rawgeti(task->co, LUA_REGISTRYINDEX, run->t.main_ref);
	lua_rawgeti(task->co, LUA_REGISTRYINDEX, file_ref);
	enum vm_outcome o = vm_start(task, 1);
	if (o != VM_PENDING)
		main_done(run, o == VM_DONE ? task : NULL);
	return true;
}

/* Turns the loop until the runner has finished. */
static void turn(struct run *run)
{
	struct tester *t = &run->t;
	while (!t->finished) {
		ev_run(t->loop, EVRUN_ONCE);
		if (!t->running)
			continue;
		if (clock_real() - t->started > TESTER_LIMIT_S)
			testlib_expire(t, "it did not end within 20 seconds of real time");
		else if (clock_passed() - t->started_v > VIRTUAL_LIMIT_S)
			testlib_expire(t, "it waits for what never comes");
	}
}

static void run_all(struct run *run)
{
	struct tester *t = &run->t;
	struct compiled c = {.run = run, .ref = LUA_NOREF};
	t->status = -1;
	t->rs = t->host->current;
	t->rs->world = &t->peers.world;
	if (vm_protect(&t->rs->vm, setup, run) || !load_module(run) ||
		vm_protect(&t->rs->vm, compile, &c))
		return;
	if (run->f->status) { /* the file could not be compiled; the log says why */
		t->status = run->f->status;
		t->failed = 1;
		return;
	}
	if (start_main(run, c.ref))
		turn(run);
}

static double start_time(void)
{
	struct tm tm = {.tm_year = START_YEAR, .tm_mday = 1, .tm_hour = START_HOUR, .tm_isdst = -1};
	return (double)mktime(&tm);
}

bool testfile_run(struct testfile *f)
{
	struct run run = {.f = f};
	struct tester *t = &run.t;
	clock_freeze(start_time());
	log_set_level(LOG_LEVEL_INFO);
	dup2(f->log, STDERR_FILENO);
	t->loop = ev_loop_new(EVBACKEND_POLL);
	struct lua_options o = {.loop = t->loop, .policy = &t->policy};
	t->host = t->loop ? lua_host_new(&o) : NULL;
	t->main_ref = LUA_NOREF;
	t->log = f->log;
	t->path = f->path;
	t->report = on_cover;
	list_init(&t->plays);
	list_init(&t->tasks);
	peers_init(&t->peers, t->loop);
	t->peers.serve = testlib_serve;
	t->peers.missed = on_missed;
	t->peers.dialed = on_dialed;
	t->peers.arg = t;
	ev_timer_init(&run.heartbeat, on_heartbeat, HEARTBEAT_S, HEARTBEAT_S);
	t->status = -1;
	if (t->host && !lua_host_load(t->host)) {
		ev_timer_start(t->loop, &run.heartbeat);
		run_all(&run);
		testlib_clear(t);
		ev_timer_stop(t->loop, &run.heartbeat);
	}
	lua_host_free(t->host);
	if (t->loop)
		ev_loop_destroy(t->loop);
	free(t->events);
	f->passed = t->passed;
	f->failed = t->failed;
	f->status = t->status;
	return t->status >= 0;
}
