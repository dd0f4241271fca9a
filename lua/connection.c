/* SPDX-License-Identifier: MIT */
#include "lua/connection.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

#include "core/base.h"
#include "core/guard.h"
#include "core/tell.h"
#include "lua/process.h"
#include "lua/stream.h"
#include "lua/udata.h"
#include "lua/verdict.h"

struct connection_object {
	struct connection *c; /* NULL: it has ended, see last */
	struct flow last;     /* a copy with strings of its own */
	struct addr dst;
	enum verdict said;
	char *host, *tags;     /* owned, of the ended one */
	char *sni, *http_host; /* the same */
};

enum {
	FIELD_ADDRESS,
	FIELD_BYTES_DOWN,
	FIELD_BYTES_UP,
	FIELD_CLOSE_REASON,
	FIELD_CTX,
	FIELD_DIAL_ERROR,
	FIELD_DST_IP,
	FIELD_DST_LITERAL,
	FIELD_DST_PORT,
	FIELD_DURATION,
	FIELD_HOST,
	FIELD_HOST_SOURCE,
	FIELD_HTTP_HOST,
	FIELD_ID,
	FIELD_INBOUND,
	FIELD_NETWORK,
	FIELD_OPENED,
	FIELD_PROCESS,
	FIELD_REASON,
	FIELD_RULE,
	FIELD_SNI,
	FIELD_SRC_IP,
	FIELD_SRC_PORT,
	FIELD_TAGS,
	FIELD_TARGET,
	FIELD_VERDICT,
};

static const char *const field_names[] = {
	[FIELD_ADDRESS] = "address",
	[FIELD_BYTES_DOWN] = "bytes_down",
	[FIELD_BYTES_UP] = "bytes_up",
	[FIELD_CLOSE_REASON] = "close_reason",
	[FIELD_CTX] = "ctx",
	[FIELD_DIAL_ERROR] = "dial_error",
	[FIELD_DST_IP] = "dst_ip",
	[FIELD_DST_LITERAL] = "dst_literal",
	[FIELD_DST_PORT] = "dst_port",
	[FIELD_DURATION] = "duration",
	[FIELD_HOST] = "host",
	[FIELD_HOST_SOURCE] = "host_source",
	[FIELD_HTTP_HOST] = "http_host",
	[FIELD_ID] = "id",
	[FIELD_INBOUND] = "inbound",
	[FIELD_NETWORK] = "network",
	[FIELD_OPENED] = "opened",
	[FIELD_PROCESS] = "process",
	[FIELD_REASON] = "reason",
	[FIELD_RULE] = "rule",
	[FIELD_SNI] = "sni",
	[FIELD_SRC_IP] = "src_ip",
	[FIELD_SRC_PORT] = "src_port",
	[FIELD_TAGS] = "tags",
	[FIELD_TARGET] = "target",
	[FIELD_VERDICT] = "verdict",
	NULL,
};

static int push_addr(lua_State *L, const struct addr *a, bool with_port)
{
	char text[ADDR_TEXT_MAX];
	if (a->v)
		lua_pushstring(L, addr_format(a, with_port, text));
	else
		lua_pushnil(L);
	return 1;
}

/* The port, or nil: an echo has none. */
static int push_port(lua_State *L, const struct flow *f, const struct addr *a)
{
	if (f->key.proto == IPPROTO_TCP || f->key.proto == IPPROTO_UDP)
		lua_pushinteger(L, a->port);
	else
		lua_pushnil(L);
	return 1;
}

static int push_text(lua_State *L, const char *text)
{
	lua_pushstring(L, text); /* nil for NULL */
	return 1;
}

/* What became of it, in the words of the scripts: a redirect is an allow for the core. */
static const char *verdict_text(const struct flow *f, enum verdict said)
{
	enum verdict v = f->decision.verdict;
	if (v == VERDICT_ALLOW && (said == VERDICT_REDIRECT || said == VERDICT_VIA))
		v = said;
	return v == VERDICT_NONE || v == VERDICT_PENDING ? NULL : verdict_word(v);
}

/* The script's own table, made on first use, in the object's environment. */
static int push_ctx(lua_State *L)
{
	lua_getfenv(L, 1);
	lua_getmetatable(L, 1);
	if (lua_rawequal(L, -1, -2)) {
		lua_newtable(L);
		lua_pushvalue(L, -1);
		lua_setfenv(L, 1);
	} else {
		lua_pop(L, 1);
	}
	return 1;
}

static const char *host_of(const struct connection_object *o)
{
	const struct connection *c = o->c;
	if (!c)
		return o->host;
	if (c->flow->inbound)
		return NULL;
	return c->rs->name_of ? c->rs->name_of(c->rs->name_arg, c->flow) : NULL;
}

static const struct addr *caller(const struct flow *f)
{
	return f->inbound ? &f->key.dst : &f->key.src;
}

