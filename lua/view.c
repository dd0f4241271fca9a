/* SPDX-License-Identifier: MIT */
#include "lua/view.h"

#include <netinet/in.h>

#include <lauxlib.h>

#include "core/base.h"
#include "core/log.h"
#include "lua/text.h"
#include "lua/udata.h"
#include "lua/verdict.h"

#define ERRORS_MAX 10      /* within */
#define ERRORS_SECONDS 10. /* so many: the script is broken, nothing passes */

struct view {
	struct packet *p; /* NULL outside of the hook */
	enum hook_dir dir;
};

enum {
	FIELD_DIR,
	FIELD_DST_IP,
	FIELD_DST_PORT,
	FIELD_DST_U32,
	FIELD_FRAGMENT,
	FIELD_ICMP_CODE,
	FIELD_ICMP_TYPE,
	FIELD_LEN,
	FIELD_NETWORK,
	FIELD_PROTO,
	FIELD_SRC_IP,
	FIELD_SRC_PORT,
	FIELD_SRC_U32,
	FIELD_TCP_FLAGS,
	FIELD_TTL,
	FIELD_VERSION,
};

static const char *const field_names[] = {
	[FIELD_DIR] = "dir",
	[FIELD_DST_IP] = "dst_ip",
	[FIELD_DST_PORT] = "dst_port",
	[FIELD_DST_U32] = "dst_u32",
	[FIELD_FRAGMENT] = "fragment",
	[FIELD_ICMP_CODE] = "icmp_code",
	[FIELD_ICMP_TYPE] = "icmp_type",
	[FIELD_LEN] = "len",
	[FIELD_NETWORK] = "network",
	[FIELD_PROTO] = "proto",
	[FIELD_SRC_IP] = "src_ip",
	[FIELD_SRC_PORT] = "src_port",
	[FIELD_SRC_U32] = "src_u32",
	[FIELD_TCP_FLAGS] = "tcp_flags",
	[FIELD_TTL] = "ttl",
	[FIELD_VERSION] = "version",
	NULL,
};

