/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BENCH_HIST_H
#define NSNET_BENCH_HIST_H

#include <stdint.h>

/* hist - a log-linear histogram of nanoseconds: 64 steps per power of two, so every percentile
 * is within 1.6 % of the sample, in constant space, for values up to 2^40 ns (18 minutes;
 * larger ones count as that). Zero-initialize to start.
 */
#define HIST_STEPS 64
#define HIST_SLOTS (HIST_STEPS * 36)

struct hist {
	uint64_t count, min, max, sum;
	uint32_t slot[HIST_SLOTS];
};

void hist_add(struct hist *h, uint64_t ns);

/* The smallest value that @share (0..1) of the samples do not exceed; 0 without samples. */
uint64_t hist_quantile(const struct hist *h, double share);

#endif
