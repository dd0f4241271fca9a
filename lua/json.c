/* SPDX-License-Identifier: MIT */
#include "lua/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/base.h"
#include "lua/budget.h"
#include "lua/failure.h"
#include "lua/jsonread.h"
#include "lua/text.h"
#include "lua/udata.h"

/* A list has a metatable that marks it, so that an empty one stays one on its way there and back. A
 * null is nsnet.json.null, since a nil would vanish from its table. What is written is the same
 * each time: keys are sorted. */
#define TEXT_MAX (16 << 20) /* as string.rep and table.concat have it */
#define SORTED_MAX 10000    /* keys; more would take longer than a budget allows */

static char list_key;  /* registry: the metatable of lists */
static char names_key; /* registry: table.sort */

static void push_kept(lua_State *L, char *key)
{
	lua_pushlightuserdata(L, key);
	lua_rawget(L, LUA_REGISTRYINDEX);
}

/* --- reading --------------------------------------------------------------------------------- */

struct building {
	lua_State *L;
	int depth;
	int count[JSONREAD_DEPTH_MAX + 1]; /* elements of the list; -1: an object */
};

/* The value on top goes where it belongs: the list or the key below it. */
static void place(struct building *b)
{
	if (!b->depth)
		return;
	if (b->count[b->depth] < 0)
		lua_rawset(b->L, -3);
	else
		lua_rawseti(b->L, -2, ++b->count[b->depth]);
}

static const char *push_key(lua_State *L, const char *text, size_t len)
{
	lua_pushlstring(L, text, len);
	lua_pushvalue(L, -1);
	lua_rawget(L, -3);
	bool twice = !lua_isnil(L, -1);
	lua_pop(L, 1);
	return twice ? "a key that is there already" : NULL;
}

static const char *on_event(void *arg, enum jsonread_event e, const char *text, size_t len,
	double number)
{
	struct building *b = arg;
	lua_State *L = b->L;
	luaL_checkstack(L, 8, "json");
	switch (e) {
	case JSONREAD_KEY:
		return push_key(L, text, len);
	case JSONREAD_ARRAY:
		lua_newtable(L);
		push_kept(L, &list_key);
		lua_setmetatable(L, -2);
		b->count[++b->depth] = 0;
		return NULL;
	case JSONREAD_OBJECT:
		lua_newtable(L);
		b->count[++b->depth] = -1;
		return NULL;
	case JSONREAD_END:
		b->depth--;
		break;
	case JSONREAD_STRING:
		lua_pushlstring(L, text, len);
		break;
	case JSONREAD_NUMBER:
		lua_pushnumber(L, number);
		break;
	case JSONREAD_NULL:
		lua_pushlightuserdata(L, NULL);
		break;
	default:
		lua_pushboolean(L, e == JSONREAD_TRUE);
	}
	place(b);
	return NULL;
}

const char *json_push(lua_State *L, const char *text, size_t len)
{
	static char why[128];
	struct building b = {.L = L};
	struct jsonread r = {.fn = on_event, .arg = &b, .stop = budget_spent};
	int top = lua_gettop(L);
	char *copy = lua_newuserdata(L, len + 1);
	memcpy(copy, text, len);
	copy[len] = 0;
	if (jsonread(&r, copy, len)) {
		snprintf(why, sizeof(why), "json: %s at byte %zu", r.error, r.at + 1);
		lua_settop(L, top);
		return why;
	}
	lua_remove(L, top + 1);
	return NULL;
}

static int l_decode(lua_State *L)
{
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);
	const char *why = json_push(L, text, len);
	return why ? failure_push(L, FAILURE_PROTO, why) : 1;
}

/* --- writing --------------------------------------------------------------------------------- */

struct sheet {
	char *bytes; /* owned: out of reach of an error that jumps over us */
	size_t len, cap;
	unsigned steps;
};

