/* SPDX-License-Identifier: MIT */
#include "lua/query.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/dnsmake.h"
#include "lua/args.h"
#include "lua/stream.h"
#include "lua/text.h"
#include "lua/udata.h"
#include "lua/verdict.h"

#define ANSWER_MAX 4096 /* bytes of an answer that a script makes */
#define TTL_DEFAULT 60
#define TTL_MAX 604800 /* RFC 8767 4: a week is a sane maximum */

struct query_object {
	struct query *y; /* NULL: it was answered */
	struct addr src, dst;
	bool tcp;
	uint16_t type;
	char name[]; /* without a trailing dot, lower case */
};

enum {
	FIELD_NAME,
	FIELD_NETWORK,
	FIELD_SERVER,
	FIELD_SRC_IP,
	FIELD_SRC_PORT,
	FIELD_TYPE,
};

static const char *const field_names[] = {
	[FIELD_NAME] = "name",
	[FIELD_NETWORK] = "network",
	[FIELD_SERVER] = "server",
	[FIELD_SRC_IP] = "src_ip",
	[FIELD_SRC_PORT] = "src_port",
	[FIELD_TYPE] = "type",
	NULL,
};

static int query_field(lua_State *L, void *self, int id)
{
	const struct query_object *o = self;
	char text[ADDR_TEXT_MAX], type[16];
	switch (id) {
	case FIELD_NAME:
		lua_pushstring(L, o->name);
		break;
	case FIELD_NETWORK:
		lua_pushstring(L, o->tcp ? "tcp" : "udp");
		break;
	case FIELD_SERVER:
		lua_pushstring(L, addr_format(&o->dst, false, text));
		break;
	case FIELD_SRC_IP:
		lua_pushstring(L, addr_format(&o->src, false, text));
		break;
	case FIELD_SRC_PORT:
		lua_pushinteger(L, o->src.port);
		break;
	default:
		lua_pushstring(L, dnsmsg_type_name(o->type, type));
	}
	return 1;
}

static int query_tostring(lua_State *L);
static int l_answer(lua_State *L);
static int l_forward(lua_State *L);

static const luaL_Reg methods[] = {{"answer", l_answer}, {"forward", l_forward}, {NULL, NULL}};

static const struct udata_class query_class = {
	.name = "query",
	.fields = field_names,
	.methods = {methods},
	.field = query_field,
	.tostring = query_tostring,
	.read_only = "return query:answer{...} to answer it yourself",
};

void query_open(lua_State *L)
{
	udata_class(L, &query_class);
}

static int query_tostring(lua_State *L)
{
	const struct query_object *o = udata_check(L, 1, &query_class, "tostring");
	char type[16];
	lua_pushfstring(L, "dns %s %s", o->name, dnsmsg_type_name(o->type, type));
	return 1;
}

static struct query *check(lua_State *L, const char *verb)
{
	struct query_object *o = udata_check(L, 1, &query_class, verb);
	if (!o->y)
		luaL_error(L, "query:%s: the question was answered already", verb);
	return o->y;
}

/* --- answers --------------------------------------------------------------------------------- */

struct making {
	lua_State *L;
	struct dnsmake k;
	uint16_t type; /* the question's */
	uint32_t ttl;
	uint8_t owner[DNSMSG_WIRE_MAX];
};

static bool wanted(const struct making *g, uint16_t type)
{
	return g->type == type || g->type == 255; /* ANY */
}

static void add_address(struct making *g, const char *text, size_t len, uint8_t v)
{
	struct addr a;
	if (strlen(text) != len || addr_parse(&a, text) || a.v != v || a.port)
		luaL_error(g->L, "query:answer: \"%s\" is no IPv%d address", text, v);
	uint16_t type = v == 4 ? DNSMSG_TYPE_A : DNSMSG_TYPE_AAAA;
	if (wanted(g, type))
		dnsmake_record(&g->k, 1, g->owner, type, g->ttl, a.ip, v == 4 ? 4 : 16);
}

static void add_a(struct making *g, const char *text, size_t len)
{
	add_address(g, text, len, 4);
}

static void add_aaaa(struct making *g, const char *text, size_t len)
{
	add_address(g, text, len, 6);
}

/* Strings of 255 bytes at most, one after another (RFC 1035 3.3.14). */
static void add_txt(struct making *g, const char *text, size_t len)
{
	uint8_t data[ANSWER_MAX];
	size_t n = 0;
	if (len > ANSWER_MAX / 2)
		luaL_error(g->L, "query:answer: a txt= is longer than %d bytes", ANSWER_MAX / 2);
	do {
		size_t piece = len < 255 ? len : 255;
		data[n++] = (uint8_t)piece;
		memcpy(data + n, text, piece);
		n += piece;
		text += piece;
		len -= piece;
	} while (len);
	if (wanted(g, DNSMSG_TYPE_TXT))
		dnsmake_record(&g->k, 1, g->owner, DNSMSG_TYPE_TXT, g->ttl, data, n);
}

