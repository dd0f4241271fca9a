/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LEARN_H
#define NSNET_LEARN_H

#include <stdint.h>
#include <stdio.h>

#include "cage.h"
#include "observe.h"
#include "policy.h"

/* learn - a rule set from one run (--learn FILE): what was allowed, and nothing else.
 *
 * Each rule names a process (where it was known), a network, a port and what was dialed: by name
 * where the child was told the address under one, else by address. Nothing is widened: names are
 * put together only in lists. Questions for names that were not dialed become a rule of their own.
 *
 * Bounded: LEARN_ROWS different ones; what comes after is not learned, and the file says so.
 */
#define LEARN_ROWS 4096
#define LEARN_BUCKETS 1024

struct learn_row;

struct learn {
	struct observer observer;
	struct policy *policy; /* borrowed; NULL: not started */
	const char *path;      /* borrowed */
	char *const *argv;     /* borrowed, up to NULL: what was run; may be NULL */
	struct learn_row *bucket[LEARN_BUCKETS]; /* owned, like the rows */
	size_t count;
	uint64_t flows, left_out; /* left_out: could not be said in a rule, or found no room */
};

/* Begins to learn for the file @path, which is only written at the end. A file that is there is
 * replaced if it was learned, too. 0 or negative errno; -EEXIST: it was not. */
int learn_start(struct learn *l, struct policy *policy, struct cage *cage, const char *path,
	char *const *argv);

/* The rules, as Lua. */
void learn_write(const struct learn *l, FILE *to);

/* Writes the file, all or nothing, after which @l is as if it had not been started. Safe on a
 * zeroed one. 0 or negative errno: then @instead was given the rules, so that nothing is lost. */
int learn_finish(struct learn *l, FILE *instead);

#endif
