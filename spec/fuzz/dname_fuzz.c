/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/dname.h"

/* Any bytes as a name and as a pattern. A normal form is its own normal form, and has nothing but
 * what a name may have. */

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

static void check_form(const char *name, int n)
{
	char again[DNAME_MAX];
	size_t label = 0;

	CHECK(n > 0 && n < DNAME_MAX && strlen(name) == (size_t)n);
	CHECK(dname_normalise(again, name, (size_t)n) == n && !strcmp(again, name));
	for (const char *p = name;; p++) {
		if (*p == '.' || !*p) {
			CHECK(label >= 1 && label <= 63);
			label = 0;
			if (!*p)
				break;
			continue;
		}
		CHECK(strchr("abcdefghijklmnopqrstuvwxyz0123456789-_", *p));
		label++;
	}
	CHECK(dname_match(name, DNAME_EXACT, name) && !dname_match(name, DNAME_BELOW, name));
	for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.'))
		CHECK(dname_match(dot + 1, DNAME_BELOW, name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char name[DNAME_MAX];
	enum dname_kind kind;
	/* Of its exact size, so that a byte read beyond it is seen. */
	char *copy = malloc(len ? len : 1);
	int n;

	CHECK(copy);
	if (len)
		memcpy(copy, data, len);
	n = dname_normalise(name, copy, len);
	CHECK(n > 0 || n == -EINVAL || n == -EDOM);
	if (n > 0)
		check_form(name, n);
	n = dname_pattern(name, &kind, copy, len);
	CHECK(n > 0 || n == -EINVAL || n == -EDOM);
	if (n > 0)
		check_form(name, n);
	free(copy);
	return 0;
}
