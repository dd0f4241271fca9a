/* SPDX-License-Identifier: MIT */
#include "utf8.h"

#include <string.h>

size_t utf8_length(const char *text, size_t len, uint32_t *out)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *s = (const unsigned char *)text;
	uint32_t c;
	size_t n;

	if (!len)
		return 0;
	c = s[0];
	n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	if (n > 1) {
		if (c < 0xc2 || c > 0xf4 || n > len)
			return 0;
		c &= 0xffu >> (n + 1);
		for (size_t i = 1; i < n; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (s[i] & 0x3f);
		}
		if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return 0;
	}
	if (out)
		*out = c;
	return n;
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
