/* SPDX-License-Identifier: MIT */
#include "lua/vm.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "core/base.h"
#include "core/log.h"
#include "core/steady.h"
#include "lua/budget.h"
#include "lua/fault.h"

/* Errors never leave this file: Lua raises them with longjmp, and one that crossed the event loop
 * or lwIP would leave both in an unknown state. A task's error stops at lua_resume();
 * C code's own at lua_cpcall(). What runs unprotected here cannot raise: it neither
 * allocates nor calls metamethods. An error that comes through all the same ends the process,
 * and with it the namespace's network (vm_panic).
 *
 * A coroutine that ended well can be used again, which is seven times cheaper than a new one.
 * One that failed or waits when nobody wants it any more is left to the collector.
 */
#define GC_WAKES 256 /* the collector takes a step every so many, as if 16 KiB had been made */

char vm_wait_mark;
static char vm_key; /* registry: where vm_of() finds the vm */

static void *vm_alloc(void *ud, void *p, size_t old, size_t len)
{
	struct vm *vm = ud;
	if (!len) {
		free(p);
		vm->mem_used -= old;
		return NULL;
	}
	if (len > old && vm->mem_used + (len - old) > vm->mem_max)
		return NULL;
	void *q = realloc(p, len);
	if (q)
		vm->mem_used += len - old;
	return q;
}

static int vm_panic(lua_State *L)
{
	const char *text = lua_tostring(L, -1);
	log_error("lua: unprotected error, ending: %s", text ? text : "no message");
	_exit(70);
}

static void vm_on_soon(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	struct vm *vm = container_of(w, struct vm, soon);
	/* What is deferred from here on waits for the next turn. */
	struct list now;
	list_init(&now);
	while (!list_empty(&vm->deferred)) {
		struct list *e = vm->deferred.next;
		list_del(e);
		list_add_tail(&now, e);
	}
	while (!list_empty(&now)) {
		struct deferred *d = container_of(now.next, struct deferred, link);
		list_del(&d->link);
		d->run(d);
	}
}

static int vm_setup(lua_State *L)
{
	struct vm *vm = lua_touserdata(L, 1);
	lua_pushlightuserdata(L, &vm_key);
	lua_pushlightuserdata(L, vm);
	lua_rawset(L, LUA_REGISTRYINDEX);
	/* From now on luaL_unref() finds its free-list slot and allocates nothing. */
	lua_pushboolean(L, 1);
	luaL_unref(L, LUA_REGISTRYINDEX, luaL_ref(L, LUA_REGISTRYINDEX));
	return 0;
}

int vm_init(struct vm *vm, struct ev_loop *loop, size_t mem_max)
{
	memset(vm, 0, sizeof(*vm));
	vm->loop = loop;
	vm->mem_max = mem_max;
	vm->task_max = 1024;
	list_init(&vm->tasks);
	list_init(&vm->idle);
	list_init(&vm->deferred);
	ev_init(&vm->soon, vm_on_soon);
	int err = budget_start();
	if (err)
		return err;
	vm->L = lua_newstate(vm_alloc, vm);
	vm->mem_counted = vm->L != NULL;
	/* Builds with short pointers refuse foreign memory (arm64): then the cap is looked at
	 * after each entry. */
	if (!vm->L)
		vm->L = luaL_newstate();
	if (!vm->L) {
		budget_stop();
		return -ENOMEM;
	}
	lua_atpanic(vm->L, vm_panic);
	if (vm_protect(vm, vm_setup, vm)) {
		vm_fini(vm);
		return -ENOMEM;
	}
	return 0;
}

void vm_fini(struct vm *vm)
{
	assert(!vm->running);
	while (!list_empty(&vm->tasks))
		task_discard(container_of(vm->tasks.next, struct task, link));
	while (!list_empty(&vm->idle)) {
		struct task *t = container_of(vm->idle.next, struct task, link);
		list_del(&t->link);
		free(t);
	}
	ev_timer_stop(vm->loop, &vm->soon);
	lua_close(vm->L);
	vm->L = NULL;
	budget_stop();
}

