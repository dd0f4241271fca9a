/* SPDX-License-Identifier: MIT */
#include "lua/filter.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/base.h"
#include "core/guard.h"
#include "lua/args.h"
#include "lua/process.h"
#include "lua/sets.h"
#include "lua/text.h"
#include "lua/udata.h"
#include "lua/within.h"

static int filter_gc(lua_State *L)
{
	struct filter *f = lua_touserdata(L, 1);
	port_set_fini(&f->ports);
	cidr_set_fini(&f->own_cidrs);
	for (size_t i = 0; i < FILTER_NAMES; i++)
		name_set_fini(&f->own_names[i]);
	for (size_t i = 0; i < f->process_count; i++)
		free(f->processes[i]);
	free(f->processes);
	return 0;
}

static const struct udata_class filter_class = {.name = "filter", .gc = filter_gc};

void filter_open(lua_State *L)
{
	udata_class(L, &filter_class);
}

static const char *const network_names[] = {"tcp", "udp", "icmp", NULL};
static const char *const rule_network_names[] = {"tcp", "udp", "icmp", "dns", NULL};
static const char *const dir_names[] = {"out", "in", "both", NULL};
static const char *const data_dir_names[] = {"up", "down", "both", NULL};

static void read_network(lua_State *L, int i, void *arg)
{
	struct filter *f = arg;
	f->networks |= (uint8_t)(1 << args_enum(L, i, "network", network_names));
}

static void read_rule_network(lua_State *L, int i, void *arg)
{
	struct filter *f = arg;
	f->networks |= (uint8_t)(1 << args_enum(L, i, "network", rule_network_names));
}

/* "8000" or "8000-8999": digits only, nothing before, between or behind them. */
static bool read_range(const char *text, double *low, double *high)
{
	size_t n = strspn(text, "0123456789");
	char *end;
	*low = *high = (double)strtoul(text, &end, 10);
	if (!n || n > 5 || end != text + n)
		return false;
	if (!text[n])
		return true;
	text += n + 1;
	n = strspn(text, "0123456789");
	*high = (double)strtoul(text, &end, 10);
	return text[-1] == '-' && n && n <= 5 && !text[n];
}

/* A range, or a number: what is not whole is never rounded. */
static void read_port(lua_State *L, int i, void *arg)
{
	struct filter *f = arg;
	double low = 0, high = 0;
	if (lua_type(L, i) == LUA_TNUMBER) {
		low = high = lua_tonumber(L, i);
	} else if (lua_type(L, i) == LUA_TSTRING) {
		const char *text = lua_tostring(L, i);
		if (!read_range(text, &low, &high))
			luaL_error(L, "port=\"%s\" is no port or range like \"8000-8999\"", text);
	} else {
		char kind[TEXT_KIND_MAX];
		luaL_error(L, "port= must be a number or \"from-to\", not %s",
			text_kind(L, i, kind));
	}
	if (!(low >= 1 && high <= 65535 && low <= high && low == (unsigned)low))
		luaL_error(L, "port=%s is not within 1 and 65535", lua_tostring(L, i));
	if (port_set_add(&f->ports, (unsigned)low, (unsigned)high))
		luaL_error(L, "not enough memory");
}

static void read_cidr(lua_State *L, int i, void *arg)
{
	struct filter *f = arg;
	struct cidr c;
	char kind[TEXT_KIND_MAX];
	if (lua_type(L, i) != LUA_TSTRING)
		luaL_error(L,
			"cidr= must be a string like \"10.0.0.0/8\", a list of them or "
			"nsnet.cidrs, not %s",
			text_kind(L, i, kind));
	const char *text = lua_tostring(L, i);
	if (within_parse(&c, text))
		luaL_error(L, "cidr=\"%s\" is no address or network (host bits must be zero)",
			text);
	if (cidr_set_add(&f->own_cidrs, &c))
		luaL_error(L, "not enough memory");
}

/* Keeps the set on top alive with the filter at @self. */
static void keep_set(lua_State *L, int self)
{
	lua_getfenv(L, self);
	lua_pushvalue(L, -2);
	lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
	lua_pop(L, 1);
}

struct names_reader {
	const char *key;
	struct name_set *set;
};

