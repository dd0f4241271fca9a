/* SPDX-License-Identifier: MIT */
#include "pattern.h"

#include <string.h>

static uint8_t pattern_bytes[PATTERN_PERIOD + PATTERN_CHUNK];

void pattern_init(void)
{
	uint64_t x = 0x9e3779b97f4a7c15ull; /* xorshift64: any seed but 0 */
	size_t i;

	for (i = 0; i < PATTERN_PERIOD; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		pattern_bytes[i] = (uint8_t)(x >> 32);
	}
	for (i = PATTERN_PERIOD; i < sizeof(pattern_bytes); i++)
		pattern_bytes[i] = pattern_bytes[i - PATTERN_PERIOD];
}

const void *pattern_at(uint64_t offset)
{
	return pattern_bytes + offset % PATTERN_PERIOD;
}

size_t pattern_differs(const void *data, size_t len, uint64_t offset)
{
	const uint8_t *got = data, *want = pattern_at(offset);
	size_t i, n = 0;

	if (memcmp(got, want, len) == 0)
		return 0;
	for (i = 0; i < len; i++)
		n += got[i] != want[i];
	return n;
}
