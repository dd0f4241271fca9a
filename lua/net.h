/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_NET_H
#define NSNET_LUA_NET_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/addr.h"
#include "lua/failure.h"

/* net - nsnet.dial and nsnet.resolve: scripts reach the network of the host itself, past all rules
 * (they are the rules).
 */

/* Sets dial and resolve in the table on top. Raises for memory. */
void net_open(lua_State *L);

/* The answers of a struct world (world.h), from the loop. Takes @fd, or -1: then @f and @text (NULL
 * = the code itself) say why not. */
struct call;
void net_dialed(struct call *c, int fd, bool datagram, enum failure f, const char *text);
/* @n addresses, or @n = 0 and what went wrong. All borrowed. */
void net_resolved(struct call *c, const struct addr *list, size_t n, const char *error);

#endif
