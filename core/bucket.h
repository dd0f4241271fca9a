/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BUCKET_H
#define NSNET_BUCKET_H

#include <stddef.h>

/* bucket - a token bucket: so many bytes a second, so many at once. May be shared by many flows,
 * which then share the rate. Counted references; time is given, in seconds. */
struct bucket {
	double rate;   /* bytes a second, > 0 */
	double burst;  /* bytes, >= 1 */
	double tokens; /* bytes that may go now */
	double last;   /* when tokens was true */
	unsigned refs;
};

/* A full bucket with one reference, or NULL. */
struct bucket *bucket_new(double rate, double burst);
struct bucket *bucket_ref(struct bucket *b); /* returns @b; NULL is allowed */
void bucket_unref(struct bucket *b);         /* NULL is allowed */

/* How many of @want bytes may go at @now; takes nothing. */
size_t bucket_allows(struct bucket *b, size_t want, double now);
/* @n bytes went. */
void bucket_take(struct bucket *b, size_t n);
/* Seconds from @now until @want bytes (or a whole burst) may go; 0 if they may. */
double bucket_wait(struct bucket *b, size_t want, double now);

#endif
