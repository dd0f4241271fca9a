/* SPDX-License-Identifier: MIT */
#include "lua/job.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/base.h"
#include "lua/failure.h"
#include "lua/stream.h"
#include "lua/text.h"
#include "lua/udata.h"

#define JOBS_MAX 1024   /* timers */
#define SPAWNED_MAX 128 /* spawned tasks at a time */

enum job_kind {
	JOB_SPAWN,
	JOB_AFTER,
	JOB_EVERY
};
static const char *const kind_names[] = {"spawn", "after", "every"};

struct job {
	struct list link; /* ruleset.timers */
	struct ruleset *rs;
	enum job_kind kind;
	bool active; /* counted and anchored: not ended, not cancelled */
	bool failed, cancelled;
	ev_timer timer;
	int fn;               /* registry: the function; LUA_NOREF for spawn */
	int anchor;           /* registry: the object, while active */
	struct task *task;    /* runs or waits; spawn: from the beginning */
	int nargs;            /* spawn: arguments that lie ready on its coroutine */
	struct task *joiner;  /* waits in join() */
	struct list streams;  /* that its task opened */
	struct deferred soon; /* spawn: starts; ended with a joiner: wakes it */
};

static int job_gc(lua_State *L);
static int l_cancel(lua_State *L);
static int l_join(lua_State *L);

static const luaL_Reg methods[] = {{"cancel", l_cancel}, {"join", l_join}, {NULL, NULL}};

static const struct udata_class job_class = {.name = "task", .methods = {methods}, .gc = job_gc};

static size_t *job_counter(struct job *j)
{
	return j->kind == JOB_SPAWN ? &j->rs->spawn_count : &j->rs->timer_count;
}

static int job_gc(lua_State *L)
{
	struct job *j = lua_touserdata(L, 1);
	if (!j->rs)
		return 0;
	ev_timer_stop(j->rs->vm.loop, &j->timer);
	vm_undefer(&j->soon);
	list_del(&j->link);
	return 0;
}

static void job_release(struct job *j)
{
	luaL_unref(j->rs->vm.L, LUA_REGISTRYINDEX, j->anchor);
	j->anchor = LUA_NOREF; /* @j may be collected from now on */
}

static int join_push(lua_State *L, void *arg)
{
	struct job *j = arg;
	j->joiner = NULL;
	if (j->anchor != LUA_NOREF) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, j->anchor); /* for the time of the pushes */
		job_release(j);
	}
	if (j->cancelled)
		return failure_push(L, FAILURE_CANCELLED, "the task was cancelled");
	if (j->failed)
		return failure_push(L, FAILURE_PROTO, "the task failed");
	lua_pushboolean(L, true);
	return 1;
}

static void job_wake_joiner(struct deferred *d)
{
	struct job *j = container_of(d, struct job, soon);
	if (j->joiner)
		vm_wake(j->joiner, join_push, j); /* last: the collector may take @j */
}

/* It will not run again. */
static void job_end(struct job *j)
{
	if (!j->active)
		return;
	j->active = false;
	(*job_counter(j))--;
	ev_timer_stop(j->rs->vm.loop, &j->timer);
	stream_close_all(&j->streams, "stream belongs to a task that ended");
	luaL_unref(j->rs->vm.L, LUA_REGISTRYINDEX, j->fn);
	j->fn = LUA_NOREF;
	if (!j->joiner) {
		job_release(j);
		return;
	}
	j->soon.run = job_wake_joiner;
	vm_defer(&j->rs->vm, &j->soon);
}

static void job_done(void *arg, struct task *t)
{
	struct job *j = arg;
	j->task = NULL;
	j->failed = !t;
	if (t)
		task_recycle(t);
	if (j->kind == JOB_EVERY && j->active)
		stream_close_all(&j->streams, "stream belongs to a task that ended");
	else
		job_end(j);
}

static void job_run(struct job *j, struct task *t, int nargs)
{
	t->blocking = true;
	t->owned = &j->streams;
	t->done = job_done;
	t->arg = j;
	j->task = t;
	switch (vm_start(t, nargs)) {
	case VM_PENDING:
		break;
	case VM_DONE:
		job_done(j, t);
		break;
	case VM_FAILED:
		job_done(j, NULL);
	}
}

static void job_on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	struct job *j = container_of(w, struct job, timer);
	/* One that still works is not run a second time beside itself. */
	if (j->task)
		return;
	struct task *t = task_new(&j->rs->vm, kind_names[j->kind]);
	if (!t) {
		job_done(j, NULL);
		return;
	}
	lua_rawgeti(t->co, LUA_REGISTRYINDEX, j->fn);
	job_run(j, t, 0);
}

static void job_start(struct deferred *d)
{
	struct job *j = container_of(d, struct job, soon);
	job_run(j, j->task, j->nargs);
}

/* Pushes a new job. Raises. */
static struct job *job_new(lua_State *L, enum job_kind kind)
{
	struct ruleset *rs = ruleset_of(L);
	size_t *counter = kind == JOB_SPAWN ? &rs->spawn_count : &rs->timer_count;
	size_t most = kind == JOB_SPAWN ? SPAWNED_MAX : JOBS_MAX;
	if (*counter >= most)
		luaL_error(L, "nsnet.%s: more than %d at a time", kind_names[kind], (int)most);
	struct job *j = udata_new(L, &job_class, sizeof(*j));
	j->fn = j->anchor = LUA_NOREF;
	j->kind = kind;
	list_init(&j->streams);
	list_init(&j->link);
	ev_init(&j->timer, job_on_timer);
	lua_pushvalue(L, -1);
	j->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
	/* From here on the collector has something to undo. */
	j->rs = rs;
	list_add_tail(&rs->timers, &j->link);
	j->active = true;
	(*counter)++;
	return j;
}

