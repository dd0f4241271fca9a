/* SPDX-License-Identifier: MIT */
#ifndef NSNET_JSON_H
#define NSNET_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* json - writes JSON text (RFC 8259) into memory that grows, for logs and answers.
 *
 * The caller opens and closes in order; commas are set here. Whatever bytes a text has, the result
 * is valid UTF-8 without control characters, on one line. Without memory the text is marked failed,
 * and json_end() returns NULL. Zeroed = empty; json_begin() uses the memory again.
 */
struct json {
	char *data; /* owned */
	size_t len, cap;
	bool comma, failed;
};

void json_begin(struct json *j);
/* The text, ended by a newline and zero; *@len without the zero. Lent until the next call. */
const char *json_end(struct json *j, size_t *len);
void json_fini(struct json *j);

void json_open(struct json *j, char bracket);   /* '{' or '[' */
void json_close(struct json *j, char bracket);  /* '}' or ']' */
void json_key(struct json *j, const char *key); /* plain ASCII, as it is */

void json_text(struct json *j, const char *text); /* NULL: null */
void json_bytes(struct json *j, const char *text, size_t len);
void json_number(struct json *j, uint64_t n);
/* Seconds, with six decimals; what is no time at all (negative, not finite) is 0. */
void json_seconds(struct json *j, double s);

/* A key with its value. @text NULL: neither. */
void json_pair(struct json *j, const char *key, const char *text);
void json_pair_number(struct json *j, const char *key, uint64_t n);

#endif
