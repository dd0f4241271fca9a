/* SPDX-License-Identifier: MIT */
#include "jsonline.h"

#include <stdlib.h>
#include <string.h>

#include "utf8.h"

static bool jsonline_room(struct jsonline *j, size_t n)
{
	size_t cap = j->cap ? j->cap : 1024;
	char *grown;

	if (j->failed)
		return false;
	if (j->len + n <= j->cap)
		return true;
	while (cap < j->len + n)
		cap *= 2;
	grown = realloc(j->data, cap);
	if (!grown) {
		j->failed = true;
		return false;
	}
	j->data = grown;
	j->cap = cap;
	return true;
}

static void jsonline_put(struct jsonline *j, const char *text, size_t n)
{
	if (!jsonline_room(j, n))
		return;
	memcpy(j->data + j->len, text, n);
	j->len += n;
}

/* Before each value. */
static void jsonline_next(struct jsonline *j)
{
	if (j->comma)
		jsonline_put(j, ",", 1);
	j->comma = true;
}

void jsonline_begin(struct jsonline *j)
{
	j->len = 0;
	j->comma = j->failed = false;
}

const char *jsonline_end(struct jsonline *j, size_t *len)
{
	jsonline_put(j, "\n", 2); /* with its zero */
	if (j->failed)
		return NULL;
	*len = j->len - 1;
	return j->data;
}

void jsonline_fini(struct jsonline *j)
{
	free(j->data);
	memset(j, 0, sizeof(*j));
}

void jsonline_open(struct jsonline *j, char bracket)
{
	jsonline_next(j);
	jsonline_put(j, &bracket, 1);
	j->comma = false;
}

void jsonline_close(struct jsonline *j, char bracket)
{
	jsonline_put(j, &bracket, 1);
	j->comma = true;
}

void jsonline_key(struct jsonline *j, const char *key)
{
	jsonline_next(j);
	jsonline_put(j, "\"", 1);
	jsonline_put(j, key, strlen(key));
	jsonline_put(j, "\":", 2);
	j->comma = false;
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* One character that is not plain; returns how many bytes it had. */
static size_t jsonline_escape(struct jsonline *j, const char *s, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char c = (unsigned char)*s;
	size_t k;

	if (c == '"' || c == '\\') {
		jsonline_put(j, "\\", 1);
		jsonline_put(j, s, 1);
		return 1;
	}
	if (c < 0x20 || c == 0x7f) {
		const char text[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

		jsonline_put(j, text, sizeof(text));
		return 1;
	}
	k = utf8_length(s, n, NULL);
	if (k)
		jsonline_put(j, s, k);
	else
		jsonline_put(j, "\xef\xbf\xbd", 3); /* U+FFFD */
	return k ? k : 1;
}

void jsonline_bytes(struct jsonline *j, const char *text, size_t len)
{
	jsonline_next(j);
	jsonline_put(j, "\"", 1);
	while (len) {
		size_t n = 0;

		while (n < len && is_plain((unsigned char)text[n]))
			n++;
		jsonline_put(j, text, n);
		if (n < len)
			n += jsonline_escape(j, text + n, len - n);
		text += n;
		len -= n;
	}
	jsonline_put(j, "\"", 1);
}

void jsonline_text(struct jsonline *j, const char *text)
{
	if (text) {
		jsonline_bytes(j, text, strlen(text));
	} else {
		jsonline_next(j);
		jsonline_put(j, "null", 4);
	}
}

/* printf() is a third of the cost of a line. Writes backwards from @end; returns the start. */
static char *put_digits(char *end, uint64_t n, int least)
{
	for (; n || least > 0; n /= 10, least--)
		*--end = (char)('0' + n % 10);
	return end;
}

void jsonline_number(struct jsonline *j, uint64_t n)
{
	char text[20], *end = text + sizeof(text), *at = put_digits(end, n, 1);

	jsonline_next(j);
	jsonline_put(j, at, (size_t)(end - at));
}

void jsonline_seconds(struct jsonline *j, double s)
{
	char text[32], *end = text + sizeof(text), *at;
	/* Far above all times, far below what a uint64_t holds. */
	uint64_t micro = s > 0 && s < 1e12 ? (uint64_t)(s * 1e6 + 0.5) : 0;

	at = put_digits(end, micro % 1000000, 6);
	*--at = '.';
	at = put_digits(at, micro / 1000000, 1);
	jsonline_next(j);
	jsonline_put(j, at, (size_t)(end - at));
}

void jsonline_pair(struct jsonline *j, const char *key, const char *text)
{
	if (!text)
		return;
	jsonline_key(j, key);
	jsonline_text(j, text);
}

void jsonline_pair_number(struct jsonline *j, const char *key, uint64_t n)
{
	jsonline_key(j, key);
	jsonline_number(j, n);
}
