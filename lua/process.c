/* SPDX-License-Identifier: MIT */
#include "lua/process.h"

#include <string.h>

static void set_text(lua_State *L, const char *key, const char *text)
{
	lua_pushstring(L, text);
	lua_setfield(L, -2, key);
}

static void set_pid(lua_State *L, pid_t pid)
{
	lua_pushinteger(L, pid);
	lua_setfield(L, -2, "pid");
}

void process_push(lua_State *L, const struct process *p)
{
	int n = 0;
	if (!p) {
		lua_pushnil(L);
		return;
	}
	lua_createtable(L, 0, 6);
	set_pid(L, p->pid);
	set_text(L, "name", p->name);
	set_text(L, "exe", p->exe);
	set_text(L, "cwd", p->cwd);
	lua_newtable(L);
	for (size_t at = 0; at < p->argv_len; at += strlen(p->argv + at) + 1) {
		lua_pushstring(L, p->argv + at);
		lua_rawseti(L, -2, ++n);
	}
	lua_setfield(L, -2, "argv");
	lua_createtable(L, (int)p->parent_count, 0);
	for (size_t i = 0; i < p->parent_count; i++) {
		lua_createtable(L, 0, 2);
		set_pid(L, p->parents[i].pid);
		set_text(L, "name", p->parents[i].name);
		lua_rawseti(L, -2, (int)i + 1);
	}
	lua_setfield(L, -2, "parents");
}

bool process_is(const struct process *p, const char *text)
{
	if (text[0] == '/')
		return p->exe && strcmp(p->exe, text) == 0;
	return strcmp(p->name, text) == 0;
}
