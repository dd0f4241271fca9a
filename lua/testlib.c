/* SPDX-License-Identifier: MIT */
#include "lua/testlib.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

#include "core/base.h"
#include "core/clock.h"
#include "lua/args.h"
#include "lua/ruleset.h"
#include "lua/stream.h"
#include "lua/suggest.h"
#include "lua/testask.h"
#include "lua/testflow.h"
#include "lua/testplay.h"

/* A task that plays a peer. */
struct playing {
	struct list link;
	struct task *task;
};

void testlib_clear(struct tester *t)
{
	struct list *e, *tmp;
	list_foreach (e, tmp, &t->tasks) {
		struct playing *p = container_of(e, struct playing, link);
		list_del(&p->link);
		task_discard(p->task);
		free(p);
	}
	list_foreach (e, tmp, &t->plays)
		testplay_free(container_of(e, struct play, link));
	peers_clear(&t->peers);
	t->owns = 0;
}

static void clear_run(struct op *op)
{
	testlib_clear(op->t);
	op_end(op);
}

static int l_clear(lua_State *L)
{
	return op_wait(L, op_new(L, "the end of a test", clear_run, NULL));
}

/* --- running a test -------------------------------------------------------------------------- */

static void run_end(struct op *op, bool alive)
{
	op->child = NULL;
	op->flag = alive;
	op->t->running = NULL;
	op_end(op);
}

static void run_done(void *arg, struct task *task)
{
	if (task)
		task_recycle(task);
	run_end(arg, task != NULL);
}

static void run_run(struct op *op)
{
	struct task *child = op->child;
	op->t->running = op;
	op->t->started = clock_real();
	op->t->started_v = clock_passed();
	switch (vm_start(child, 0)) {
	case VM_PENDING:
		break;
	case VM_DONE:
		run_done(op, child);
		break;
	case VM_FAILED:
		run_done(op, NULL);
	}
}

static void run_cancel(struct op *op)
{
	if (op->child)
		task_discard(op->child);
	op->child = NULL;
	op->t->running = NULL;
}

static int push_run(lua_State *L, void *arg)
{
	const struct op *op = arg;
	lua_pushboolean(L, op->flag);
	lua_pushstring(L, op->bytes);
	return 2;
}

/* run(fn): true when it has ended; false and perhaps why if it was stopped. */
static int l_run(lua_State *L)
{
	struct tester *t = tester_of(L);
	luaL_checktype(L, 1, LUA_TFUNCTION);
	struct op *op = op_new(L, "running a test", run_run, push_run);
	struct task *child = task_make(L, "the test");
	if (!child) {
		free(op);
		return luaL_error(L, "too many coroutines");
	}
	child->blocking = true;
	child->budget_ms = TESTER_BUDGET_MS;
	child->owned = &t->rs->own;
	child->done = run_done;
	lua_pushvalue(L, 1);
	lua_xmove(L, child->co, 1);
	op->child = child;
	op->cancel = run_cancel;
	child->arg = op;
	return op_wait(L, op);
}

void testlib_expire(struct tester *t, const char *why)
{
	struct op *op = t->running;
	struct task *child = op->child;
	op->child = NULL;
	op->bytes = strdup(why);
	task_discard(child);
	run_end(op, false);
}

/* --- the network ----------------------------------------------------------------------------- */

static void serve_done(void *arg, struct task *task)
{
	struct playing *p = arg;
	if (task)
		task_recycle(task);
	list_del(&p->link);
	free(p);
}

struct serving {
	struct tester *t;
	const struct peer *peer;
	lua_State *co;
	int fd;
	bool datagram;
};

static int serve_arguments(lua_State *L)
{
	struct serving *s = lua_touserdata(L, 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, s->peer->ref);
	struct stream *stream = stream_new(L, &s->t->rs->own);
	stream_attach(stream, s->fd, s->datagram);
	s->fd = -1; /* the stream's */
	lua_xmove(L, s->co, 2);
	return 0;
}

static void serve_start(struct tester *t, struct serving *s)
{
	struct playing *p = calloc(1, sizeof(*p));
	struct task *task = p ? task_new(&t->rs->vm, "a peer") : NULL;
	if (!task) {
		free(p);
		return;
	}
	s->co = task->co;
	if (vm_protect(&t->rs->vm, serve_arguments, s)) {
		task_discard(task);
		free(p);
		return;
	}
	task->blocking = true;
	task->budget_ms = TESTER_BUDGET_MS;
	task->owned = &t->rs->own;
	task->done = serve_done;
	task->arg = p;
	p->task = task;
	list_init(&p->link);
	list_add_tail(&t->tasks, &p->link);
	enum vm_outcome o = vm_start(task, 1);
	if (o != VM_PENDING)
		serve_done(p, o == VM_DONE ? task : NULL);
}

void testlib_serve(void *arg, const struct peer *peer, int fd, bool datagram)
{
	struct serving s = {.t = arg, .peer = peer, .fd = fd, .datagram = datagram};
	serve_start(arg, &s);
	if (s.fd >= 0)
		close(s.fd);
}

