/* SPDX-License-Identifier: MIT */
#ifndef NSNET_JSONLINE_H
#define NSNET_JSONLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* jsonline - writes JSON text (RFC 8259) into memory that grows, for logs and answers.
 *
 * The caller opens and closes in order; commas are set here. Whatever bytes a text has, the result
 * is valid UTF-8 without control characters, on one line. Without memory the text is marked failed,
 * and jsonline_end() returns NULL. Zeroed = empty; jsonline_begin() uses the memory again.
 */
struct jsonline {
	char *data; /* owned */
	size_t len, cap;
	bool comma, failed;
};

void jsonline_begin(struct jsonline *j);
/* The text, ended by a newline and zero; *@len without the zero. Lent until the next call. */
const char *jsonline_end(struct jsonline *j, size_t *len);
void jsonline_fini(struct jsonline *j);

void jsonline_open(struct jsonline *j, char bracket);   /* '{' or '[' */
void jsonline_close(struct jsonline *j, char bracket);  /* '}' or ']' */
void jsonline_key(struct jsonline *j, const char *key); /* plain ASCII, as it is */

void jsonline_text(struct jsonline *j, const char *text); /* NULL: null */
void jsonline_bytes(struct jsonline *j, const char *text, size_t len);
void jsonline_number(struct jsonline *j, uint64_t n);
/* Seconds, with six decimals; what is no time at all (negative, not finite) is 0. */
void jsonline_seconds(struct jsonline *j, double s);

/* A key with its value. @text NULL: neither. */
void jsonline_pair(struct jsonline *j, const char *key, const char *text);
void jsonline_pair_number(struct jsonline *j, const char *key, uint64_t n);

#endif
