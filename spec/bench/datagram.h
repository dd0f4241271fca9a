/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BENCH_DATAGRAM_H
#define NSNET_BENCH_DATAGRAM_H

#include "hist.h"
#include "json.h"
#include "option.h"

/* datagram - UDP echo on one socket: @window datagrams of @size bytes under way, each echo
 * releases the next. Silence of 50 ms means that all of them were lost, and starts anew. */
struct datagram {
	struct hist hist; /* of the echoes that came */
	uint64_t lost, garbled;
	double seconds, cpu_s;
	char reason[160];
};

void datagram_measure(struct datagram *d, const struct option_set *o);
void datagram_report(const struct datagram *d, struct json *j);

#endif
