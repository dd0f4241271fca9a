/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_HEX_H
#define NSNET_SPEC_HEX_H

/* hex - packets as text: hexadecimal digits, spaces anywhere. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* A malloc'd block of exactly the bytes of @text, so that a sanitizer sees each byte that is
 * read too far; *@len is its length. */
static inline uint8_t *hex_bytes(const char *text, size_t *len)
{
	uint8_t *out = malloc(strlen(text) / 2 + 1), *exact;
	size_t digits = 0;

	for (; *text; text++) {
		int d = hex_digit(*text);

		if (d < 0)
			continue;
		out[digits / 2] = (uint8_t)(digits % 2 ? out[digits / 2] << 4 | d : d);
		digits++;
	}
	*len = digits / 2;
	exact = malloc(*len ? *len : 1);
	memcpy(exact, out, *len);
	free(out);
	return exact;
}

#endif
