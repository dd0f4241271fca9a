/* SPDX-License-Identifier: MIT */
#include "chunked.h"

#include "base.h"

#define SIZE_MAX_BITS 60 /* of a chunk: more is a trick */

enum {
	SIZE,
	SIZE_MORE, /* behind its first digit */
	EXTENSION,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER, /* at the beginning of a line */
	TRAILER_TEXT,
	TRAILER_LF,
	LAST_LF,
};

static int digit_of(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool go(struct chunked *c, int state)
{
	c->state = (uint8_t)state;
	return true;
}

static bool take_size(struct chunked *c, uint8_t b)
{
	const int digit = digit_of(b);

	if (digit < 0) {
		if (c->state == SIZE)
			return false;
		return (b == '\r' && go(c, SIZE_LF)) || (b == ';' && go(c, EXTENSION));
	}
	if (c->left >> (SIZE_MAX_BITS - 4))
		return false;
	c->left = c->left << 4 | (uint64_t)digit;
	return go(c, SIZE_MORE);
}

/* False: bad. */
static bool take_byte(struct chunked *c, uint8_t b)
{
	const bool text = (b >= ' ' && b != 0x7f) || b == '\t';

	switch (c->state) {
	case SIZE:
	case SIZE_MORE:
		return take_size(c, b);
	case EXTENSION:
		return text || (b == '\r' && go(c, SIZE_LF));
	case SIZE_LF:
		return b == '\n' && go(c, c->left ? DATA : TRAILER);
	case DATA_CR:
		return b == '\r' && go(c, DATA_LF);
	case DATA_LF:
		return b == '\n' && go(c, SIZE);
	case TRAILER:
		if (b == '\r')
			return go(c, LAST_LF);
		return text && b != ' ' && b != '\t' && go(c, TRAILER_TEXT);
	case TRAILER_TEXT:
		return text || (b == '\r' && go(c, TRAILER_LF));
	case TRAILER_LF:
		return b == '\n' && go(c, TRAILER);
	default: /* LAST_LF */
		if (b == '\n')
			c->answer = CHUNKED_END;
		return b == '\n';
	}
}

uint64_t chunked_skip(struct chunked *c)
{
	const uint64_t left = c->left;

	if (c->state != DATA)
		return 0;
	c->left = 0;
	go(c, DATA_CR);
	return left;
}

size_t chunked_feed(struct chunked *c, const uint8_t *bytes, size_t n)
{
	size_t at = 0;

	while (at < n && c->answer == CHUNKED_MORE) {
		if (c->state == DATA) {
			const size_t some = c->left < n - at ? (size_t)c->left : n - at;

			at += some;
			c->left -= some;
			if (!c->left)
				go(c, DATA_CR);
		} else if (!take_byte(c, bytes[at++])) {
			c->answer = CHUNKED_BAD;
		}
	}
	return at;
}
