/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_FILTER_H
#define NSNET_LUA_FILTER_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/hook.h"
#include "core/process.h"
#include "core/sidedoor.h"
#include "lua/match.h"

/* filter - the conditions of a handler or rule, compiled from a table when the script loads, so
 * that C decides whether Lua is called at all.
 *
 * All conditions that are given must hold. Destinations are compared in their canonical form
 * (guard.h): one address has one verdict however it is written.
 *
 * A connection has an address and no name. What can be known of names is what the child was told
 * the address of (proof: known at the SYN, and all that UDP and ICMP ever have), and what its first
 * bytes say (the visible name: SNI or Host, known later, chosen by the child). So the answer to
 * domain=, sni= and http_host= depends on when it is asked and what for:
 *
 *               | FILTER_OPENS: all evidence           | FILTER_CLOSES: any evidence
 *   domain=     | proof, and no other visible name     | visible name; without one, proof
 *   sni= ...    | that visible name                    | that visible name
 *   at the SYN  | domain=: proof (to be asked again)   | domain=: YES if it is proven and no
 *               | sni= ...: LATER                      | other name is; else LATER
 *   UDP, ICMP   | only if network= says so             | domain=: proof
 *
 * FILTER_ASKS, for handlers, is FILTER_OPENS on whatever network they are for.
 */
enum {
	FILTER_TCP = 1,
	FILTER_UDP = 2,
	FILTER_ICMP = 4,
	FILTER_ANY = 7, /* without network= */
	FILTER_DNS = 8, /* questions to the resolver: only where network= says so */
};

enum {
	FILTER_OUT = 1,
	FILTER_IN = 2,
	FILTER_BOTH = 3,
};

/* What a rule leads to, as far as its conditions depend on it. */
enum filter_side {
	FILTER_OPENS,  /* allow, redirect, via */
	FILTER_CLOSES, /* deny, drop */
	FILTER_ASKS,   /* a handler */
};

enum filter_answer {
	FILTER_NO,
	FILTER_YES,
	FILTER_LATER, /* only the first bytes can tell */
};

/* The conditions on names. */
enum filter_name {
	FILTER_NAME_DOMAIN,
	FILTER_NAME_SNI,
	FILTER_NAME_HTTP_HOST,
	FILTER_NAMES,
};

struct filter {
	uint8_t networks; /* FILTER_TCP | ... */
	bool has_network; /* network= was written */
	bool ech;         /* a hidden name is accepted behind the visible one */
	uint8_t dirs;     /* FILTER_OUT | FILTER_IN: which way packets and bytes go, dir= */
	uint8_t callers;  /* FILTER_OUT | FILTER_IN: who made the connection, inbound= */
	bool observe;
	bool has_proto;
	uint8_t proto; /* of packets */
	bool has_ports, has_cidrs;
	struct port_set ports;                      /* owned */
	const struct cidr_set *cidrs;               /* borrowed: own_cidrs or a script's set */
	struct cidr_set own_cidrs;                  /* owned */
	const struct name_set *names[FILTER_NAMES]; /* borrowed; NULL = no condition */
	struct name_set own_names[FILTER_NAMES];    /* owned */
	char **processes; /* owned: paths of executables and short names; NULL = no condition */
	size_t process_count;
};

/* Calls @fn with each name that the child was told @ip has, until it returns non-zero. */
typedef int filter_each_fn(void *arg, const char *name);
typedef int filter_names_fn(void *arg, const struct addr *ip, filter_each_fn *fn, void *fn_arg);

/* What a filter looks at. */
struct facts {
	struct addr dst; /* canonical; its port. A call from outside: the caller's address and the
				port inside */
	struct addr literal;       /* as the child wrote it */
	enum sidedoor door;        /* opened only by a rule that names it */
	bool inbound;              /* a call from outside; it has no names */
	uint8_t network;           /* one of FILTER_TCP, ... */
	filter_names_fn *names_of; /* NULL = none are known */
	void *names_arg;
	/* Who made it, or NULL; looked up when a filter asks. NULL = nobody knows. */
	const struct process *(*process_of)(void *arg);
	void *process_arg;
	/* The first bytes. */
	bool seen;        /* they are here, and the rest holds */
	bool sni, http;   /* where @name was visible */
	bool hidden;      /* behind it another name may be hidden (ECH) */
	const char *name; /* the visible name in normal form; "" is one that is none; NULL = none */
};

/* Which keys a filter may have. */
enum filter_kind {
	FILTER_KIND_FLOW,   /* network, port, cidr, inbound, domain */
	FILTER_KIND_RULE,   /* and sni, http_host, ech; network may be "dns" */
	FILTER_KIND_HOOK,   /* network, port, cidr, inbound, domain, observe */
	FILTER_KIND_BYTES,  /* and sni, http_host, ech */
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

/* Whether @f holds. *@named is set if a cidr= of it names the address: see within.h. A name
 * never does: it may resolve to anything. */
enum filter_answer filter_judge(const struct filter *f, const struct facts *facts,
	enum filter_side side, bool *named);
/* True if it has a condition on names, so that a YES at the SYN is not the last word. */
bool filter_has_names(const struct filter *f);
/* filter_judge() == FILTER_YES for a handler. */
bool filter_match(const struct filter *f, const struct facts *facts, bool *named);
bool filter_match_packet(const struct filter *f, enum hook_dir dir, const struct packet *p);

#endif
