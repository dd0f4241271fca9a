/* SPDX-License-Identifier: MIT */
#include "nearest.h"

#include <string.h>

#include "base.h"

static size_t least(size_t a, size_t b, size_t c)
{
	return MIN(a, MIN(b, c));
}

static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
	size_t d[NEAREST_MAX + 1][NEAREST_MAX + 1];

	for (size_t i = 0; i <= na; i++)
		d[i][0] = i;
	for (size_t k = 0; k <= nb; k++)
		d[0][k] = k;
	for (size_t i = 1; i <= na; i++) {
		for (size_t k = 1; k <= nb; k++) {
			d[i][k] = least(d[i - 1][k] + 1, d[i][k - 1] + 1,
				d[i - 1][k - 1] + (a[i - 1] != b[k - 1]));
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
				d[i][k] = MIN(d[i][k], d[i - 2][k - 2] + 1);
		}
	}
	return d[na][nb];
}

void nearest_try(struct nearest *n, const char *known)
{
	const size_t len = strlen(n->word), other = strlen(known);
	size_t d;

	if (len > NEAREST_MAX || other > NEAREST_MAX)
		return;
	d = distance(n->word, len, known, other);
	if (d > MAX(len, other) / 3)
		return;
	if (n->best && (d > n->distance || (d == n->distance && strcmp(known, n->best) > 0)))
		return;
	n->best = known;
	n->distance = d;
}
