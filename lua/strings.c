/* SPDX-License-Identifier: MIT */
#include "lua/strings.h"

#include <string.h>

#include <lauxlib.h>

#include "core/base.h"
#include "lua/budget.h"
#include "lua/pattern.h"

#define REP_MAX (16 << 20) /* bytes of string.rep: far above any need here */

static void pattern_fill(struct pattern *p, const char *text, size_t len, const char *pat,
	size_t pat_len)
{
	memset(p, 0, offsetof(struct pattern, capture));
	p->text = text;
	p->text_end = text + len;
	p->pat = pat;
	p->pat_end = pat + pat_len;
	p->stop = budget_spent;
}

/* pattern_match() that raises what is wrong. */
static const char *match(lua_State *L, struct pattern *p, const char *from)
{
	const char *end = pattern_match(p, from);
	if (p->error)
		luaL_error(L, "%s", p->error);
	return end;
}

static void push_capture(lua_State *L, const struct pattern *p, unsigned i)
{
	if (p->capture[i].len == PATTERN_POSITION)
		lua_pushinteger(L, p->capture[i].at - p->text + 1);
	else
		lua_pushlstring(L, p->capture[i].at, p->capture[i].len);
}

/* All captures; the whole match if there is none and @whole. Returns how many. */
static int push_captures(lua_State *L, const struct pattern *p, const char *from, const char *end,
	bool whole)
{
	luaL_checkstack(L, (int)p->captures + 1, "too many captures");
	for (unsigned i = 0; i < p->captures; i++)
		push_capture(L, p, i);
	if (p->captures || !whole)
		return (int)p->captures;
	lua_pushlstring(L, from, (size_t)(end - from));
	return 1;
}

/* The offset for the init argument at @i: from 0, at most @len. */
static size_t check_init(lua_State *L, int i, size_t len)
{
	lua_Number n = luaL_optnumber(L, i, 1);
	if (n < 0)
		n += (lua_Number)len + 1;
	if (!(n >= 1))
		n = 1;
	return n > (lua_Number)len + 1 ? len : (size_t)n - 1;
}

static int find_plain(lua_State *L, const char *text, size_t len, size_t init, const char *pat,
	size_t pat_len)
{
	const char *at = memmem(text + init, len - init, pat, pat_len);
	if (!at) {
		lua_pushnil(L);
		return 1;
	}
	lua_pushinteger(L, at - text + 1);
	lua_pushinteger(L, at - text + (lua_Integer)pat_len);
	return 2;
}

static int find_or_match(lua_State *L, bool find)
{
	size_t len, pat_len;
	const char *text = luaL_checklstring(L, 1, &len);
	const char *pat = luaL_checklstring(L, 2, &pat_len);
	size_t init = check_init(L, 3, len);
	if (find && (lua_toboolean(L, 4) || pattern_is_plain(pat, pat_len)))
		return find_plain(L, text, len, init, pat, pat_len);
	bool anchor = pat_len && *pat == '^';
	struct pattern p;
	pattern_fill(&p, text, len, pat + anchor, pat_len - anchor);
	for (const char *from = text + init;; from++) {
		const char *end = match(L, &p, from);
		if (end && !find)
			return push_captures(L, &p, from, end, true);
		if (end) {
			lua_pushinteger(L, from - text + 1);
			lua_pushinteger(L, end - text);
			return push_captures(L, &p, from, end, false) + 2;
		}
		if (anchor || from == p.text_end)
			break;
	}
	lua_pushnil(L);
	return 1;
}

static int l_find(lua_State *L)
{
	return find_or_match(L, true);
}

static int l_match(lua_State *L)
{
	return find_or_match(L, false);
}

/* Upvalues: text, pattern, where to go on. */
static int gmatch_next(lua_State *L)
{
	size_t len, pat_len;
	const char *text = lua_tolstring(L, lua_upvalueindex(1), &len);
	const char *pat = lua_tolstring(L, lua_upvalueindex(2), &pat_len);
	size_t at = (size_t)lua_tonumber(L, lua_upvalueindex(3));
	struct pattern p;
	pattern_fill(&p, text, len, pat, pat_len);
	for (const char *from = text + at; at <= len && from <= p.text_end; from++) {
		const char *end = match(L, &p, from);
		if (!end)
			continue;
		/* An empty match must not be found for ever. */
		lua_pushnumber(L, (lua_Number)(end - text + (end == from)));
		lua_replace(L, lua_upvalueindex(3));
		return push_captures(L, &p, from, end, true);
	}
	return 0;
}

static int l_gmatch(lua_State *L)
{
	luaL_checkstring(L, 1);
	luaL_checkstring(L, 2);
	lua_settop(L, 2);
	lua_pushinteger(L, 0);
	lua_pushcclosure(L, gmatch_next, 3);
	return 1;
}

