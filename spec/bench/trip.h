/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BENCH_TRIP_H
#define NSNET_BENCH_TRIP_H

#include "hist.h"
#include "json.h"
#include "option.h"

/* trip - round-trips of @size bytes on one TCP connection, one at a time. */
struct trip {
	struct hist hist;
	char reason[160];
};

void trip_measure(struct trip *t, const struct option_set *o);
void trip_report(const struct trip *t, struct json *j);

#endif
