/* SPDX-License-Identifier: MIT */
#ifndef NSNET_NAME_H
#define NSNET_NAME_H

#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "list.h"

/* name - which names the child was told an address has: learnt from the answers of our own
 * resolver, and from nothing else, so a name stands for what the command asked for; and the names
 * that the host's /etc/hosts gives it (hosts.h), which the command's libc reads by itself.
 *
 * An address has a set of names: many share one. A pair holds for its TTL and NAMES_GRACE_S more,
 * since programs keep addresses a little longer than they should, and as long as a connection to
 * the address lives. Addresses are compared in their canonical form (guard.h). Names are as
 * dnsmsg_text() writes them: lower case, no dot at the end. Time is given, in seconds.
 *
 * Embedded in the engine. Bounded: NAMES_MAX pairs, NAMES_HOST_MAX of one address; the one learnt
 * longest ago makes room, if possible one that no connection needs.
 */
#define NAMES_MAX 16384
#define NAMES_HOST_MAX 128
#define NAMES_GRACE_S 60.0
#define NAMES_TTL_MAX_S 86400.0

struct hosts;
struct names_host; /* an address with its names */

struct names {
	struct names_host **bucket; /* owned */
	struct list all;            /* struct name, oldest first */
	size_t count, hosts;
	struct hosts *file; /* borrowed: the host's own names; NULL = none. The owner sets it */
};

/* @now, everywhere: steady_now(). */
int names_init(struct names *n); /* 0 or -ENOMEM */
void names_fini(struct names *n);

/* @name (copied) was said to have @ip (port ignored) for @ttl_s. Without memory it is not learnt.
 */
void names_learn(struct names *n, const struct addr *ip, const char *name, double ttl_s,
	double now);

/* Learns the addresses in the DNS message: A and AAAA records that belong to the question's name
 * or, by the CNAME records of the same message, to what it stands for, all under the name that was
 * asked. */
void names_learn_answer(struct names *n, const uint8_t *msg, size_t len, double now);

/* The name learnt last for @ip that still holds, or NULL. Lent until the next names_learn(). */
const char *names_find(struct names *n, const struct addr *ip, double now);

/* Calls @fn with each name that holds for @ip, newest first, until it returns non-zero; returns
 * that, or 0. */
int names_each(struct names *n, const struct addr *ip, double now,
	int (*fn)(void *arg, const char *name), void *arg);

/* A connection to @ip begins: the names that hold for it now go on doing so until it ends, and
 * a grace. Returns what names_release() is to be given, NULL if there are none. */
struct names_host *names_hold(struct names *n, const struct addr *ip, double now);
void names_release(struct names *n, struct names_host *h, double now); /* NULL is allowed */

#endif
