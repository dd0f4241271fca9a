/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SYNTH_H
#define NSNET_SYNTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "list.h"

/* synth - names and the private addresses that stand for them (--dns=synthetic): one number for a
 * name, one IPv4 and one IPv6 address for a number, so that either leads to the other.
 *
 *   (unknown) --synth_give--> GIVEN --synth_hold--> HELD
 *       ^                      |  ^                  |
 *       +---- recycled --------+  +--synth_release---+
 *
 *   GIVEN  The child was told the addresses; they hold for SYNTH_HOLD_S from the last time that it
 *          was, or that a flow to them ended. After that they go to another name, those unused
 *          for longest first, but only once all SYNTH_MAX numbers are given away.
 *   HELD   Flows live that go there: they keep their addresses as long.
 *
 * Names are in normal form (dname.h). Time is given, in seconds. Embedded in the engine.
 */
#define SYNTH_MAX 65536
#define SYNTH_TTL_S 60
#define SYNTH_HOLD_S (SYNTH_TTL_S + 60.0) /* programs keep addresses longer than they should */

/* Benchmarks' own (RFC 2544): nothing on the Internet has them. */
#define SYNTH_NET4 "198.18.0.0/15"
/* A unique local prefix (RFC 4193), next to the namespace's. */
#define SYNTH_NET6 "fd6e:736e:6573::/96"

struct synth_name {
	struct list idle;        /* synth.idle while nobody holds it */
	struct synth_name *next; /* in its bucket */
	uint32_t number;
	unsigned held;       /* by how many flows */
	double until;        /* it may be recycled from then on */
	struct list seeking; /* of whoever looks for its addresses: quest.h */
	char text[];
};

struct synth {
	struct cidr net4, net6;
	size_t max; /* numbers; SYNTH_MAX but in specs: set it before the first name */
	size_t count;
	struct synth_name **by_number, **by_name; /* owned */
	struct list idle;                         /* the longest unused first */
	uint64_t seed;    /* keeps a hostile child from choosing collisions */
	uint64_t refused; /* names that got no address */
};

int synth_init(struct synth *s); /* 0 or negative errno */
void synth_fini(struct synth *s);

/* The entry of @name, made if it is new. NULL: all addresses are in use (said in the log, at most
 * once a second), or no memory. Lent until the next call of this, or while it is held. */
struct synth_name *synth_give(struct synth *s, const char *name, double now);

/* The address of @n in version 4 or 6. */
struct addr synth_address(const struct synth *s, const struct synth_name *n, uint8_t version);

/* The name that @a (canonical, port ignored) stands for, or NULL. */
struct synth_name *synth_find(const struct synth *s, const struct addr *a);

/* True if @a is in one of the ranges. */
bool synth_has(const struct synth *s, const struct addr *a);

void synth_hold(struct synth_name *n);
void synth_release(struct synth *s, struct synth_name *n, double now);

#endif
