/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LUA_JSONREAD_H
#define NSNET_LUA_JSONREAD_H

#include <stdbool.h>
#include <stddef.h>

/* jsonread - reads a JSON text (RFC 8259) event by event. Strict: valid UTF-8 only, no comments, no
 * trailing commas, no second value, no number that a double cannot hold. Its input may be hostile.
 *
 * Pure but for the callbacks. Holds nothing, so a callback may leave by longjmp.
 */
#define JSONREAD_DEPTH_MAX 64

enum jsonread_event {
	JSONREAD_NULL,
	JSONREAD_FALSE,
	JSONREAD_TRUE,
	JSONREAD_NUMBER,
	JSONREAD_STRING,
	JSONREAD_KEY, /* the value of it comes next */
	JSONREAD_ARRAY,
	JSONREAD_OBJECT,
	JSONREAD_END, /* of the innermost array or object */
};

struct jsonread {
	/* @text and @len (lent for the call) for STRING and KEY; @number for NUMBER. Returns NULL
	 * to go on, or a complaint (static). */
	const char *(
		*fn)(void *arg, enum jsonread_event e, const char *text, size_t len, double number);
	void *arg;
	bool (*stop)(void); /* asked now and then: true ends it; NULL = never */
	/* what is wrong, after a failure: static, and the offset of the byte */
	const char *error;
	size_t at;
};

/* Reads the @len bytes at @text, which are overwritten; a NUL must follow them. 0 or -EINVAL: see
 * r->error, r->at. */
int jsonread(struct jsonread *r, char *text, size_t len);

/* The length of the UTF-8 sequence at @p, which ends before @end; 0: it is none. */
size_t jsonread_utf8(const unsigned char *p, const unsigned char *end);

#endif
