/* SPDX-License-Identifier: MIT */
#ifndef NSNET_NEAREST_H
#define NSNET_NEAREST_H

#include <stddef.h>

/* nearest - which of the words that there are was perhaps meant by one that there is not.
 *
 * The distance is how many letters are left out, put in, put for others or swapped with their
 * neighbour (Damerau 1964; no letter twice). One in three letters may be wrong.
 */
#define NEAREST_MAX 32 /* bytes; longer words are near to none */

struct nearest {
	const char *word, *best; /* borrowed; NULL = none yet */
	size_t distance;
};

static inline struct nearest nearest_to(const char *word)
{
	return (struct nearest){.word = word};
}

/* @known is one that there is; of equally near ones the first in the alphabet is kept. */
void nearest_try(struct nearest *n, const char *known);

#endif
