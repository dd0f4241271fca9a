/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_FILTER_H
#define NSNET_LUA_FILTER_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/hook.h"
#include "lua/match.h"

/* filter - the conditions of a handler or rule, compiled from a table when the script loads, so
 * that C decides whether Lua is called at all.
 *
 * All conditions that are given must hold. Destinations are compared in their canonical form
 * (guard.h): one address has one verdict however it is written.
 */
enum {
	FILTER_TCP = 1,
	FILTER_UDP = 2,
	FILTER_ICMP = 4,
	FILTER_ANY = 7,
};

enum {
	FILTER_OUT = 1,
	FILTER_IN = 2,
	FILTER_BOTH = 3,
};

struct filter {
	uint8_t networks; /* FILTER_TCP | ... */
	uint8_t dirs;     /* FILTER_OUT | FILTER_IN */
	bool observe;
	bool has_proto;
	uint8_t proto; /* of packets */
	bool has_ports, has_cidrs;
	struct port_set ports;        /* owned */
	const struct cidr_set *cidrs; /* borrowed: own_cidrs or a script's set */
	struct cidr_set own_cidrs;    /* owned */
};

/* What a filter looks at. */
struct facts {
	struct addr dst; /* canonical; its port */
	uint8_t network; /* one of FILTER_TCP, ... */
};

/* Which keys a filter may have. */
enum filter_kind {
	FILTER_KIND_FLOW,   /* network, port, cidr */
	FILTER_KIND_HOOK,   /* and observe */
	FILTER_KIND_DATA,   /* port, cidr, dir of bytes: "up", "down", "both" */
	FILTER_KIND_PACKET, /* port, cidr, dir, proto */
};

/* Makes the class known. Raises for memory. */
void filter_open(lua_State *L);

/* Compiles the table at @i; pushes an object that owns the filter, to be kept as long as the
 * filter is used. Keys in @extra (NULL-ended, or NULL) are left to the caller. Raises with
 * what is wrong. */
struct filter *filter_read(lua_State *L, int i, enum filter_kind kind, const char *const *extra,
	const char *what);

/* True if @f holds. *@named is set if a cidr= of it names the address: see FILTER_NAMED. */
bool filter_match(const struct filter *f, const struct facts *facts, bool *named);
bool filter_match_packet(const struct filter *f, enum hook_dir dir, const struct packet *p);

/* A network at least this long names its addresses, so that the guard lets them pass: a script
 * that writes 127.0.0.0/8 means it, one that writes 0.0.0.0/0 does not mean the host. */
#define FILTER_NAMED_V4 8
#define FILTER_NAMED_V6 10

#endif