static void read_name(lua_State *L, int i, void *arg)
{
	const struct names_reader *r = arg;
	const char *key = r->key;
	char kind[TEXT_KIND_MAX];
	if (lua_type(L, i) != LUA_TSTRING)
		luaL_error(L,
			"%s= must be a name like \"example.com\", a list of them or "
			"nsnet.domains, not %s",
			key, text_kind(L, i, kind));
	size_t len;
	const char *text = lua_tolstring(L, i, &len);
	int err = name_set_add(r->set, text, len);
	if (err == -ENOMEM)
		luaL_error(L, "not enough memory");
	if (err == -EDOM)
		luaL_error(L, "%s=\"%s\" is an address and no name: use cidr=", key, text);
	if (err)
		luaL_error(L,
			"%s=\"%s\" is no name, \".name\" or \"*.name\" (other scripts need their "
			"xn-- form)",
			key, text);
}

/* The filter is on top of the stack. */
static void read_names(lua_State *L, int i, enum filter_name which, struct filter *f)
{
	static const char *const keys[] = {"domain", "sni", "http_host"};
	const char *key = keys[which];
	int self = lua_gettop(L);
	lua_getfield(L, i, key);
	int value = lua_gettop(L);
	f->names[which] = sets_test_names(L, value);
	if (f->names[which]) {
		keep_set(L, self);
	} else if (!lua_isnil(L, value)) {
		struct names_reader r = {.key = key, .set = &f->own_names[which]};
		args_each(L, value, key, read_name, &r);
		f->names[which] = r.set;
	}
	lua_pop(L, 1);
}

static void read_flow_keys(lua_State *L, int i, struct filter *f)
{
	lua_getfield(L, i, "port");
	if (!lua_isnil(L, -1)) {
		args_each(L, lua_gettop(L), "port", read_port, f);
		port_set_seal(&f->ports);
		f->has_ports = true;
	}
	lua_pop(L, 1);
	lua_getfield(L, i, "cidr");
	if (!lua_isnil(L, -1)) {
		f->has_cidrs = true;
		f->cidrs = sets_test_cidrs(L, -1);
		if (f->cidrs) {
			keep_set(L, lua_gettop(L) - 1);
		} else {
			args_each(L, lua_gettop(L), "cidr", read_cidr, f);
			f->cidrs = &f->own_cidrs;
		}
	}
	lua_pop(L, 1);
}

static void read_process(lua_State *L, int i, void *arg)
{
	struct filter *f = arg;
	char kind[TEXT_KIND_MAX];
	if (lua_type(L, i) == LUA_TSTRING && lua_objlen(L, i) == 0)
		luaL_error(L, "process=\"\" is no program's name");
	if (lua_type(L, i) != LUA_TSTRING)
		luaL_error(L,
			"process= must be a name like \"curl\", a path like \"/usr/bin/curl\" or a "
			"list of "
			"them, not %s",
			text_kind(L, i, kind));
	size_t len;
	const char *text = lua_tolstring(L, i, &len);
	if (strlen(text) != len)
		luaL_error(L, "process= has a zero byte, which no program's name has");
	/* The kernel knows a short name and the whole path, and neither is one of these. */
	if (!strncmp(text, "./", 2) || !strncmp(text, "../", 3) || !strncmp(text, "~", 1))
		luaL_error(L,
			"process=\"%s\" is no absolute path, which it must be with its folder",
			text);
	/* What is longer than comm would match every name that begins with its 15 bytes. */
	if (text[0] != '/' && len >= PROCESS_NAME_MAX)
		luaL_error(L,
			"process=\"%s\" is longer than the %d bytes of a short name; give the "
			"executable's path",
			text, PROCESS_NAME_MAX - 1);
	char **grown = realloc(f->processes, (f->process_count + 1) * sizeof(char *));
	if (grown)
		f->processes = grown;
	char *copy = grown ? strdup(text) : NULL;
	if (!copy)
		luaL_error(L, "not enough memory");
	f->processes[f->process_count++] = copy;
}

static void read_processes(lua_State *L, int i, struct filter *f)
{
	lua_getfield(L, i, "process");
	if (!lua_isnil(L, -1))
		args_each(L, lua_gettop(L), "process", read_process, f);
	lua_pop(L, 1);
}

static void read_dir(lua_State *L, int i, struct filter *f, const char *const *names)
{
	lua_getfield(L, i, "dir");
	if (!lua_isnil(L, -1))
		f->dirs = (uint8_t)(args_enum(L, -1, "dir", names) + 1);
	lua_pop(L, 1);
}

static void read_inbound(lua_State *L, int i, struct filter *f)
{
	lua_getfield(L, i, "inbound");
	bool given = !lua_isnil(L, -1);
	lua_pop(L, 1);
	if (given)
		f->callers = args_bool(L, i, "inbound", false) ? FILTER_IN : FILTER_OUT;
}

