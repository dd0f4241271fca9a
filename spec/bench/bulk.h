/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BENCH_BULK_H
#define NSNET_BENCH_BULK_H

#include "json.h"
#include "option.h"
#include "tally.h"

/* bulk - pattern bytes over @streams connections in one direction for @seconds; both ends'
 * byte counts must agree, and every byte must be right if @verify is set. */
struct bulk {
	uint64_t bytes; /* that arrived */
	uint64_t lost;  /* sent but not arrived, on streams that ended as if all had */
	double seconds; /* from the first byte until the last stream is accounted for */
	double cpu_s;   /* of the whole machine meanwhile */
	struct tally errors;
	char reason[160]; /* "" = it went well */
};

void bulk_measure(struct bulk *b, const struct option_set *o, bool up);
void bulk_report(const struct bulk *b, struct json *j);

#endif