/* The name in the first bytes, if it stood there. */
static const char *visible_name(const struct connection_object *o, bool tls)
{
	const struct preface *p = o->c ? o->c->preface : NULL;
	if (!o->c)
		return tls ? o->sni : o->http_host;
	return p && p->named && p->name[0] && (tls ? p->tls : p->http) ? p->name : NULL;
}

static int connection_field(lua_State *L, void *self, int id)
{
	struct connection_object *o = self;
	const struct connection *c = o->c;
	const struct flow *f = c ? c->flow : &o->last;
	bool ended = f->state == FLOW_STATE_ENDED;
	switch (id) {
	case FIELD_ADDRESS:
		return push_addr(L, &o->dst, f->key.proto != IPPROTO_ICMP);
	case FIELD_BYTES_DOWN:
		lua_pushnumber(L, (lua_Number)f->bytes_down);
		return 1;
	case FIELD_BYTES_UP:
		lua_pushnumber(L, (lua_Number)f->bytes_up);
		return 1;
	case FIELD_CLOSE_REASON:
		return push_text(L, ended ? tell_end(f) : NULL);
	case FIELD_CTX:
		return push_ctx(L);
	case FIELD_DIAL_ERROR:
		return push_text(L, tell_dial_error(f));
	case FIELD_DST_IP:
		return push_addr(L, &o->dst, false);
	case FIELD_DST_LITERAL:
		return push_addr(L, f->inbound ? &f->key.src : &f->key.dst, false);
	case FIELD_DST_PORT:
		return push_port(L, f, &o->dst);
	case FIELD_DURATION: {
		ev_tstamp until = ended ? f->times.ended : ev_now(vm_of(L)->loop);
		lua_pushnumber(L, until > f->times.asked ? until - f->times.asked : 0);
		return 1;
	}
	case FIELD_HOST:
		return push_text(L, host_of(o));
	case FIELD_HOST_SOURCE:
		return push_text(L, host_of(o) ? "dns" : "literal");
	case FIELD_ID:
		lua_pushnumber(L, (lua_Number)f->id);
		return 1;
	case FIELD_INBOUND:
		lua_pushboolean(L, f->inbound);
		return 1;
	case FIELD_NETWORK:
		return push_text(L, f->ops->network);
	case FIELD_OPENED:
		lua_pushnumber(L, f->times.asked);
		return 1;
	case FIELD_PROCESS:
		process_push(L, c ? policy_process(c->rs->policy, f) : f->process);
		return 1;
	case FIELD_REASON:
		return push_text(L, f->decision.reason);
	case FIELD_RULE:
		return push_text(L, f->decision.rule);
	case FIELD_HTTP_HOST:
		return push_text(L, visible_name(o, false));
	case FIELD_SNI:
		return push_text(L, visible_name(o, true));
	case FIELD_SRC_IP:
		return push_addr(L, caller(f), false);
	case FIELD_SRC_PORT:
		return push_port(L, f, caller(f));
	case FIELD_TAGS:
		return push_text(L, c ? c->tags : o->tags);
	case FIELD_TARGET:
		return push_addr(L, &f->decision.target, f->key.proto != IPPROTO_ICMP);
	default:
		return push_text(L, verdict_text(f, c ? c->said : o->said));
	}
}

static int object_gc(lua_State *L)
{
	struct connection_object *o = lua_touserdata(L, 1);
	free(o->host);
	free(o->sni);
	free(o->http_host);
	free(o->tags);
	free(o->last.why);
	free(o->last.decision.rule);
	free(o->last.decision.reason);
	process_put(o->last.process);
	memset(o, 0, sizeof(*o));
	return 0;
}

static int object_tostring(lua_State *L);

static const struct udata_class connection_class = {
	.name = "conn",
	.fields = field_names,
	.field = connection_field,
	.gc = object_gc,
	.tostring = object_tostring,
	.read_only = "use conn.ctx for what you want to keep with it",
};

void connection_open(lua_State *L, const luaL_Reg *methods)
{
	udata_class(L, &connection_class);
	udata_extend(L, &connection_class, methods);
}

static int object_tostring(lua_State *L)
{
	struct connection_object *o = udata_check(L, 1, &connection_class, "tostring");
	char text[FLOW_TEXT_MAX];
	lua_pushstring(L, flow_format(o->c ? o->c->flow : &o->last, text));
	return 1;
}

struct connection *connection_check(lua_State *L, int i, const char *verb)
{
	struct connection_object *o = udata_check(L, i, &connection_class, verb);
	return o->c;
}

bool connection_is(lua_State *L, int i)
{
	return udata_test(L, i, &connection_class) != NULL;
}

/* --- from C ---------------------------------------------------------------------------------- */

static const struct process *connection_process(void *arg)
{
	const struct connection *c = arg;
	return policy_process(c->rs->policy, c->flow);
}

/* A flow to a name has that one, whatever others its address has. */
static int connection_own_name(void *arg, const struct addr *ip, filter_each_fn *fn, void *fn_arg)
{
	const struct flow *f = arg;
	UNUSED(ip);
	return f->name ? fn(fn_arg, f->name) : 0;
}

