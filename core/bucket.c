/* SPDX-License-Identifier: MIT */
#include "bucket.h"

#include <assert.h>
#include <stdlib.h>

#include "base.h"

struct bucket *bucket_new(double rate, double burst)
{
	struct bucket *b = malloc(sizeof(*b));

	assert(rate > 0 && burst >= 1);
	if (b)
		*b = (struct bucket){.rate = rate, .burst = burst, .tokens = burst, .refs = 1};
	return b;
}

struct bucket *bucket_ref(struct bucket *b)
{
	if (b)
		b->refs++;
	return b;
}

void bucket_unref(struct bucket *b)
{
	if (b && --b->refs == 0)
		free(b);
}

static void refill(struct bucket *b, double now)
{
	if (now > b->last) {
		b->tokens = MIN(b->burst, b->tokens + (now - b->last) * b->rate);
		b->last = now;
	}
}

size_t bucket_allows(struct bucket *b, size_t want, double now)
{
	refill(b, now);
	if (b->tokens < 1)
		return 0;
	return MIN(want, (size_t)b->tokens);
}

void bucket_take(struct bucket *b, size_t n)
{
	b->tokens -= (double)n;
}

double bucket_wait(struct bucket *b, size_t want, double now)
{
	const double need = MIN((double)want, b->burst);

	refill(b, now);
	return b->tokens >= need ? 0 : (need - b->tokens) / b->rate;
}