/* peer(network, address, mode, fn): fn(stream) plays it. */
static int l_peer(lua_State *L)
{
	static const char *const modes[] = {"accept", "refuse", "unreachable", "blackhole", NULL};
	struct tester *t = tester_of(L);
	const char *network = luaL_checkstring(L, 1), *address = luaL_checkstring(L, 2);
	int mode = args_enum(L, 3, "mode", modes);
	luaL_checktype(L, 4, LUA_TFUNCTION);
	lua_pushvalue(L, 4);
	int ref = luaL_ref(L, LUA_REGISTRYINDEX);
	int old = peers_add(&t->peers, network, address, (enum peer_mode)mode, ref);
	if (old == -ENOMEM)
		return luaL_error(L, "not enough memory");
	luaL_unref(L, LUA_REGISTRYINDEX, old);
	return 0;
}

/* Reads the list of IP addresses at @i into @list. */
static size_t check_list(lua_State *L, int i, struct addr *list, size_t max)
{
	luaL_checktype(L, i, LUA_TTABLE);
	size_t n = lua_objlen(L, i);
	if (n > max)
		luaL_error(L, "at most %d addresses", (int)max);
	for (size_t k = 0; k < n; k++) {
		lua_rawgeti(L, i, (int)k + 1);
		const char *text = lua_tostring(L, -1);
		if (!text || addr_parse(&list[k], text) || list[k].port)
			luaL_error(L, "\"%s\" is no IP address", text ? text : "?");
		lua_pop(L, 1);
	}
	return n;
}

/* name(name, { addresses }): what nsnet.resolve finds. */
static int l_name(lua_State *L)
{
	struct addr list[16];
	char name[DNAME_MAX];
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);
	if (dname_normalise(name, text, len) < 0)
		return luaL_error(L, "\"%s\" is no name", text);
	size_t n = check_list(L, 2, list, ARRAY_LEN(list));
	if (peers_name(&tester_of(L)->peers, name, list, n))
		return luaL_error(L, "not enough memory");
	return 0;
}

/* own({ addresses }): they are the host's own. */
static int l_own(lua_State *L)
{
	struct tester *t = tester_of(L);
	t->owns = check_list(L, 1, t->own, ARRAY_LEN(t->own));
	return 0;
}

static int l_events(lua_State *L)
{
	struct tester *t = tester_of(L);
	lua_pushlstring(L, t->events ? t->events : "", t->events_len);
	t->events_len = 0;
	return 1;
}

/* --- time, log, results ---------------------------------------------------------------------- */

static int l_now(lua_State *L)
{
	lua_pushnumber(L, clock_passed());
	return 1;
}

static int l_set_wall(lua_State *L)
{
	clock_set(luaL_checknumber(L, 1));
	return 0;
}

/* log(): what was written to stderr since the last call. */
static int l_log(lua_State *L)
{
	struct tester *t = tester_of(L);
	char piece[4096];
	ssize_t n;
	luaL_Buffer b;
	luaL_buffinit(L, &b);
	while ((n = pread(t->log, piece, sizeof(piece), t->log_at)) > 0) {
		t->log_at += n;
		luaL_addlstring(&b, piece, (size_t)n);
	}
	luaL_pushresult(&b);
	return 1;
}

static int l_print(lua_State *L)
{
	size_t n;
	const char *text = luaL_checklstring(L, 1, &n);
	while (n) {
		ssize_t put = write(STDOUT_FILENO, text, n);
		if (put == -1 && errno != EINTR)
			break; /* nobody reads it: the exit status tells */
		if (put > 0) {
			text += put;
			n -= (size_t)put;
		}
	}
	return 0;
}

/* main(fn): what is called with the test file's function. */
static int l_main(lua_State *L)
{
	lua_pushvalue(L, 1);
	tester_of(L)->main_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

/* finish(passed, failed, status) */
static int l_finish(lua_State *L)
{
	struct tester *t = tester_of(L);
	t->passed = (unsigned)luaL_checkint(L, 1);
	t->failed = (unsigned)luaL_checkint(L, 2);
	t->status = luaL_checkint(L, 3);
	t->finished = true;
	return 0;
}

/* suggest(word, table): the end of a message about a key that there is not. */
static int l_suggest(lua_State *L)
{
	luaL_checktype(L, 2, LUA_TTABLE);
	suggest_push(L, luaL_checkstring(L, 1), 2);
	return 1;
}

void testlib_open(lua_State *L)
{
	static const luaL_Reg functions[] = {{"clear", l_clear}, {"run", l_run}, {"peer", l_peer},
		{"name", l_name}, {"own", l_own}, {"events", l_events}, {"now", l_now},
		{"set_wall", l_set_wall}, {"log", l_log}, {"print", l_print}, {"main", l_main},
		{"finish", l_finish}, {"suggest", l_suggest}, {NULL, NULL}};
	lua_newtable(L);
	luaL_setfuncs(L, functions, 0);
	testplay_open(L);
	testflow_open(L);
	testask_open(L);
}
