/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BENCH_PATTERN_H
#define NSNET_BENCH_PATTERN_H

#include <stddef.h>
#include <stdint.h>

/* pattern - the endless pseudo-random stream that bulk transfers carry.
 *
 * Its period is 64 bytes short of 128 KiB, so a lost, repeated or swapped block of any usual size
 * shifts the rest and shows, while the sender still works from a buffer that stays in the cache.
 */
#define PATTERN_PERIOD (128 * 1024 - 64)
#define PATTERN_CHUNK (128 * 1024) /* largest len of the functions below */

void pattern_init(void);
/* PATTERN_CHUNK bytes of the stream, from byte @offset on. Static storage. */
const void *pattern_at(uint64_t offset);
/* How many of the @len bytes at @data differ from the stream at @offset. */
size_t pattern_differs(const void *data, size_t len, uint64_t offset);

#endif
