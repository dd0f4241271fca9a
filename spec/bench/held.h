/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BENCH_HELD_H
#define NSNET_BENCH_HELD_H

#include "bulk.h"
#include "datagram.h"
#include "json.h"
#include "option.h"
#include "rate.h"
#include "tally.h"
#include "trip.h"

/* held - opens @held connections, each proven by one echoed byte, and while they stay idle
 * measures the round-trip, the connect rate and, if asked, one stream each way. Then each held
 * connection must echo a byte again. If not all could be opened, nothing is measured.
 *
 * With @sync, {"phase":"ready"} before the first connection and {"phase":"held"} after the last
 * are printed, and a line on standard input is awaited, so that memory can be read from outside.
 */
struct held {
	unsigned wanted, opened, alive;
	double open_s;
	struct tally errors;
	struct trip trip;
	struct rate rate;
	struct bulk up, down;
	bool bulk_too;
	char reason[160];
};

void held_measure(struct held *h, const struct option_set *o);
void held_report(const struct held *h, struct json *j);

#endif
