/* SPDX-License-Identifier: MIT */
#include "lua/jsonread.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base.h"

/* Strings are unescaped in place: no escape is shorter than what it stands for. */
struct reader {
	struct jsonread *r;
	char *start, *at, *end;
	unsigned depth, steps;
};

#define STEPS_A_LOOK 256 /* values and characters between two looks at r->stop */

static int fail(struct reader *d, const char *error)
{
	d->r->error = error;
	d->r->at = (size_t)(d->at - d->start);
	return -EINVAL;
}

static int tell(struct reader *d, enum jsonread_event e, const char *text, size_t len, double n)
{
	const char *error = d->r->fn(d->r->arg, e, text, len, n);
	return error ? fail(d, error) : 0;
}

static bool is_stopped(struct reader *d)
{
	return ++d->steps % STEPS_A_LOOK == 0 && d->r->stop && d->r->stop();
}

static void skip_space(struct reader *d)
{
	while (*d->at == ' ' || *d->at == '\t' || *d->at == '\n' || *d->at == '\r')
		d->at++;
}

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
size_t jsonread_utf8(const unsigned char *p, const unsigned char *end)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (!n || p[0] > 0xf4 || (size_t)(end - p) < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
		(p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

static size_t put_utf8(char *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 0x3f));
		to[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 0x3f));
	to[2] = (char)(0x80 | (c >> 6 & 0x3f));
	to[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* Four hexadecimal digits at @p: their value, or -1. A NUL is none, so the end is safe. */
static int32_t read_hex(const char *p)
{
	int32_t value = 0;
	for (int i = 0; i < 4; i++) {
		char c = p[i];
		int digit = c >= '0' && c <= '9' ? c - '0'
			: c >= 'a' && c <= 'f'   ? c - 'a' + 10
			: c >= 'A' && c <= 'F'   ? c - 'A' + 10
						 : -1;
		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

/* "\uXXXX", or two of them for what is above U+FFFF, at d->at. The length written, or 0. */
static size_t read_unicode(struct reader *d, char *to)
{
	int32_t c = read_hex(d->at + 2), low;
	if (c < 0 || (c >= 0xdc00 && c <= 0xdfff))
		return 0;
	d->at += 6;
	if (c < 0xd800 || c > 0xdbff)
		return put_utf8(to, (uint32_t)c);
	if (d->at[0] != '\\' || d->at[1] != 'u')
		return 0;
	low = read_hex(d->at + 2);
	if (low < 0xdc00 || low > 0xdfff)
		return 0;
	d->at += 6;
	return put_utf8(to, 0x10000 + ((uint32_t)(c - 0xd800) << 10) + (uint32_t)(low - 0xdc00));
}

/* The escape at d->at, behind which d->at is afterwards. The length written, or 0. */
static size_t read_escape(struct reader *d, char *to)
{
	static const char from[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	char c = d->at[1];
	if (c == 'u')
		return read_unicode(d, to);
	const char *found = c ? strchr(from, c) : NULL;
	if (!found)
		return 0;
	*to = meant[found - from];
	d->at += 2;
	return 1;
}

/* The string whose quote is at d->at. */
static int read_string(struct reader *d, enum jsonread_event e)
{
	char *text = ++d->at, *to = text;
	for (;;) {
		unsigned char c = (unsigned char)*d->at;
		size_t n;
		if (c == '"')
			break;
		if (is_stopped(d))
			return fail(d, "the CPU budget is spent");
		if (c == '\\') {
			n = read_escape(d, to);
			if (!n)
				return fail(d, "bad escape");
			to += n;
			continue;
		}
		if (c < 0x20)
			return fail(d,
				d->at < d->end ? "control character in a string"
					       : "a string without its end");
		n = jsonread_utf8((unsigned char *)d->at, (unsigned char *)d->end);
		if (!n)
			return fail(d, "not UTF-8");
		memmove(to, d->at, n);
		to += n;
		d->at += n;
	}
	d->at++;
	return tell(d, e, text, (size_t)(to - text), 0);
}

static const char *skip_digits(const char *p)
{
	return p + strspn(p, "0123456789");
}

static int read_number(struct reader *d)
{
	const char *p = d->at + (*d->at == '-'), *digits = p;
	p = skip_digits(p);
	if (p == digits || (*digits == '0' && p > digits + 1))
		return fail(d, "bad number");
	if (*p == '.') {
		digits = ++p;
		p = skip_digits(p);
		if (p == digits)
			return fail(d, "bad number");
	}
	if (*p == 'e' || *p == 'E') {
		p += p[1] == '+' || p[1] == '-' ? 2 : 1;
		digits = p;
		p = skip_digits(p);
		if (p == digits)
			return fail(d, "bad number");
	}
	/* Of 400 digits nothing is left but the size, and strtod() takes its time over many. */
	if (p - d->at > 400)
		return fail(d, "a number of too many digits");
	double n = strtod(d->at, NULL);
	if (!isfinite(n))
		return fail(d, "a number out of range");
	d->at += p - d->at;
	return tell(d, JSONREAD_NUMBER, NULL, 0, n);
}

static int read_word(struct reader *d, const char *word, enum jsonread_event e)
{
	size_t n = strlen(word);
	if (strncmp(d->at, word, n) != 0)
		return fail(d, "no value");
	d->at += n;
	return tell(d, e, NULL, 0, 0);
}

static int read_value(struct reader *d);

static int read_member(struct reader *d, bool object)
{
	if (!object)
		return read_value(d);
	skip_space(d);
	if (*d->at != '"')
		return fail(d, "no key");
	int err = read_string(d, JSONREAD_KEY);
	if (err)
		return err;
	skip_space(d);
	if (*d->at != ':')
		return fail(d, "no ':' behind the key");
	d->at++;
	return read_value(d);
}

static int read_container(struct reader *d)
{
	bool object = *d->at == '{';
	char close = object ? '}' : ']';
	if (d->depth == JSONREAD_DEPTH_MAX)
		return fail(d, "nested too deeply");
	int err = tell(d, object ? JSONREAD_OBJECT : JSONREAD_ARRAY, NULL, 0, 0);
	if (err)
		return err;
	d->at++;
	d->depth++;
	skip_space(d);
	for (bool first = true; *d->at != close || !first; first = false) {
		if (!first && *d->at == close)
			break;
		if (!first && *d->at++ != ',') {
			d->at--;
			return fail(d, object ? "no ',' or '}'" : "no ',' or ']'");
		}
		err = read_member(d, object);
		if (err)
			return err;
		skip_space(d);
	}
	d->at++;
	d->depth--;
	return tell(d, JSONREAD_END, NULL, 0, 0);
}

static int read_value(struct reader *d)
{
	if (is_stopped(d))
		return fail(d, "the CPU budget is spent");
	skip_space(d);
	switch (*d->at) {
	case '{':
	case '[':
		return read_container(d);
	case '"':
		return read_string(d, JSONREAD_STRING);
	case 'n':
		return read_word(d, "null", JSONREAD_NULL);
	case 't':
		return read_word(d, "true", JSONREAD_TRUE);
	case 'f':
		return read_word(d, "false", JSONREAD_FALSE);
	default:
		return *d->at == '-' || (*d->at >= '0' && *d->at <= '9') ? read_number(d)
									 : fail(d, "no value");
	}
}

int jsonread(struct jsonread *r, char *text, size_t len)
{
	struct reader d = {.r = r, .start = text, .at = text, .end = text + len};
	int err = read_value(&d);
	if (err)
		return err;
	skip_space(&d);
	return d.at == d.end ? 0 : fail(&d, "something behind the value");
}