static int sheet_gc(lua_State *L)
{
	struct sheet *s = lua_touserdata(L, 1);
	free(s->bytes);
	s->bytes = NULL;
	return 0;
}

static const struct udata_class sheet_class = {.name = "json text", .gc = sheet_gc};

static void put(lua_State *L, struct sheet *s, const char *bytes, size_t len)
{
	if (s->len + len > s->cap) {
		size_t cap = MAX(s->cap * 2, s->len + len + 256);
		char *p = s->len + len > TEXT_MAX ? NULL : realloc(s->bytes, cap);
		if (!p) {
			luaL_error(L,
				s->len + len > TEXT_MAX ? "json.encode: the text is too long"
							: "not enough memory");
			return;
		}
		s->bytes = p;
		s->cap = cap;
	}
	memcpy(s->bytes + s->len, bytes, len);
	s->len += len;
}

static void put_text(lua_State *L, struct sheet *s, const char *text)
{
	put(L, s, text, strlen(text));
}

static void look_at_budget(lua_State *L, struct sheet *s)
{
	if (++s->steps % 256 == 0 && budget_spent())
		luaL_error(L, "json.encode: the CPU budget is spent");
}

/* How @c stands in a string if not as itself, into @out. */
static const char *escape_of(unsigned char c, char out[8])
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *found = c ? strchr(from, c) : NULL;
	if (found)
		snprintf(out, 8, "\\%c", to[found - from]);
	else if (c < 0x20)
		snprintf(out, 8, "\\u%04x", c);
	else
		return NULL;
	return out;
}

/* Bytes that are not UTF-8 become U+FFFD: what a script logs may come from anybody. */
static void put_string(lua_State *L, struct sheet *s, int i)
{
	size_t len;
	const unsigned char *p = (const unsigned char *)lua_tolstring(L, i, &len);
	const unsigned char *end = p + len;
	char escape[8];
	put(L, s, "\"", 1);
	while (p < end) {
		const unsigned char *from = p;
		size_t n = 1;
		while (p < end && !escape_of(*p, escape) && (n = jsonread_utf8(p, end)) > 0) {
			p += n;
			look_at_budget(L, s);
		}
		put(L, s, (const char *)from, (size_t)(p - from));
		if (p < end)
			put_text(L, s, n ? escape_of(*p, escape) : "\xef\xbf\xbd");
		p += p < end;
		look_at_budget(L, s);
	}
	put(L, s, "\"", 1);
}

static void put_number(lua_State *L, struct sheet *s, double n)
{
	char text[32];
	if (!isfinite(n))
		luaL_error(L, "json.encode: JSON has no number for %s", isnan(n) ? "nan" : "inf");
	snprintf(text, sizeof(text), "%.15g", n);
	if (strtod(text, NULL) != n)
		snprintf(text, sizeof(text), "%.17g", n);
	put_text(L, s, text);
}

static void put_value(lua_State *L, struct sheet *s, int depth);

/* True if the table on top is a list; an error if it is half one. */
static bool is_list(lua_State *L, struct sheet *s)
{
	size_t n = lua_objlen(L, -1), keys = 0;
	bool marked = false, strings = false;
	if (lua_getmetatable(L, -1)) {
		push_kept(L, &list_key);
		marked = lua_rawequal(L, -1, -2);
		lua_pop(L, 2);
	}
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		lua_pop(L, 1);
		strings |= lua_type(L, -1) == LUA_TSTRING;
		keys++;
		look_at_budget(L, s);
	}
	if (strings ? marked || n : keys != n)
		luaL_error(L,
			"json.encode: a table must be a list without holes, or have only "
			"strings as keys");
	return marked || n;
}

static void put_list(lua_State *L, struct sheet *s, int depth)
{
	int n = (int)lua_objlen(L, -1);
	put(L, s, "[", 1);
	for (int i = 1; i <= n; i++) {
		if (i > 1)
			put(L, s, ",", 1);
		lua_rawgeti(L, -1, i);
		put_value(L, s, depth);
		lua_pop(L, 1);
	}
	put(L, s, "]", 1);
}

