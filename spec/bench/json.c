/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <math.h>

static void json_text(struct json *j, const char *s)
{
	fputc('"', j->out);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(j->out, "\\%c", c);
		else if (c < 0x20 || c > 0x7e)
			fprintf(j->out, "\\u%04x", c);
		else
			fputc(c, j->out);
	}
	fputc('"', j->out);
}

static void json_key(struct json *j, const char *key)
{
	if (j->comma)
		fputc(',', j->out);
	j->comma = true;
	if (key) {
		json_text(j, key);
		fputc(':', j->out);
	}
}

void json_open(struct json *j, const char *key)
{
	json_key(j, key);
	fputc('{', j->out);
	j->comma = false;
}

void json_close(struct json *j)
{
	fputc('}', j->out);
	j->comma = true;
}

void json_end(struct json *j)
{
	json_close(j);
	fputc('\n', j->out);
	fflush(j->out);
	j->comma = false;
}

void json_string(struct json *j, const char *key, const char *value)
{
	json_key(j, key);
	json_text(j, value);
}

void json_count(struct json *j, const char *key, uint64_t value)
{
	json_key(j, key);
	fprintf(j->out, "%llu", (unsigned long long)value);
}

void json_number(struct json *j, const char *key, double value)
{
	json_key(j, key);
	if (isfinite(value))
		fprintf(j->out, "%.6g", value);
	else
		fputs("null", j->out);
}

void json_flag(struct json *j, const char *key, bool value)
{
	json_key(j, key);
	fputs(value ? "true" : "false", j->out);
}
