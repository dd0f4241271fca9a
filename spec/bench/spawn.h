/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BENCH_SPAWN_H
#define NSNET_BENCH_SPAWN_H

#include "hist.h"
#include "json.h"
#include "option.h"
#include "tally.h"

/* spawn - the time of the command from before its fork until it is reaped, run one after the
 * other @count times, or as often as @seconds allow. The first run only warms the caches. */
struct spawn {
	struct hist hist;
	struct tally errors;
	char reason[160];
};

void spawn_measure(struct spawn *s, const struct option_set *o);
void spawn_report(const struct spawn *s, struct json *j);

#endif
