/* SPDX-License-Identifier: MIT */
#ifndef NSNET_STEADY_H
#define NSNET_STEADY_H

#include <time.h>

/* steady - the clock for all that waits or measures.
 *
 * ev_now() is the time of day, for logs: it jumps when somebody sets the clock, and what compares
 * two of its readings then ends too soon or a day late.
 */

/* Seconds of CLOCK_MONOTONIC, see clock_gettime(2). */
static inline double steady_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#endif