static int add_timer(lua_State *L, enum job_kind kind)
{
	lua_Number seconds = luaL_checknumber(L, 1);
	char text[TEXT_KIND_MAX];
	if (!(seconds >= (kind == JOB_EVERY ? 1e-3 : 0) && seconds < 1e9))
		return luaL_error(L, "nsnet.%s takes seconds, %s and below 1e9", kind_names[kind],
			kind == JOB_EVERY ? "at least 0.001" : "not negative");
	if (!lua_isfunction(L, 2))
		return luaL_error(L, "nsnet.%s takes (seconds, function); the last argument is %s",
			kind_names[kind], text_kind(L, 2, text));
	lua_pushvalue(L, 2);
	int fn = luaL_ref(L, LUA_REGISTRYINDEX);
	struct job *j = job_new(L, kind);
	j->fn = fn;
	ev_timer_set(&j->timer, seconds, kind == JOB_EVERY ? seconds : 0.);
	ev_timer_start(j->rs->vm.loop, &j->timer);
	return 1;
}

static int l_after(lua_State *L)
{
	return add_timer(L, JOB_AFTER);
}

static int l_every(lua_State *L)
{
	return add_timer(L, JOB_EVERY);
}

/* nsnet.spawn(fn, ...): starts from the loop, since nothing enters Lua from inside it. */
static int l_spawn(lua_State *L)
{
	char text[TEXT_KIND_MAX];
	int n = lua_gettop(L);
	if (!lua_isfunction(L, 1))
		return luaL_error(L, "nsnet.spawn takes (function, ...), not %s",
			text_kind(L, 1, text));
	struct job *j = job_new(L, JOB_SPAWN);
	lua_insert(L, 1);
	struct task *t = task_make(L, "spawn");
	if (!t || !lua_checkstack(t->co, n)) {
		if (t)
			task_discard(t);
		job_end(j);
		return luaL_error(L, "nsnet.spawn: no more coroutines");
	}
	lua_xmove(L, t->co, n);
	j->task = t;
	j->nargs = n - 1;
	j->soon.run = job_start;
	vm_defer(&j->rs->vm, &j->soon);
	return 1;
}

static void job_cancel(struct job *j)
{
	if (!j->active)
		return;
	j->cancelled = true;
	vm_undefer(&j->soon);
	if (j->task) {
		struct task *t = j->task;
		j->task = NULL;
		task_discard(t);
	}
	job_end(j);
}

static int l_cancel(lua_State *L)
{
	struct job *j = udata_check(L, 1, &job_class, "cancel");
	if (j->task && j->task == j->rs->vm.running) {
		if (j->kind == JOB_SPAWN)
			return luaL_error(L,
				"a task cannot cancel itself; return from its function");
		/* From inside its own function a timer goes on until that returns. */
		ev_timer_stop(j->rs->vm.loop, &j->timer);
		j->kind = JOB_AFTER;
		return 0;
	}
	job_cancel(j);
	return 0;
}

static void join_cancel(void *arg)
{
	struct job *j = arg;
	j->joiner = NULL;
	if (!j->active) {
		vm_undefer(&j->soon);
		job_release(j);
	}
}

static int l_join(lua_State *L)
{
	struct job *j = udata_check(L, 1, &job_class, "join");
	struct task *t = vm_blocker(L, "task:join");
	if (j->kind != JOB_SPAWN)
		return luaL_error(L, "task:join is for what nsnet.spawn returned");
	if (j->task == t)
		return luaL_error(L, "a task cannot wait for itself");
	if (j->joiner)
		return failure_push(L, FAILURE_BUSY, "another coroutine waits for this task");
	if (!j->active)
		return join_push(L, j);
	j->joiner = t;
	return vm_wait(L, t, join_cancel, j);
}

void job_cancel_all(struct ruleset *rs)
{
	struct list *e, *tmp;
	/* One that is cancelled stays on the list until the collector comes, and not here. */
	list_foreach (e, tmp, &rs->timers)
		job_cancel(container_of(e, struct job, link));
}

/* --- sleep ----------------------------------------------------------------------------------- */

struct sleeper {
	ev_timer timer;
	struct task *task;
};

static int sleep_push(lua_State *L, void *arg)
{
	UNUSED(L);
	UNUSED(arg);
	return 0;
}

static void sleep_on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	struct sleeper *s = container_of(w, struct sleeper, timer);
	struct task *t = s->task;
	free(s);
	vm_wake(t, sleep_push, NULL);
}

static void sleep_cancel(void *arg)
{
	struct sleeper *s = arg;
	ev_timer_stop(s->task->vm->loop, &s->timer);
	free(s);
}

static int l_sleep(lua_State *L)
{
	struct task *t = vm_blocker(L, "nsnet.sleep");
	lua_Number seconds = luaL_checknumber(L, 1);
	if (!(seconds >= 0 && seconds < 1e9))
		return luaL_error(L, "nsnet.sleep takes seconds");
	struct sleeper *s = calloc(1, sizeof(*s));
	if (!s)
		return luaL_error(L, "not enough memory");
	s->task = t;
	ev_timer_init(&s->timer, sleep_on_timer, seconds, 0.);
	ev_timer_start(t->vm->loop, &s->timer);
	return vm_wait(L, t, sleep_cancel, s);
}

void job_open(lua_State *L)
{
	static const luaL_Reg functions[] = {{"sleep", l_sleep}, {"spawn", l_spawn},
		{"after", l_after}, {"every", l_every}, {NULL, NULL}};
	udata_class(L, &job_class);
	luaL_setfuncs(L, functions, 0);
}
