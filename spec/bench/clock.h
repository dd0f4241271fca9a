/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BENCH_CLOCK_H
#define NSNET_BENCH_CLOCK_H

#include <stdint.h>

#define CLOCK_MS 1000000ull
#define CLOCK_S 1000000000ull

/* Monotonic nanoseconds. */
uint64_t clock_ns(void);

/* CPU seconds that the whole machine has spent on anything (user, nice, system, interrupts; not
 * idle, iowait or stolen) since it started, from proc(5) /proc/stat; -1 if it cannot be read.
 * The kernel counts in ticks of 10 ms per processor. */
double clock_machine_cpu_s(void);

#endif