static void read_packet_keys(lua_State *L, int i, struct filter *f)
{
	lua_getfield(L, i, "proto");
	if (lua_type(L, -1) == LUA_TNUMBER) {
		double n = lua_tonumber(L, -1);
		if (!(n >= 0 && n <= 255 && n == (uint8_t)n))
			luaL_error(L, "proto=%s is no IP protocol number", lua_tostring(L, -1));
		f->has_proto = true;
		f->proto = (uint8_t)n;
	} else if (!lua_isnil(L, -1)) {
		static const char *const names[] = {"tcp", "udp", "icmp", "icmpv6", NULL};
		static const uint8_t number[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP,
			IPPROTO_ICMPV6};
		f->has_proto = true;
		f->proto = number[args_enum(L, -1, "proto", names)];
	}
	lua_pop(L, 1);
}

struct filter *filter_read(lua_State *L, int i, enum filter_kind kind, const char *const *extra,
	const char *what)
{
	/* A bit for each key that a kind knows. */
	static const char *const keys[] = {"port", "cidr", "network", "observe", "dir", "proto",
		"domain", "sni", "http_host", "ech", "inbound", "process"};
	static const uint16_t known[] = {
		[FILTER_KIND_FLOW] = 0xc47,
		[FILTER_KIND_RULE] = 0xfc7,
		[FILTER_KIND_HOOK] = 0xc4f,
		[FILTER_KIND_BYTES] = 0xbcf,
		[FILTER_KIND_DATA] = 0x013,
		[FILTER_KIND_PACKET] = 0x033,
	};
	const char *all[16];
	size_t n = 0;
	for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
		if (known[kind] & (1u << k))
			all[n++] = keys[k];
	}
	for (; extra && *extra && n < ARRAY_LEN(all) - 1; extra++)
		all[n++] = *extra;
	all[n] = NULL;
	args_keys(L, i, all, what);

	struct filter *f = udata_new(L, &filter_class, sizeof(*f));
	lua_newtable(L); /* what it borrows from stands here */
	lua_setfenv(L, -2);
	f->dirs = f->callers = FILTER_BOTH;
	read_flow_keys(L, i, f);
	f->networks = FILTER_ANY;
	if (kind == FILTER_KIND_PACKET || kind == FILTER_KIND_DATA) {
		read_dir(L, i, f, kind == FILTER_KIND_DATA ? data_dir_names : dir_names);
		if (kind == FILTER_KIND_PACKET)
			read_packet_keys(L, i, f);
		return f;
	}
	for (size_t k = 0; k < FILTER_NAMES; k++)
		read_names(L, i, (enum filter_name)k, f);
	read_processes(L, i, f);
	f->ech = args_bool(L, i, "ech", false);
	read_inbound(L, i, f);
	if (kind == FILTER_KIND_HOOK || kind == FILTER_KIND_BYTES)
		f->observe = args_bool(L, i, "observe", false);
	lua_getfield(L, i, "network");
	if (!lua_isnil(L, -1)) {
		f->networks = 0;
		f->has_network = true;
		args_each(L, lua_gettop(L), "network",
			kind == FILTER_KIND_RULE ? read_rule_network : read_network, f);
	}
	lua_pop(L, 1);
	return f;
}

/* --- names ----------------------------------------------------------------------------------- */

struct proof {
	const struct name_set *set;
	bool within, without; /* names of the address that are in the set, and that are not */
};

static int prove_one(void *arg, const char *name)
{
	struct proof *p = arg;
	if (name_set_find(p->set, name))
		p->within = true;
	else
		p->without = true;
	return p->within && p->without;
}

static struct proof prove(const struct name_set *set, const struct facts *facts)
{
	struct proof p = {.set = set};
	if (facts->names_of)
		facts->names_of(facts->names_arg, &facts->dst, prove_one, &p);
	return p;
}

static enum filter_answer judge_domain(const struct filter *f, const struct facts *facts,
	enum filter_side side)
{
	const struct name_set *set = f->names[FILTER_NAME_DOMAIN];
	struct proof p = prove(set, facts);
	bool visible = facts->seen && facts->name;
	if (side != FILTER_CLOSES) {
		if (!p.within)
			return FILTER_NO;
		if (!visible)
			return FILTER_YES;
		return name_set_find(set, facts->name) && (!facts->hidden || f->ech) ? FILTER_YES
										     : FILTER_NO;
	}
	if (visible)
		return name_set_find(set, facts->name) ? FILTER_YES : FILTER_NO;
	if (facts->seen || facts->network != FILTER_TCP || (p.within && !p.without))
		return p.within ? FILTER_YES : FILTER_NO;
	return FILTER_LATER;
}

