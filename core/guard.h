/* SPDX-License-Identifier: MIT */
#ifndef NSNET_GUARD_H
#define NSNET_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

/* guard - which destinations the child may not reach unless a rule names them: the host's
 * loopback, the host's own addresses, link-local and metadata addresses, in every spelling.
 *
 * Which addresses are the host's own is asked of the kernel's routing table, destination by
 * destination (rtnetlink(7), RTM_GETROUTE): it also knows of addresses without an interface (local
 * routes) and is never out of date. If it cannot be asked, guard_init() fails, or
 * later the destination counts as the host's: closed, never open.
 *
 * An address that leads back to the host through somebody else's router (a public address that is
 * translated to it) cannot be known: name it in a rule.
 */
enum guard_class {
	GUARD_CLASS_PUBLIC,     /* nothing special: may pass */
	GUARD_CLASS_LOOPBACK,   /* 127.0.0.0/8, ::1, 0.0.0.0/8, ::, and what maps to them */
	GUARD_CLASS_HOST,       /* reaches the host itself */
	GUARD_CLASS_LINK_LOCAL, /* 169.254.0.0/16, fe80::/10; metadata services live there */
	GUARD_CLASS_METADATA, /* the clouds' other addresses: 100.100.100.200, fd00:ec2::254, ... */
	GUARD_CLASS_MULTICAST, /* 224.0.0.0/4, ff00::/8, broadcast: no unicast destination */
	GUARD_CLASS_INSIDE, /* the namespace's own network (10.0.0.0/24 and its ULA): nobody there
			     */
	GUARD_CLASS_SYNTHETIC, /* stands for a name, if for anything */
};

const char *guard_class_name(enum guard_class c); /* for people: "host loopback", ... */

#define GUARD_KNOWN 64 /* a power of two */

struct guard {
	int fd;       /* rtnetlink: asks */
	int changes;  /* rtnetlink: becomes readable when an answer may have changed */
	uint32_t seq; /* of the last question */
	struct {
		struct addr a; /* v = 0: empty; the port says nothing */
		enum guard_class class;
	} known[GUARD_KNOWN]; /* answers of the kernel, by hash, until a change */

	/* The owner sets these after guard_init(), which zeroes them. */
	struct cidr inside4, inside6; /* the namespace's networks */
	struct cidr synth4, synth6;   /* addresses that stand for names; version 0 = none do */
	/* Says whether @a reaches the host itself, instead of the kernel: for scripts that are
	 * tested, whose verdicts must not depend on the machine. NULL = ask the kernel. */
	bool (*is_host)(void *arg, const struct addr *a);
	void *is_host_arg;
	/* Told that an answer may be another from now on, from inside any call here. NULL = nobody
	 * cares. */
	void (*on_change)(void *arg);
	void *on_change_arg;
	bool allow_host;          /* --allow-host */
	struct addr host4, host6; /* the aliases 10.0.0.100 and its twin: with allow_host they mean
				     127.0.0.1 and ::1 */
};

int guard_init(struct guard *g); /* 0 or negative errno */
void guard_fini(struct guard *g);

/* What opens @to of class @c, for people; NULL: nothing does. @redirected: a rule sends there what
 * was to go elsewhere. */
const char *guard_remedy(const struct guard *g, enum guard_class c, const struct addr *to,
	bool redirected);

/* The IPv4 address that the IPv6 address @a in truth reaches, else @a itself: unfolds
 * ::ffff:0:0/96,
 * ::ffff:0:0:0/96, ::/96 (but :: and ::1), 64:ff9b::/96, 64:ff9b:1::/48 and 2002::/16 (RFC 4291,
 * 2765, 6052, 8215, 3056). Port kept. One canonicalizer for rules, guard and dialers. */
struct addr guard_canonical(const struct addr *a);
/* How many leading bits of @a say that it stands for an IPv4 address; 0: it does not. */
unsigned guard_form_bits(const struct addr *a);

/* What @a, or any address that its spelling may stand for, is. A few hundred nanoseconds for a
 * destination asked for before, some microseconds else. An address without a version is
 * MULTICAST: nowhere to go. */
enum guard_class guard_classify(struct guard *g, const struct addr *a);

/* True if no public name should lead to @a, in any spelling: all that is not PUBLIC by the address
 * alone, the private networks (RFC 1918, 4193, 6598 and the like), and what may lead to another
 * host than the IPv4 address within: 6to4 (RFC 3056) and local translators' 64:ff9b:1::/48 (8215).
 * An answer that says so is a mistake or an attack (DNS rebinding), unless somebody means that very
 * network. */
bool guard_is_private(const struct addr *a);

/* Reads the kernel's notices, as each guard_classify() does: when g->changes is readable. */
void guard_heed(struct guard *g);

/* Where a dial to @a really goes: the alias of the host, in any spelling, becomes loopback if
 * allowed (*@named is then set), else @a itself. */
struct addr guard_translate(const struct guard *g, const struct addr *a, bool *named);

#endif