/* Pushes a list of the keys of the table on top; they are strings. Returns how many. */
static int push_keys(lua_State *L)
{
	int n = 0;
	lua_newtable(L);
	lua_pushnil(L);
	while (lua_next(L, -3)) {
		lua_pop(L, 1);
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "json.encode: a key is no string");
		lua_pushvalue(L, -1);
		lua_rawseti(L, -3, ++n);
	}
	if (n > 1 && n <= SORTED_MAX) {
		push_kept(L, &names_key);
		lua_pushvalue(L, -2);
		lua_call(L, 1, 0);
	}
	return n;
}

static void put_object(lua_State *L, struct sheet *s, int depth)
{
	int n = push_keys(L);
	put(L, s, "{", 1);
	for (int i = 1; i <= n; i++) {
		if (i > 1)
			put(L, s, ",", 1);
		lua_rawgeti(L, -1, i);
		put_string(L, s, -1);
		put(L, s, ":", 1);
		lua_rawget(L, -3);
		put_value(L, s, depth);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	put(L, s, "}", 1);
}

/* Writes the value on top. */
static void put_value(lua_State *L, struct sheet *s, int depth)
{
	char kind[TEXT_KIND_MAX];
	look_at_budget(L, s);
	luaL_checkstack(L, 12, "json");
	switch (lua_type(L, -1)) {
	case LUA_TBOOLEAN:
		put_text(L, s, lua_toboolean(L, -1) ? "true" : "false");
		return;
	case LUA_TNUMBER:
		put_number(L, s, lua_tonumber(L, -1));
		return;
	case LUA_TSTRING:
		put_string(L, s, -1);
		return;
	case LUA_TLIGHTUSERDATA:
		put_text(L, s, "null");
		return;
	case LUA_TTABLE:
		if (depth == JSONREAD_DEPTH_MAX)
			luaL_error(L, "json.encode: nested more than %d deep, or in a circle",
				JSONREAD_DEPTH_MAX);
		if (is_list(L, s))
			put_list(L, s, depth + 1);
		else
			put_object(L, s, depth + 1);
		return;
	default:
		luaL_error(L, "json.encode: JSON has nothing for %s", text_kind(L, -1, kind));
	}
}

void json_push_text(lua_State *L, int i)
{
	lua_pushvalue(L, i);
	struct sheet *s = udata_new(L, &sheet_class, sizeof(*s));
	lua_insert(L, -2);
	put_value(L, s, 0);
	lua_pop(L, 1);
	lua_pushlstring(L, s->bytes, s->len);
	lua_remove(L, -2);
}

static int l_encode(lua_State *L)
{
	luaL_checkany(L, 1);
	json_push_text(L, 1);
	return 1;
}

/* nsnet.json.list(table): marks it as a list, so that an empty one is written as []. */
static int l_list(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	push_kept(L, &list_key);
	lua_setmetatable(L, 1);
	return 1;
}

void json_open(lua_State *L)
{
	static const luaL_Reg functions[] = {{"encode", l_encode}, {"decode", l_decode},
		{"list", l_list}, {NULL, NULL}};
	udata_class(L, &sheet_class);
	lua_pushlightuserdata(L, &list_key);
	lua_newtable(L);
	lua_pushliteral(L, "list");
	lua_setfield(L, -2, "__metatable");
	lua_rawset(L, LUA_REGISTRYINDEX);
	lua_pushlightuserdata(L, &names_key);
	lua_getglobal(L, "table");
	lua_getfield(L, -1, "sort");
	lua_remove(L, -2);
	lua_rawset(L, LUA_REGISTRYINDEX);
	lua_newtable(L);
	luaL_setfuncs(L, functions, 0);
	lua_pushlightuserdata(L, NULL);
	lua_setfield(L, -2, "null");
	lua_setfield(L, -2, "json");
}