/* Calls @add for the string at @key of the table at 2, or for each element if it is a list. */
static void each_string(struct making *g, const char *key,
	void (*add)(struct making *g, const char *text, size_t len))
{
	lua_State *L = g->L;
	char kind[TEXT_KIND_MAX], what[32];
	size_t len;
	snprintf(what, sizeof(what), "query:answer: %s=", key);
	lua_getfield(L, 2, key);
	int list = lua_istable(L, -1);
	int n = list ? args_length(L, lua_gettop(L), what) : !lua_isnil(L, -1);
	for (int i = 1; i <= n; i++) {
		if (list)
			lua_rawgeti(L, -1, i);
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L,
				"query:answer: %s= must be a string or a list of them, not %s", key,
				text_kind(L, -1, kind));
		const char *text = lua_tolstring(L, -1, &len);
		add(g, text, len);
		if (list)
			lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

static void read_ttl(struct making *g)
{
	lua_State *L = g->L;
	g->ttl = TTL_DEFAULT;
	lua_getfield(L, 2, "ttl");
	if (!lua_isnil(L, -1)) {
		lua_Number n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
		if (!(n >= 0 && n <= TTL_MAX))
			luaL_error(L, "query:answer: ttl= must be 0 to %d seconds", TTL_MAX);
		g->ttl = (uint32_t)n;
	}
	lua_pop(L, 1);
}

/* The rest of the answer belongs to the name that cname= says. */
static void read_cname(struct making *g)
{
	lua_State *L = g->L;
	uint8_t target[DNSMSG_WIRE_MAX];
	char kind[TEXT_KIND_MAX];
	lua_getfield(L, 2, "cname");
	if (!lua_isnil(L, -1)) {
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "query:answer: cname= must be a name, not %s",
				text_kind(L, -1, kind));
		bool whole = strlen(lua_tostring(L, -1)) == lua_objlen(L, -1);
		int n = whole ? dnsmsg_wire(lua_tostring(L, -1), target) : -1;
		if (n < 0)
			luaL_error(L, "query:answer: cname=\"%s\" is no name", lua_tostring(L, -1));
		dnsmake_cname(&g->k, 1, g->owner, g->ttl, target);
		memcpy(g->owner, target, (size_t)n);
	}
	lua_pop(L, 1);
}

/* Makes the message for the table at 2 into the buffer that is pushed. */
static size_t make_answer(lua_State *L, const struct dnsmsg *m, uint8_t **out)
{
	struct making g = {.L = L, .type = m->type};
	*out = lua_newuserdata(L, ANSWER_MAX);
	memcpy(g.owner, m->name, m->name_len);
	dnsmake_begin(&g.k, *out, ANSWER_MAX, m, DNSMSG_RCODE_NOERROR);
	read_ttl(&g);
	read_cname(&g);
	each_string(&g, "a", add_a);
	each_string(&g, "aaaa", add_aaaa);
	each_string(&g, "txt", add_txt);
	size_t len = dnsmake_end(&g.k, m);
	if (g.k.full)
		luaL_error(L, "query:answer: the answer is longer than %d bytes", ANSWER_MAX);
	return len;
}

/* query:answer { a =, aaaa =, cname =, txt =, ttl = }: what is not of the type asked for is checked
 * and left out, so that one table answers every type. */
static int l_answer(lua_State *L)
{
	static const char *const keys[] = {"a", "aaaa", "cname", "txt", "ttl", NULL};
	static unsigned number;
	struct query *y = check(L, "answer");
	uint8_t *msg;
	args_type(L, 2, LUA_TTABLE, "query:answer");
	args_keys(L, 2, keys, "query:answer");
	size_t len = make_answer(L, &y->q->m, &msg);
	struct verdict_value v = {.verdict = VERDICT_ALLOW, .answer = number + 1 ? number + 1 : 1};
	verdict_push(L, &v);
	uint8_t *copy = malloc(len);
	if (!copy)
		return luaL_error(L, "not enough memory");
	memcpy(copy, msg, len);
	free(y->answer);
	y->answer = copy;
	y->answer_len = len;
	y->answer_number = number = v.answer;
	return 1;
}

/* query:forward([server]) */
static int l_forward(lua_State *L)
{
	struct verdict_value v = {.verdict = VERDICT_ALLOW};
	(void)check(L, "forward");
	if (!lua_isnoneornil(L, 2)) {
		args_type(L, 2, LUA_TSTRING, "query:forward");
		const char *text = lua_tostring(L, 2);
		if (strlen(text) != lua_objlen(L, 2) || addr_parse(&v.target, text))
			return luaL_error(L,
				"query:forward: \"%s\" is no IP address of a name server, like "
				"\"192.0.2.53\"",
				text);
		v.verdict = VERDICT_REDIRECT;
	}
	verdict_push(L, &v);
	return 1;
}

/* --- from C ---------------------------------------------------------------------------------- */

static int object_make(lua_State *L)
{
	struct query *y = lua_touserdata(L, 1);
	const struct dnsquery *q = y->q;
	size_t size = strlen(q->name) + 1;
	struct query_object *o = udata_new(L, &query_class, sizeof(*o) + size);
	o->src = q->src;
	o->dst = q->dst;
	o->tcp = q->tcp;
	o->type = q->m.type;
	memcpy(o->name, q->name, size);
	y->ref = luaL_ref(L, LUA_REGISTRYINDEX);
	o->y = y; /* from here on nothing raises */
	y->object = o;
	return 0;
}

struct query *query_new(struct ruleset *rs, struct dnsquery *q)
{
	struct query *y = calloc(1, sizeof(*y));
	if (!y)
		return NULL;
	y->rs = rs;
	y->q = q;
	y->ref = LUA_NOREF;
	list_init(&y->streams);
	if (vm_protect(&rs->vm, object_make, y)) {
		free(y);
		return NULL;
	}
	ruleset_hold(rs);
	return y;
}

void query_free(struct query *y)
{
	struct ruleset *rs = y->rs;
	ev_timer_stop(rs->vm.loop, &y->deadline);
	if (y->task)
		task_discard(y->task);
	stream_close_all(&y->streams, "stream belongs to a question that was answered");
	y->object->y = NULL;
	luaL_unref(rs->vm.L, LUA_REGISTRYINDEX, y->ref);
	free(y->answer);
	free(y);
	ruleset_put(rs);
}

void query_push(lua_State *L, const struct query *y)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, y->ref);
}
