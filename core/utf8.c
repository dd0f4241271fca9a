/* SPDX-License-Identifier: MIT */
#include "utf8.h"

#include <string.h>

size_t utf8_length(const char *s, size_t n, uint32_t *c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *at = (const unsigned char *)s;
	uint32_t value;
	size_t len;

	if (!n)
		return 0;
	value = at[0];
	len = value < 0x80 ? 1 : value >= 0xf0 ? 4 : value >= 0xe0 ? 3 : 2;
	if (len > 1) {
		if (value < 0xc2 || value > 0xf4 || len > n)
			return 0;
		value &= 0xffu >> (len + 1);
		for (size_t i = 1; i < len; i++) {
			if ((at[i] & 0xc0) != 0x80)
				return 0;
			value = value << 6 | (at[i] & 0x3f);
		}
		if (value < least[len] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
			return 0;
	}
	if (c)
		*c = value;
	return len;
}

bool utf8_deceives(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
		(c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

size_t utf8_escape(char *out, size_t size, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t at = 0, left = strlen(text);

	while (left) {
		uint32_t c;
		size_t n = utf8_length(text, left, &c);

		if (n && utf8_deceives(c))
			n = 0;
		if (at + (n ? n : 4) >= size)
			break;
		if (n) {
			memcpy(out + at, text, n);
			at += n;
		} else {
			out[at++] = '\\';
			out[at++] = 'x';
			out[at++] = hex[(unsigned char)*text >> 4];
			out[at++] = hex[*text & 15];
			n = 1;
		}
		text += n;
		left -= n;
	}
	out[at] = '\0';
	return at;
}
