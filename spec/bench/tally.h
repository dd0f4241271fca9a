/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BENCH_TALLY_H
#define NSNET_BENCH_TALLY_H

#include <stdint.h>

#include "json.h"

/* tally - failures counted by kind. A kind is an errno, or one of ours below. Zero-initialize. */
#define TALLY_EOF 10001     /* the stream ended before its answer was complete */
#define TALLY_TIMEOUT 10002 /* no answer within the limit of one exchange */
#define TALLY_GARBLED 10003 /* an answer with wrong bytes */
#define TALLY_STATUS 10004  /* a command ended with a status other than 0 */
#define TALLY_LOST 10005    /* the two ends' byte counts differ */
#define TALLY_KINDS 16

struct tally {
	uint64_t total;
	struct {
		int kind;
		uint64_t count;
	} by[TALLY_KINDS]; /* the last entry also collects what finds no room */
};

void tally_add(struct tally *t, int kind);
/* Writes "errors": N and, when N is not 0, "error_kinds": {"ECONNREFUSED": 3, ...}. */
void tally_report(const struct tally *t, struct json *j);
/* The commonest kind's name, "" without failures. Static storage. */
const char *tally_worst(const struct tally *t);

#endif