static bool is_icmp(const struct packet *p)
{
	return p->proto == (p->v == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

static bool has_ports(const struct packet *p)
{
	return !p->fragment && (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP);
}

static void push_ip(lua_State *L, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];
	lua_pushstring(L, addr_format(a, false, text));
}

/* A number if there is one for this packet, else nil. */
static void push_if(lua_State *L, bool there, uint32_t n)
{
	if (there)
		lua_pushnumber(L, n);
	else
		lua_pushnil(L);
}

/* The address as a number, or its last 32 bits for IPv6: for those who count. */
static uint32_t u32_of(const struct addr *a)
{
	const uint8_t *b = a->v == 4 ? a->ip : a->ip + 12;
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static const struct packet *view_packet(lua_State *L, const struct view *v)
{
	if (!v->p)
		luaL_error(L,
			"packet used after its hook returned; copy what you need inside the hook");
	return v->p;
}

static void push_network(lua_State *L, const struct packet *p)
{
	lua_pushstring(L,
		p->proto == IPPROTO_TCP           ? "tcp"
			: p->proto == IPPROTO_UDP ? "udp"
			: is_icmp(p)              ? "icmp"
						  : NULL);
}

static int view_field(lua_State *L, void *self, int id)
{
	const struct view *v = self;
	const struct packet *p = view_packet(L, v);
	switch (id) {
	case FIELD_DIR:
		lua_pushstring(L, v->dir == HOOK_DIR_OUT ? "out" : "in");
		break;
	case FIELD_DST_IP:
		push_ip(L, &p->dst);
		break;
	case FIELD_DST_PORT:
		push_if(L, has_ports(p), p->dst.port);
		break;
	case FIELD_DST_U32:
		lua_pushnumber(L, u32_of(&p->dst));
		break;
	case FIELD_FRAGMENT:
		lua_pushboolean(L, p->fragment);
		break;
	case FIELD_ICMP_CODE:
		push_if(L, is_icmp(p) && !p->fragment, p->icmp_code);
		break;
	case FIELD_ICMP_TYPE:
		push_if(L, is_icmp(p) && !p->fragment, p->icmp_type);
		break;
	case FIELD_LEN:
		lua_pushnumber(L, p->len);
		break;
	case FIELD_NETWORK:
		push_network(L, p);
		break;
	case FIELD_PROTO:
		lua_pushinteger(L, p->proto);
		break;
	case FIELD_SRC_IP:
		push_ip(L, &p->src);
		break;
	case FIELD_SRC_PORT:
		push_if(L, has_ports(p), p->src.port);
		break;
	case FIELD_SRC_U32:
		lua_pushnumber(L, u32_of(&p->src));
		break;
	case FIELD_TCP_FLAGS:
		push_if(L, p->proto == IPPROTO_TCP && !p->fragment, p->tcp_flags);
		break;
	case FIELD_TTL:
		lua_pushinteger(L, p->ttl);
		break;
	default:
		lua_pushinteger(L, p->v);
	}
	return 1;
}

static int l_byte(lua_State *L);
static int l_sub(lua_State *L);

static const luaL_Reg methods[] = {{"byte", l_byte}, {"sub", l_sub}, {NULL, NULL}};

static const struct udata_class view_class = {
	.name = "pkt",
	.fields = field_names,
	.methods = {methods},
	.field = view_field,
	.read_only = "packets are looked at, not changed",
};

/* pkt:byte(offset): the byte at that offset from the IP header, from 0; nil behind the end. */
static int l_byte(lua_State *L)
{
	const struct packet *p = view_packet(L, udata_check(L, 1, &view_class, "byte"));
	lua_Number at = luaL_checknumber(L, 2);
	bool there = at >= 0 && at < p->len;
	push_if(L, there, there ? p->data[(uint32_t)at] : 0);
	return 1;
}

/* pkt:sub(first, last): bytes as string.sub would give them, positions from 1. */
static int l_sub(lua_State *L)
{
	const struct packet *p = view_packet(L, udata_check(L, 1, &view_class, "sub"));
	lua_Number first = luaL_checknumber(L, 2), last = luaL_optnumber(L, 3, -1), len = p->len;
	if (first < 0)
		first = MAX(len + first + 1, 1);
	if (last < 0)
		last = len + last + 1;
	first = first < 1 ? 1 : first;
	last = MIN(last, len);
	if (first > last)
		lua_pushliteral(L, "");
	else
		lua_pushlstring(L, (const char *)p->data + (size_t)first - 1,
			(size_t)last - (size_t)first + 1);
	return 1;
}

void view_open(lua_State *L, struct ruleset *rs)
{
	udata_class(L, &view_class);
	rs->view = udata_new(L, &view_class, sizeof(struct view));
	rs->view_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

static bool view_error(struct ruleset *rs)
{
	ev_tstamp now = ev_now(rs->vm.loop);
	if (now - rs->packet_errors_since > ERRORS_SECONDS) {
		rs->packet_errors_since = now;
		rs->packet_errors = 0;
	}
	if (++rs->packet_errors >= ERRORS_MAX && !rs->packets_broken) {
		rs->packets_broken = true;
		log_error("on_packet failed %d times within %.0f s: all packets are dropped until "
			  "the "
			  "scripts are mended and loaded again",
			ERRORS_MAX, ERRORS_SECONDS);
	}
	return false;
}

/* True: nil, let it pass; false: drop. */
static bool view_judge(struct ruleset *rs, const struct handler *h, lua_State *co)
{
	char kind[TEXT_KIND_MAX];
	int n = lua_gettop(co);
	if (n == 0 || (n == 1 && lua_isnil(co, 1)))
		return true;
	const struct verdict_value *v = n == 1 ? verdict_test(co, 1) : NULL;
	if (v && v->verdict == VERDICT_DROP)
		return false;
	vm_complain(&rs->vm, h->where, h->name, NULL,
		"on_packet returned %s%s; return nsnet.drop or nil",
		n > 1       ? "more than one value"
			: v ? "nsnet."
			    : text_kind(co, 1, kind),
		v ? verdict_word(v->verdict) : "");
	return view_error(rs);
}

bool view_ask(struct ruleset *rs, enum hook_dir dir, struct packet *p)
{
	struct view *view = rs->view;
	bool pass = !rs->packets_broken;
	for (size_t i = 0; pass && i < rs->packets.len; i++) {
		const struct handler *h = &rs->packets.v[i];
		if (h->filter && !filter_match_packet(h->filter, dir, p))
			continue;
		struct task *t = task_new(&rs->vm, h->name);
		if (!t)
			return view_error(rs);
		++*h->hits;
		t->budget_ms = 2;
		t->where = h->where;
		view->p = p;
		view->dir = dir;
		lua_rawgeti(t->co, LUA_REGISTRYINDEX, h->ref);
		lua_rawgeti(t->co, LUA_REGISTRYINDEX, rs->view_ref);
		enum vm_outcome o = vm_start(t, 1);
		view->p = NULL;
		if (o == VM_DONE) {
			pass = view_judge(rs, h, t->co);
			task_recycle(t);
		} else {
			pass = view_error(rs);
		}
	}
	return pass;
}
