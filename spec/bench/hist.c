/* SPDX-License-Identifier: MIT */
#include "hist.h"

#define HIST_BITS 6
#define HIST_LARGEST ((1ull << 40) - 1)

static unsigned hist_slot(uint64_t v)
{
	unsigned shift;

	if (v < HIST_STEPS)
		return (unsigned)v;
	shift = 63u - (unsigned)__builtin_clzll(v) - HIST_BITS;
	return HIST_STEPS * (shift + 1) + (unsigned)(v >> shift) - HIST_STEPS;
}

static uint64_t hist_value(unsigned slot)
{
	unsigned shift;

	if (slot < HIST_STEPS)
		return slot;
	shift = slot / HIST_STEPS - 1;
	return ((uint64_t)(HIST_STEPS + slot % HIST_STEPS) << shift) + ((1ull << shift) >> 1);
}

void hist_add(struct hist *h, uint64_t ns)
{
	if (ns > HIST_LARGEST)
		ns = HIST_LARGEST;
	if (h->count == 0 || ns < h->min)
		h->min = ns;
	if (ns > h->max)
		h->max = ns;
	h->sum += ns;
	h->count++;
	h->slot[hist_slot(ns)]++;
}

uint64_t hist_quantile(const struct hist *h, double share)
{
	uint64_t want = (uint64_t)(share * (double)h->count + 0.5), seen = 0;
	unsigned i;

	if (want < 1)
		want = 1;
	for (i = 0; i < HIST_SLOTS; i++) {
		seen += h->slot[i];
		if (seen >= want) {
			uint64_t v = hist_value(i);

			return v > h->max ? h->max : v;
		}
	}
	return h->max;
}