struct connection *connection_get(struct ruleset *rs, struct flow *f)
{
	if (f->policy)
		return f->policy;
	struct connection *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->rs = ruleset_hold(rs);
	c->flow = f;
	c->ref = LUA_NOREF;
	c->via_ref = LUA_NOREF;
	c->rule_via = LUA_NOREF;
	c->dialed_fd = -1;
	c->facts.dst = guard_canonical(flow_dst(f));
	c->facts.literal = *flow_dst(f);
	c->facts.door = rs->has_names && !f->inbound ? sidedoor_of(f->key.proto, flow_dst(f))
						     : SIDEDOOR_NONE;
	c->facts.network = f->key.proto == IPPROTO_TCP ? FILTER_TCP
		: f->key.proto == IPPROTO_UDP          ? FILTER_UDP
						       : FILTER_ICMP;
	c->facts.names_of = f->by_name ? connection_own_name : rs->names_of;
	c->facts.names_arg = f->by_name ? f : rs->names_arg;
	if (f->inbound) {
		c->facts.inbound = true;
		c->facts.dst.port = f->key.src.port;
	}
	c->facts.process_of = connection_process;
	c->facts.process_arg = c;
	list_init(&c->streams);
	list_add_tail(&rs->connections, &c->link);
	f->policy = c;
	return c;
}

static int object_make(lua_State *L)
{
	struct connection *c = lua_touserdata(L, 1);
	struct connection_object *o = udata_new(L, &connection_class, sizeof(*o));
	/* A mark for "no table of the script's yet". */
	lua_getmetatable(L, -1);
	lua_setfenv(L, -2);
	/* An address there always is: while only its name is known, the one that stands for it. */
	o->dst = c->flow->inbound ? c->flow->key.src
		: c->facts.dst.v  ? c->facts.dst
				  : c->flow->key.dst;
	c->ref = luaL_ref(L, LUA_REGISTRYINDEX);
	o->c = c; /* from here on nothing raises */
	c->object = o;
	return 0;
}

int connection_expose(struct connection *c)
{
	return c->object ? 0 : vm_protect(&c->rs->vm, object_make, c);
}

void connection_make(lua_State *L, struct connection *c)
{
	if (!c->object) {
		lua_pushcfunction(L, object_make);
		lua_pushlightuserdata(L, c);
		lua_call(L, 1, 0);
	}
	connection_push(L, c);
}

void connection_push(lua_State *L, struct connection *c)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, c->ref);
}

bool connection_wants(const struct connection *c, const struct handler *h, bool *named)
{
	*named = false;
	return (h->networks & c->facts.network) &&
		(!h->filter || filter_match(h->filter, &c->facts, named));
}

bool connection_wanted(const struct connection *c, const struct handlers *hs)
{
	bool named;
	for (size_t i = 0; i < hs->len; i++) {
		const struct handler *h = &hs->v[i];
		if ((h->networks & c->facts.network) &&
			(!h->filter || filter_judge(h->filter, &c->facts, FILTER_ASKS, &named)))
			return true;
	}
	return false;
}

void connection_cancel(struct connection *c)
{
	c->peeking = false;
	ev_timer_stop(c->rs->vm.loop, &c->deadline);
	if (c->task) {
		struct task *t = c->task;
		c->task = NULL;
		task_discard(t);
	}
	vm_undefer(&c->dialed);
	if (c->dialed_fd >= 0)
		close(c->dialed_fd);
	c->dialed_fd = -1;
}

static char *copy_text(const char *text)
{
	return text ? strdup(text) : NULL; /* without memory the field is nil */
}

void connection_free(struct connection *c)
{
	struct ruleset *rs = c->rs;
	connection_cancel(c);
	vm_undefer(&c->ending);
	tether_stop(&c->tether);
	if (!list_empty(&c->streams)) {
		char why[64];
		snprintf(why, sizeof(why), "stream belongs to connection #%llu, which ended",
			(unsigned long long)c->flow->id);
		stream_close_all(&c->streams, why);
	}
	struct connection_object *o = c->object;
	if (o) {
		o->host = copy_text(host_of(o));
		o->sni = copy_text(visible_name(o, true));
		o->http_host = copy_text(visible_name(o, false));
		o->c = NULL;
		o->said = c->said;
		o->last = *c->flow;
		o->last.decision.rule = copy_text(c->flow->decision.rule);
		o->last.decision.reason = copy_text(c->flow->decision.reason);
		o->last.why = copy_text(c->flow->why);
		o->last.policy = NULL;
		o->last.process = process_hold(c->flow->process);
		o->last.host = NULL;
		o->tags = c->tags;
		luaL_unref(rs->vm.L, LUA_REGISTRYINDEX, c->ref);
	} else {
		free(c->tags);
	}
	luaL_unref(rs->vm.L, LUA_REGISTRYINDEX, c->via_ref);
	free(c->reason);
	free(c->early);
	free(c->first);
	free(c->preface);
	list_del(&c->link);
	c->flow->policy = NULL;
	free(c);
	ruleset_put(rs);
}