/* Adds the replacement string at 3 with its %0 to %9. */
static void add_string(lua_State *L, luaL_Buffer *b, const struct pattern *p, const char *from,
	const char *end)
{
	size_t len;
	const char *r = lua_tolstring(L, 3, &len);
	for (size_t i = 0; i < len; i++) {
		if (r[i] != '%') {
			luaL_addchar(b, r[i]);
			continue;
		}
		char c = ++i < len ? r[i] : 0;
		if (c < '0' || c > '9') {
			luaL_addchar(b, c);
		} else if (c == '0' || (c == '1' && !p->captures)) {
			luaL_addlstring(b, from, (size_t)(end - from));
		} else {
			unsigned k = (unsigned)(c - '1');
			if (k >= p->captures)
				luaL_error(L, "invalid capture index");
			push_capture(L, p, k);
			luaL_addvalue(b);
		}
	}
}

/* Adds what takes the place of the match. */
static void add_replacement(lua_State *L, luaL_Buffer *b, const struct pattern *p, const char *from,
	const char *end)
{
	switch (lua_type(L, 3)) {
	case LUA_TFUNCTION:
		lua_pushvalue(L, 3);
		lua_call(L, push_captures(L, p, from, end, true), 1);
		break;
	case LUA_TTABLE:
		if (p->captures)
			push_capture(L, p, 0);
		else
			lua_pushlstring(L, from, (size_t)(end - from));
		lua_gettable(L, 3);
		break;
	default:
		add_string(L, b, p, from, end);
		return;
	}
	if (!lua_toboolean(L, -1)) {
		lua_pop(L, 1);
		lua_pushlstring(L, from, (size_t)(end - from));
	} else if (!lua_isstring(L, -1)) {
		luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
	}
	luaL_addvalue(b);
}

static int l_gsub(lua_State *L)
{
	size_t len, pat_len;
	const char *text = luaL_checklstring(L, 1, &len);
	const char *pat = luaL_checklstring(L, 2, &pat_len);
	int kind = lua_type(L, 3);
	lua_Number most = luaL_optnumber(L, 4, (lua_Number)len + 1);
	if (kind != LUA_TSTRING && kind != LUA_TNUMBER && kind != LUA_TTABLE &&
		kind != LUA_TFUNCTION)
		return luaL_error(L, "bad argument #3 to 'gsub' (string/function/table expected)");
	bool anchor = pat_len && *pat == '^';
	int n = 0;
	struct pattern p;
	luaL_Buffer b;
	pattern_fill(&p, text, len, pat + anchor, pat_len - anchor);
	lua_settop(L, 3);
	luaL_buffinit(L, &b);
	const char *from = text;
	while (n < most) {
		const char *end = match(L, &p, from);
		if (end) {
			n++;
			add_replacement(L, &b, &p, from, end);
		}
		if (end && end > from)
			from = end;
		else if (from < p.text_end)
			luaL_addchar(&b, *from++);
		else
			break;
		if (anchor)
			break;
	}
	luaL_addlstring(&b, from, (size_t)(p.text_end - from));
	luaL_pushresult(&b);
	lua_pushinteger(L, n);
	return 2;
}

static int l_rep(lua_State *L)
{
	size_t len, sep_len;
	const char *text = luaL_checklstring(L, 1, &len);
	lua_Number n = luaL_checknumber(L, 2);
	const char *sep = luaL_optlstring(L, 3, "", &sep_len);
	if (!(n >= 1)) {
		lua_pushliteral(L, "");
		return 1;
	}
	if ((double)(len + sep_len) * n > REP_MAX)
		return luaL_error(L, "string.rep: the result would be longer than 16 MiB");
	size_t count = (size_t)n, unit = len + sep_len, total = unit * count - sep_len;
	if (!total) {
		lua_pushliteral(L, "");
		return 1;
	}
	/* One unit, then what is there again and again. */
	char *bytes = lua_newuserdata(L, unit * count);
	memcpy(bytes, text, len);
	memcpy(bytes + len, sep, sep_len);
	for (size_t have = unit; have < unit * count;) {
		size_t more = MIN(have, unit * count - have);
		memcpy(bytes + have, bytes, more);
		have += more;
	}
	lua_pushlstring(L, bytes, total);
	return 1;
}

void strings_open(lua_State *L)
{
	static const luaL_Reg functions[] = {{"find", l_find}, {"match", l_match},
		{"gmatch", l_gmatch}, {"gsub", l_gsub}, {"rep", l_rep}, {NULL, NULL}};
	luaL_setfuncs(L, functions, 0);
}
