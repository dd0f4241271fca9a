/* SPDX-License-Identifier: MIT */
#include "shape.h"

#include <stdlib.h>

struct shape *shape_new(void)
{
	return calloc(1, sizeof(struct shape));
}

void shape_free(struct shape *s)
{
	if (!s)
		return;
	bucket_unref(s->up);
	bucket_unref(s->down);
	free(s);
}

/* splitmix64 (Steele, Lea, Flood 2014): any seed is a good one, and a seed can be repeated. */
static double uniform(struct shape *s)
{
	uint64_t z = s->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return (double)(z >> 11) / (double)(UINT64_C(1) << 53);
}

double shape_delay(struct shape *s)
{
	return s->latency_s + (s->jitter_s > 0 ? s->jitter_s * uniform(s) : 0);
}
