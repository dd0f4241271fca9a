/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SUMMARY_H
#define NSNET_SUMMARY_H

#include <stdio.h>

#include "list.h"
#include "observe.h"
#include "policy.h"

/* summary - what it all came to: for each destination (by name where one is known) and process,
 * how many connections, bytes and denials; then the slowest dials. At the end, or on demand.
 *
 * Embedded in the host. Bounded: SUMMARY_ROWS pairs of destination and process; what comes after is
 * counted together as "others".
 */
#define SUMMARY_ROWS 4096
#define SUMMARY_BUCKETS 1024
#define SUMMARY_SLOWEST 5

struct summary_row;

struct summary_dial {
	double took; /* seconds */
	char where[256];
};

struct summary {
	struct observer observer;
	struct policy *policy; /* borrowed */
	struct summary_row *bucket[SUMMARY_BUCKETS];
	struct summary_row *others; /* owned, like the rows; NULL: none */
	size_t count;
	struct summary_dial slowest[SUMMARY_SLOWEST]; /* slowest first */
	uint64_t questions, questions_denied, questions_would, refused;
};

void summary_init(struct summary *s, struct policy *policy);
/* Safe on a zeroed one. */
void summary_fini(struct summary *s);

/* Writes it, with what still goes on counted as far as it is closed. */
void summary_write(const struct summary *s, FILE *to);

#endif
