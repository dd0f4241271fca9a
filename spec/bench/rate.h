/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BENCH_RATE_H
#define NSNET_BENCH_RATE_H

#include "hist.h"
#include "json.h"
#include "option.h"
#include "tally.h"

/* rate - connect, request, answer, close, as fast as it goes, with @flights at a time. The time
 * of one is from before socket() to the last byte of the answer. */
struct rate {
	struct hist hist;
	struct tally errors;
	double seconds, cpu_s;
	char reason[160];
};

void rate_measure(struct rate *r, const struct option_set *o);
void rate_report(const struct rate *r, struct json *j);

#endif
