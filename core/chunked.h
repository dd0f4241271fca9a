/* SPDX-License-Identifier: MIT */
#ifndef NSNET_CHUNKED_H
#define NSNET_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* chunked - finds the end of a body in chunks (RFC 9112 7.1), whose bytes may be split anywhere.
 *
 * Strict as http.h: CRLF only, no sign or space in a size. Embedded, zeroed = at the beginning.
 */
enum chunked_answer {
	CHUNKED_MORE, /* the body goes on */
	CHUNKED_END,  /* the last byte taken was its last */
	CHUNKED_BAD,
};

struct chunked {
	enum chunked_answer answer;
	uint8_t state;
	uint64_t left; /* bytes of data to come in this chunk, once its size is read */
};

/* Takes the next @n bytes (borrowed) as far as they are needed; returns how many. A chunk's data is
 * only counted: what of it is not fed is left out by chunked_skip(). */
size_t chunked_feed(struct chunked *c, const uint8_t *bytes, size_t n);

/* The bytes of data that come next, if it is data that comes; as if they had been fed. */
uint64_t chunked_skip(struct chunked *c);

#endif
