/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_DNSFILTER_H
#define NSNET_LUA_DNSFILTER_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lua/match.h"

/* dnsfilter - the conditions of an on_dns handler, compiled when the script loads: domain, type,
 * observe. All that are given must hold.
 */
#define DNSFILTER_TYPES 16

struct dnsfilter {
	bool observe;
	const struct name_set *names; /* own_names or a script's set; NULL = every name */
	struct name_set own_names;    /* owned */
	uint16_t type[DNSFILTER_TYPES];
	size_t types; /* 0 = every type */
};

/* Makes the class known. Raises for memory. */
void dnsfilter_open(lua_State *L);

/* Compiles the table at @i; pushes an object that owns the filter. Raises with what is wrong. */
struct dnsfilter *dnsfilter_read(lua_State *L, int i, const char *what);

/* @name as dnsmsg_text() writes it. */
bool dnsfilter_match(const struct dnsfilter *f, const char *name, uint16_t type);

#endif
