/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_VM_H
#define NSNET_LUA_VM_H

#include <ev.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/flow.h"
#include "core/list.h"
#include "lua/report.h"

/* vm - one Lua state, and the only way into it.
 *
 * Script code runs in tasks: pooled coroutines that are entered by vm_start() and vm_wake(), always
 * protected, always with a CPU budget and within the memory cap. C code that builds Lua
 * values runs under vm_protect(). Nothing else may call a lua_ function that can raise, except C
 * functions that Lua called.
 *
 * A task that must wait (a C function returned vm_wait()) is resumed later from the loop,
 * never from inside the call that made it wait. A task that is thrown away is never resumed.
 */
enum vm_outcome {
	VM_DONE,    /* returned; its values are on task->co until task_recycle() */
	VM_PENDING, /* waits; task->done will be called, unless task_discard() comes first */
	VM_FAILED,  /* error, out of budget or memory: reported, and the task is gone */
};

/* CPU time for all that waits for one flow, in many entries. */
#define VM_FLOW_MS 200

struct vm;
struct task;

/* A task that was pending has ended: @t is DONE and the callee's to recycle, or NULL: it failed. */
typedef void task_done_fn(void *arg, struct task *t);
/* The wait is over without its result: stop timers and watchers. Must not enter Lua. */
typedef void task_cancel_fn(void *arg);
/* Pushes values on @L, in protected mode, and returns their number. */
typedef int vm_push_fn(lua_State *L, void *arg);

struct task {
	struct list link; /* vm.tasks or vm.idle */
	struct vm *vm;
	lua_State *co;
	int ref;
	const char *what;        /* "on_connect": static */
	const char *where;       /* "rules.lua:12" of its function, or NULL: lent */
	bool blocking;           /* may wait */
	unsigned budget_ms;      /* for one entry */
	unsigned *spent;         /* ms of all entries for whom it serves, or NULL: not limited */
	const struct flow *flow; /* whom it serves, for messages; NULL = nobody */
	struct list *owned;      /* list that takes the streams it opens; NULL = may open none */
	task_done_fn *done;      /* called if it was pending, from the loop, unless discarded */
	void *arg;
	task_cancel_fn *cancel; /* set while it waits */
	void *wait;
};

/* Something to be done soon, from the loop, outside Lua. Embedded; zeroed = unused. */
struct deferred {
	struct list link;
	void (*run)(struct deferred *d);
};

struct vm {
	lua_State *L;
	struct ev_loop *loop;
	struct list tasks, idle;
	size_t task_count, task_max; /* without the pooled ones */
	struct task *running;
	struct list deferred;
	ev_timer soon; /* runs the deferred */
	size_t mem_used, mem_max;
	bool mem_counted;            /* by our allocator */
	size_t outside, outside_max; /* bytes of sets, which are not Lua's memory; max 0 = any */
	unsigned wakes;
	double oom_at[3]; /* steady_now() */
	unsigned oom_count;
	struct report report;
};

/* The state has no library and no global. 0 or negative errno. */
int vm_init(struct vm *vm, struct ev_loop *loop, size_t mem_max);
/* Discards every task, then the state. Not from inside Lua. */
void vm_fini(struct vm *vm);

/* The vm of a state, inside or outside of a task. */
struct vm *vm_of(lua_State *L);

/* Runs @fn(L) with @arg as light userdata, protected, outside of tasks. 0, or -1: reported. */
int vm_protect(struct vm *vm, lua_CFunction fn, void *arg);

/* A task to be filled and started, or NULL: too many, or no memory; reported. */
struct task *task_new(struct vm *vm, const char *what);
/* The same for a C function that Lua called: raises for memory; NULL: too many. */
struct task *task_make(lua_State *L, const char *what);
/* Runs a new task: its function and @nargs arguments are on t->co. */
enum vm_outcome vm_start(struct task *t, int nargs);
/* Takes a DONE task back into the pool. */
void task_recycle(struct task *t);
/* Throws a waiting, new or done task away. Its streams stay with their owner. */
void task_discard(struct task *t);

/* For C functions that wait. vm_blocker() is the running task, or raises that @what cannot be
 * used here. Then the function starts what it waits for, which cannot raise any
 * more, and ends with "return vm_wait(L, t, cancel, arg)". */
struct task *vm_blocker(lua_State *L, const char *what);
int vm_wait(lua_State *L, struct task *t, task_cancel_fn *cancel, void *arg);
/* From the loop: the wait is over; the C function returns what @push pushes. */
void vm_wake(struct task *t, vm_push_fn *push, void *arg);

/* Runs @d->run soon. Again for one already waiting: no effect. */
void vm_defer(struct vm *vm, struct deferred *d);
void vm_undefer(struct deferred *d);

/* Reports an error of @t's script that is not raised: "WHERE: MESSAGE (in on_connect, tcp ...)".
 * @where is "file:line". */
void vm_complain(struct vm *vm, const char *where, const char *what, const struct flow *f,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* The third time out of memory within a minute: nothing new should be tried. */
bool vm_broken(struct vm *vm);

/* What a waiting C function yields, passed up by our coroutine.resume (lua/nsnet/boot.lua). */
extern char vm_wait_mark;

#endif