struct vm *vm_of(lua_State *L)
{
	lua_pushlightuserdata(L, &vm_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
	struct vm *vm = lua_touserdata(L, -1);
	lua_pop(L, 1);
	return vm;
}

static void vm_oom(struct vm *vm)
{
	vm->oom_at[vm->oom_count++ % ARRAY_LEN(vm->oom_at)] = steady_now();
	lua_gc(vm->L, LUA_GCCOLLECT, 0);
}

bool vm_broken(struct vm *vm)
{
	if (vm->oom_count < ARRAY_LEN(vm->oom_at))
		return false;
	return steady_now() - vm->oom_at[vm->oom_count % ARRAY_LEN(vm->oom_at)] < 60;
}

int vm_protect(struct vm *vm, lua_CFunction fn, void *arg)
{
	int rc = lua_cpcall(vm->L, fn, arg);
	if (!rc)
		return 0;
	const char *text = lua_type(vm->L, -1) == LUA_TSTRING ? lua_tostring(vm->L, -1) : NULL;
	report_error(&vm->report, text ? text : "lua: error without a message", NULL);
	lua_settop(vm->L, 0);
	if (rc == LUA_ERRMEM)
		vm_oom(vm);
	return -1;
}

static int new_thread(lua_State *L)
{
	struct task *t = lua_touserdata(L, 1);
	t->co = lua_newthread(L);
	t->ref = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

static struct task *task_reset(struct task *t, struct vm *vm, const char *what)
{
	*t = (struct task){.vm = vm, .co = t->co, .ref = t->ref, .what = what, .budget_ms = 10};
	list_init(&t->link);
	list_add_tail(&vm->tasks, &t->link);
	vm->task_count++;
	return t;
}

static struct task *task_pooled(struct vm *vm)
{
	struct task *t = container_of(vm->idle.next, struct task, link);
	list_del(&t->link);
	return t;
}

struct task *task_make(lua_State *L, const char *what)
{
	struct vm *vm = vm_of(L);
	if (vm->task_count >= vm->task_max)
		return NULL;
	if (!list_empty(&vm->idle))
		return task_reset(task_pooled(vm), vm, what);
	lua_State *co = lua_newthread(L);
	int ref = luaL_ref(L, LUA_REGISTRYINDEX);
	struct task *t = calloc(1, sizeof(*t));
	if (!t) {
		luaL_unref(L, LUA_REGISTRYINDEX, ref);
		luaL_error(L, "not enough memory");
		return NULL;
	}
	t->co = co;
	t->ref = ref;
	return task_reset(t, vm, what);
}

struct task *task_new(struct vm *vm, const char *what)
{
	struct task *t;
	if (vm->task_count >= vm->task_max) {
		vm_complain(vm, NULL, what, NULL, "too many coroutines (%zu) wait", vm->task_count);
		return NULL;
	}
	if (!list_empty(&vm->idle)) {
		t = task_pooled(vm);
	} else {
		t = calloc(1, sizeof(*t));
		if (!t || vm_protect(vm, new_thread, t)) {
			free(t);
			vm_complain(vm, NULL, what, NULL, "no memory for a coroutine");
			return NULL;
		}
	}
	return task_reset(t, vm, what);
}

void task_recycle(struct task *t)
{
	lua_settop(t->co, 0);
	list_del(&t->link);
	t->vm->task_count--;
	list_add(&t->vm->idle, &t->link);
}

void task_discard(struct task *t)
{
	assert(t != t->vm->running);
	if (t->cancel) {
		task_cancel_fn *cancel = t->cancel;
		t->cancel = NULL;
		cancel(t->wait);
	}
	list_del(&t->link);
	t->vm->task_count--;
	luaL_unref(t->vm->L, LUA_REGISTRYINDEX, t->ref);
	free(t);
}

/* --- errors ---------------------------------------------------------------------------------- */

void vm_complain(struct vm *vm, const char *where, const char *what, const struct flow *f,
	const char *fmt, ...)
{
	char text[1024], message[1200], context[FAULT_CONTEXT_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(message, sizeof(message), "%s%s%s", where ? where : "", where ? ": " : "", text);
	report_error(&vm->report, message, fault_context(what, f, context));
}

/* Reports what made @t fail and throws it away. */
static void task_fail(struct task *t, const char *message)
{
	const struct fault f = {
		.L = t->vm->L,
		.co = t->co,
		.where = t->where,
		.what = t->what,
		.message = message,
		.flow = t->flow,
	};
	fault_report(&f, &t->vm->report);
	task_discard(t);
}

/* --- entering -------------------------------------------------------------------------------- */

static bool over_memory(struct vm *vm)
{
	if (vm->mem_counted || (size_t)lua_gc(vm->L, LUA_GCCOUNT, 0) * 1024 < vm->mem_max)
		return false;
	lua_gc(vm->L, LUA_GCCOLLECT, 0);
	return (size_t)lua_gc(vm->L, LUA_GCCOUNT, 0) * 1024 >= vm->mem_max;
}

/* A coroutine that waits again and again is never stopped by the budget of one entry. */
static bool over_cpu(const struct task *t)
{
	return t->spent && *t->spent > VM_FLOW_MS;
}

enum vm_outcome vm_start(struct task *t, int nargs)
{
	struct vm *vm = t->vm;
	assert(!vm->running);
	if (unlikely(over_cpu(t))) {
		task_fail(t, "the CPU budget for one connection or question is spent");
		return VM_FAILED;
	}
	vm->running = t;
	budget_enter(vm->L, t->budget_ms, t->what);
	int rc = lua_resume(t->co, nargs);
	bool preempted = budget_leave(vm->L);
	vm->running = NULL;
	if (t->spent)
		*t->spent += budget_used_ms();
	if (unlikely(preempted)) {
		char text[LUA_IDSIZE + 80];
		const char *place = budget_place();
		snprintf(text, sizeof(text), "%s%sCPU budget of %u ms exceeded", place,
			place[0] ? ": " : "", t->budget_ms);
		task_fail(t, text);
		return VM_FAILED;
	}
	if (rc == LUA_YIELD) {
		if (t->cancel)
			return VM_PENDING;
		task_fail(t, "coroutine.yield outside of a coroutine of your own");
		return VM_FAILED;
	}
	if (unlikely(rc)) {
		task_fail(t, NULL);
		if (rc == LUA_ERRMEM)
			vm_oom(vm);
		return VM_FAILED;
	}
	if (unlikely(t->cancel)) {
		task_fail(t, "the coroutine that waits was abandoned");
		return VM_FAILED;
	}
	if (unlikely(over_memory(vm))) {
		task_fail(t, "not enough memory");
		vm_oom(vm);
		return VM_FAILED;
	}
	return VM_DONE;
}

struct task *vm_blocker(lua_State *L, const char *what)
{
	struct vm *vm = vm_of(L);
	struct task *t = vm->running;
	if (!t || !t->blocking)
		luaL_error(L, "%s cannot be used in %s (it would wait); use nsnet.spawn", what,
			t ? t->what : "a finalizer");
	if (!lua_isyieldable(L))
		luaL_error(L,
			"%s cannot wait inside table.sort, string.gsub or another C function's "
			"callback",
			what);
	return t;
}

int vm_wait(lua_State *L, struct task *t, task_cancel_fn *cancel, void *arg)
{
	assert(!t->cancel);
	t->cancel = cancel;
	t->wait = arg;
	lua_pushlightuserdata(L, &vm_wait_mark);
	return lua_yield(L, 1);
}

struct push {
	lua_State *co;
	vm_push_fn *push;
	void *arg;
	int n;
};

static int push_protected(lua_State *L)
{
	struct push *p = lua_touserdata(L, 1);
	/* Entering Lua makes garbage, and the collector looks only when Lua itself makes some. */
	if (++vm_of(L)->wakes % GC_WAKES == 0)
		lua_gc(L, LUA_GCSTEP, 16);
	p->n = p->push(L, p->arg);
	if (!lua_checkstack(p->co, p->n))
		return luaL_error(L, "stack overflow");
	lua_xmove(L, p->co, p->n);
	return 0;
}

void vm_wake(struct task *t, vm_push_fn *push, void *arg)
{
	assert(t->cancel);
	t->cancel = NULL;
	task_done_fn *done = t->done;
	enum vm_outcome o;
	lua_settop(t->co, 0);
	struct push p = {.co = t->co, .push = push, .arg = arg};
	struct vm *vm = t->vm;
	void *done_arg = t->arg;
	if (vm_protect(vm, push_protected, &p)) {
		task_discard(t);
		o = VM_FAILED;
	} else {
		o = vm_start(t, p.n);
	}
	if (o != VM_PENDING && done)
		done(done_arg, o == VM_DONE ? t : NULL); /* last: anything may be gone */
}

/* --- later ----------------------------------------------------------------------------------- */

void vm_defer(struct vm *vm, struct deferred *d)
{
	if (d->link.next && list_linked(&d->link))
		return;
	list_init(&d->link);
	list_add_tail(&vm->deferred, &d->link);
	if (!ev_is_active(&vm->soon)) {
		ev_timer_set(&vm->soon, 0., 0.);
		ev_timer_start(vm->loop, &vm->soon);
	}
}

void vm_undefer(struct deferred *d)
{
	if (d->link.next)
		list_del(&d->link);
}
