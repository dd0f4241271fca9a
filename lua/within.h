/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_WITHIN_H
#define NSNET_LUA_WITHIN_H

#include <stdbool.h>

#include "core/addr.h"
#include "lua/match.h"

/* within - whether an address is in a set of networks, whichever way both are spelled.
 *
 * ::ffff:192.0.2.1 is 192.0.2.1, and ::ffff:192.0.2.0/120 is 192.0.2.0/24. Other IPv6 addresses
 * may stand for an IPv4 address (guard_canonical()). What closes holds for them in both
 * spellings. What opens must mean it: a network of the IPv4 address, or one of IPv6 addresses that
 * all stand for IPv4 addresses (2002:c000::/18, but not ::/0, lest 64:ff9b::192.0.2.1 go where
 * 192.0.2.1 may not).
 */

/* A network at least this long names its addresses, so that the guard lets them pass: a script
 * that writes 127.0.0.0/8 means it, one that writes 0.0.0.0/0 does not mean the host. */
#define WITHIN_NAMED_V4 8
#define WITHIN_NAMED_V6 10

/* As cidr_parse(), and a network of mapped addresses is that of the IPv4 addresses. */
int within_parse(struct cidr *c, const char *text);

/* @dst is the canonical form of @literal. @named is set, never cleared; NULL = of no interest. */
bool within(const struct cidr_set *s, const struct addr *literal, const struct addr *dst,
	bool closes, bool *named);

#endif
