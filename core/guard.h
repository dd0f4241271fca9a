/* SPDX-License-Identifier: MIT */
#ifndef NSNET_GUARD_H
#define NSNET_GUARD_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "addr.h"

/* guard - which destinations the child may not reach unless a rule names them: the host's
 * loopback, the host's own addresses, link-local and metadata addresses, in every spelling.
 *
 * The host's own addresses are read at start and kept current by a netlink socket on the
 * loop (rtnetlink(7)). If they cannot be read, guard_init() fails: closed, never open.
 */
enum guard_class {
	GUARD_CLASS_PUBLIC,     /* nothing special: may pass */
	GUARD_CLASS_LOOPBACK,   /* 127.0.0.0/8, ::1, 0.0.0.0/8, ::, and what maps to them */
	GUARD_CLASS_HOST,       /* an address of one of the host's interfaces */
	GUARD_CLASS_LINK_LOCAL, /* 169.254.0.0/16, fe80::/10; metadata services live there */
	GUARD_CLASS_METADATA,   /* fd00:ec2::254, 100.100.100.200, 168.63.129.16 */
	GUARD_CLASS_MULTICAST,  /* 224.0.0.0/4, ff00::/8, 255.255.255.255: no unicast destination */
	GUARD_CLASS_INSIDE,     /* the namespace's own network (10.0.0.0/24 and its ULA): nobody there */
};

const char *guard_class_name(enum guard_class c); /* for people: "host loopback", ... */

struct guard {
	struct ev_loop *loop;
	ev_io io;           /* netlink */
	int fd;
	struct addr *own;   /* owned: the host's addresses */
	size_t own_len, own_cap;
	struct cidr inside4, inside6;
	bool allow_host;    /* --allow-host */
	struct addr host4, host6; /* the aliases 10.0.0.100 and its twin: with allow_host they mean
				     127.0.0.1 and ::1 */
};

int guard_init(struct guard *g, struct ev_loop *loop); /* 0 or negative errno */
void guard_fini(struct guard *g);

/* The IPv4 or IPv6 address that @a in truth reaches: unfolds ::ffff:0:0/96, ::/96, 64:ff9b::/96,
 * 64:ff9b:1::/48, 2002::/16 into the IPv4 address inside (RFC 6052, 4291, 3056, 8215). Port kept.
 * One canonicalizer for rules, guard and dialers. */
struct addr guard_canonical(const struct addr *a);

enum guard_class guard_classify(const struct guard *g, const struct addr *a);

/* Where a dial to @a really goes: the alias of the host becomes loopback if allowed
 * (*@named is then set), else @a itself. */
struct addr guard_translate(const struct guard *g, const struct addr *a, bool *named);

#endif
