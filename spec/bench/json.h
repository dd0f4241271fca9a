/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BENCH_JSON_H
#define NSNET_BENCH_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* json - writes one object, with nested objects, on one line. @key is NULL for the outermost.
 * Keys are plain ASCII; strings are escaped. */
struct json {
	FILE *out; /* borrowed */
	bool comma;
};

void json_open(struct json *j, const char *key);
/* Closes the innermost object; the outermost one is followed by a newline by json_end(). */
void json_close(struct json *j);
void json_end(struct json *j);
void json_string(struct json *j, const char *key, const char *value);
void json_count(struct json *j, const char *key, uint64_t value);
void json_number(struct json *j, const char *key, double value);
void json_flag(struct json *j, const char *key, bool value);

#endif
