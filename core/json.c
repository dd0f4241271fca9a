/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <stdlib.h>
#include <string.h>

#include "utf8.h"

static bool json_room(struct json *j, size_t n)
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

static void json_put(struct json *j, const char *text, size_t n)
{
	if (!json_room(j, n))
		return;
	memcpy(j->data + j->len, text, n);
	j->len += n;
}

/* Before each value. */
static void json_next(struct json *j)
{
	if (j->comma)
		json_put(j, ",", 1);
	j->comma = true;
}

void json_begin(struct json *j)
{
	j->len = 0;
	j->comma = j->failed = false;
}

const char *json_end(struct json *j, size_t *len)
{
	json_put(j, "\n", 2); /* with its zero */
	if (j->failed)
		return NULL;
	*len = j->len - 1;
	return j->data;
}

void json_fini(struct json *j)
{
	free(j->data);
	memset(j, 0, sizeof(*j));
}

void json_open(struct json *j, char bracket)
{
	json_next(j);
	json_put(j, &bracket, 1);
	j->comma = false;
}

void json_close(struct json *j, char bracket)
{
	json_put(j, &bracket, 1);
	j->comma = true;
}

void json_key(struct json *j, const char *key)
{
	json_next(j);
	json_put(j, "\"", 1);
	json_put(j, key, strlen(key));
	json_put(j, "\":", 2);
	j->comma = false;
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* One character that is not plain; returns how many bytes it had. */
static size_t json_escape(struct json *j, const char *s, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char c = (unsigned char)*s;
	size_t k;

	if (c == '"' || c == '\\') {
		json_put(j, "\\", 1);
		json_put(j, s, 1);
		return 1;
	}
	if (c < 0x20 || c == 0x7f) {
		const char text[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

		json_put(j, text, sizeof(text));
		return 1;
	}
	k = utf8_length(s, n, NULL);
	if (k)
		json_put(j, s, k);
	else
		json_put(j, "\xef\xbf\xbd", 3); /* U+FFFD */
	return k ? k : 1;
}

void json_bytes(struct json *j, const char *text, size_t len)
{
	json_next(j);
	json_put(j, "\"", 1);
	while (len) {
		size_t n = 0;

		while (n < len && is_plain((unsigned char)text[n]))
			n++;
		json_put(j, text, n);
		if (n < len)
			n += json_escape(j, text + n, len - n);
		text += n;
		len -= n;
	}
	json_put(j, "\"", 1);
}

void json_text(struct json *j, const char *text)
{
	if (text) {
		json_bytes(j, text, strlen(text));
	} else {
		json_next(j);
		json_put(j, "null", 4);
	}
}

/* printf() is a third of the cost of a line. Writes backwards from @end; returns the start. */
static char *put_digits(char *end, uint64_t n, int least)
{
	for (; n || least > 0; n /= 10, least--)
		*--end = (char)('0' + n % 10);
	return end;
}

void json_number(struct json *j, uint64_t n)
{
	char text[20], *end = text + sizeof(text), *at = put_digits(end, n, 1);

	json_next(j);
	json_put(j, at, (size_t)(end - at));
}

void json_seconds(struct json *j, double s)
{
	char text[32], *end = text + sizeof(text), *at;
	/* Far above all times, far below what a uint64_t holds. */
	uint64_t micro = s > 0 && s < 1e12 ? (uint64_t)(s * 1e6 + 0.5) : 0;

	at = put_digits(end, micro % 1000000, 6);
	*--at = '.';
	at = put_digits(at, micro / 1000000, 1);
	json_next(j);
	json_put(j, at, (size_t)(end - at));
}

void json_pair(struct json *j, const char *key, const char *text)
{
	if (!text)
		return;
	json_key(j, key);
	json_text(j, text);
}

void json_pair_number(struct json *j, const char *key, uint64_t n)
{
	json_key(j, key);
	json_number(j, n);
}
