/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/base.h"
#include "lua/connection.h"
#include "lua/modules.h"
#include "lua/sandbox.h"
#include "lua/scripts.h"

/* console - Lua from outside, in the rules that are in force: lua_host_eval().
 */
#define CONNS_MAX 1000

static char console_key; /* registry: the function of lua/nsnet/console.lua */

/* conns([max]): the connections that these rules were asked about, and how many there are. */
static int l_conns(lua_State *L)
{
	struct ruleset *rs = ruleset_of(L);
	int max = luaL_optint(L, 1, CONNS_MAX), n = 0;
	lua_newtable(L);
	for (struct list *e = rs->connections.next; e != &rs->connections; e = e->next) {
		if (++n > max)
			continue;
		connection_make(L, container_of(e, struct connection, link));
		lua_rawseti(L, -2, n);
	}
	lua_pushinteger(L, n);
	return 2;
}

/* Leaves the console's function on top: made for a state's first line. */
static void push_console(lua_State *L)
{
	const struct lua_module *m = lua_modules;
	lua_pushlightuserdata(L, &console_key);
	lua_rawget(L, LUA_REGISTRYINDEX);
	if (!lua_isnil(L, -1))
		return;
	while (m->name && strcmp(m->name, "nsnet.console") != 0)
		m++;
	if (!m->name || sandbox_compile(L, m->text, m->len, "=nsnet.console"))
		luaL_error(L, "the library is not whole: nsnet.console");
	lua_newtable(L);
	lua_pushcfunction(L, l_conns);
	lua_setfield(L, -2, "conns");
	lua_call(L, 1, 1);
	lua_pushlightuserdata(L, &console_key);
	lua_pushvalue(L, -2);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

struct eval {
	struct task *t;
	const char *line;
};

static int push_line(lua_State *L)
{
	struct eval *e = lua_touserdata(L, 1);
	push_console(L);
	lua_pushstring(L, e->line);
	lua_xmove(L, e->t->co, 2);
	return 0;
}

int lua_host_eval(struct lua_host *h, const char *line, char **text)
{
	struct vm *vm = &h->current->vm;
	struct eval e = {.t = task_new(vm, "console"), .line = line};
	/* What a line wastes is not held against the rules. */
	unsigned oom_count = vm->oom_count;
	int rc = -EAGAIN;
	*text = NULL;
	if (e.t && vm_protect(vm, push_line, &e)) {
		task_discard(e.t);
	} else if (e.t && vm_start(e.t, 1) == VM_DONE) {
		const char *said = lua_tostring(e.t->co, 2);
		rc = lua_toboolean(e.t->co, 1) ? 0 : -EINVAL;
		*text = said ? strdup(said) : NULL;
		task_recycle(e.t);
		rc = *text ? rc : -ENOMEM;
	}
	vm->oom_count = oom_count;
	return rc;
}
