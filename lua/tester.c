/* SPDX-License-Identifier: MIT */
#include "lua/tester.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/base.h"

static char tester_key; /* registry: where tester_of() finds it */

void tester_set(lua_State *L, struct tester *t)
{
	lua_pushlightuserdata(L, &tester_key);
	lua_pushlightuserdata(L, t);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

struct tester *tester_of(lua_State *L)
{
	lua_pushlightuserdata(L, &tester_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
	struct tester *t = lua_touserdata(L, -1);
	lua_pop(L, 1);
	return t;
}

void tester_event(struct tester *t, const char *kind, const char *network, const char *address)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "%s %s %s\n", kind, network, address);
	size_t len = n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1;
	char *grown = realloc(t->events, t->events_len + len);
	if (!grown)
		return;
	memcpy(grown + t->events_len, line, len);
	t->events = grown;
	t->events_len += len;
}

static void op_start(struct deferred *d)
{
	struct op *op = container_of(d, struct op, later);
	if (op->flow)
		op->flow->queued = NULL;
	op->run(op); /* last: @op may be gone */
}

struct op *op_new(lua_State *L, const char *what, void (*run)(struct op *op), vm_push_fn *push)
{
	struct task *task = vm_blocker(L, what);
	struct op *op = calloc(1, sizeof(*op));
	if (!op) {
		luaL_error(L, "not enough memory");
		return NULL;
	}
	op->t = tester_of(L);
	op->task = task;
	op->run = run;
	op->push = push;
	op->later.run = op_start;
	return op;
}

static void op_free(struct op *op)
{
	if (op->flow)
		op->flow->op = op->flow->queued = NULL;
	vm_undefer(&op->later);
	free(op->bytes);
	free(op);
}

static void op_on_cancel(void *arg)
{
	struct op *op = arg;
	if (op->cancel)
		op->cancel(op);
	op_free(op);
}

int op_wait(lua_State *L, struct op *op)
{
	vm_defer(op->task->vm, &op->later);
	return vm_wait(L, op->task, op_on_cancel, op);
}

static int op_push(lua_State *L, void *arg)
{
	struct op *op = arg;
	return op->push ? op->push(L, op) : 0;
}

void op_end(struct op *op)
{
	struct task *task = op->task;
	if (op->flow)
		op->flow->op = NULL;
	/* The wait is over with vm_wake(), so nobody cancels: the op is ours to free. */
	vm_wake(task, op_push, op);
	free(op->bytes);
	free(op);
}