/* sni= and http_host=: @there says whether that is where the name was visible. */
static enum filter_answer judge_visible(const struct filter *f, const struct name_set *set,
	const struct facts *facts, bool there, enum filter_side side)
{
	if (facts->network != FILTER_TCP)
		return FILTER_NO;
	if (!facts->seen)
		return FILTER_LATER;
	if (!there || !facts->name || !name_set_find(set, facts->name))
		return FILTER_NO;
	return side == FILTER_CLOSES || !facts->hidden || f->ech ? FILTER_YES : FILTER_NO;
}

static enum filter_answer judge_names(const struct filter *f, const struct facts *facts,
	enum filter_side side)
{
	const struct name_set *sni = f->names[FILTER_NAME_SNI],
			      *host = f->names[FILTER_NAME_HTTP_HOST];
	enum filter_answer all = FILTER_YES, a;
	/* Without a visible name another one on the same address, in QUIC say, would pass. */
	if (side == FILTER_OPENS && facts->network != FILTER_TCP && !f->has_network)
		return FILTER_NO;
	if (f->names[FILTER_NAME_DOMAIN])
		all = judge_domain(f, facts, side);
	if (all != FILTER_NO && sni) {
		a = judge_visible(f, sni, facts, facts->sni, side);
		all = a == FILTER_YES ? all : a;
	}
	if (all != FILTER_NO && host) {
		a = judge_visible(f, host, facts, facts->http, side);
		all = a == FILTER_YES ? all : a;
	}
	return all;
}

bool filter_has_names(const struct filter *f)
{
	for (size_t i = 0; i < FILTER_NAMES; i++) {
		if (f->names[i])
			return true;
	}
	return false;
}

/* True if what @f says of the destination @door means it, and not only holds for it too. */
static bool names_door(const struct filter *f, enum sidedoor door, bool meant)
{
	switch (door) {
	case SIDEDOOR_DNS:
		return f->has_ports || meant;
	case SIDEDOOR_DOH:
		return f->names[FILTER_NAME_DOMAIN] || meant;
	default: /* TCP has port 443, too */
		return f->has_network;
	}
}

/* Nobody known is nobody meant. */
static bool match_process(const struct filter *f, const struct facts *facts)
{
	const struct process *p = facts->process_of ? facts->process_of(facts->process_arg) : NULL;
	for (size_t i = 0; p && i < f->process_count; i++) {
		if (process_is(p, f->processes[i]))
			return true;
	}
	return false;
}

enum filter_answer filter_judge(const struct filter *f, const struct facts *facts,
	enum filter_side side, bool *named)
{
	if (!(f->networks & facts->network))
		return FILTER_NO;
	if (!(f->callers & (facts->inbound ? FILTER_IN : FILTER_OUT)))
		return FILTER_NO;
	if (facts->inbound && filter_has_names(f))
		return FILTER_NO;
	/* The "port" of an echo is its identifier, which no rule means. */
	if (f->has_ports &&
		(facts->network == FILTER_ICMP || !port_set_has(&f->ports, facts->dst.port)))
		return FILTER_NO;
	if (f->process_count && !match_process(f, facts))
		return FILTER_NO;
	bool meant = false;
	if (f->has_cidrs) {
		if (!within(f->cidrs, &facts->literal, &facts->dst, side == FILTER_CLOSES, &meant))
			return FILTER_NO;
		*named |= meant;
	}
	if (side == FILTER_OPENS && facts->door && !names_door(f, facts->door, meant))
		return FILTER_NO;
	if (!filter_has_names(f))
		return FILTER_YES;
	/* Whoever answers for a name can let it lead anywhere (DNS rebinding): into private
	 * networks only where the same filter says so by address. */
	if (side != FILTER_CLOSES && !meant && guard_is_private(&facts->literal))
		return FILTER_NO;
	return judge_names(f, facts, side);
}

bool filter_match(const struct filter *f, const struct facts *facts, bool *named)
{
	return filter_judge(f, facts, FILTER_ASKS, named) == FILTER_YES;
}

bool filter_match_packet(const struct filter *f, enum hook_dir dir, const struct packet *p)
{
	if (!(f->dirs & (dir == HOOK_DIR_OUT ? FILTER_OUT : FILTER_IN)))
		return false;
	if (f->has_proto && f->proto != p->proto)
		return false;
	/* The far end: where an outgoing packet goes, where an incoming one comes from. */
	const struct addr *far = dir == HOOK_DIR_OUT ? &p->dst : &p->src;
	if (f->has_ports) {
		if ((p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP) || p->fragment)
			return false;
		if (!port_set_has(&f->ports, far->port))
			return false;
	}
	if (f->has_cidrs) {
		struct addr a = guard_canonical(far);
		return within(f->cidrs, far, &a, true, NULL);
	}
	return true;
}
