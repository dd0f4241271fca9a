/* SPDX-License-Identifier: MIT */

/* A JSON text: what is accepted keeps its promises (balanced, UTF-8, finite, within the text). */
#include "lua/jsonread.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	const char *text;
	size_t len;
	int depth, values;
};

static void check_text(const struct seen *s, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + len;

	if (text < s->text || text + len > s->text + s->len)
		abort();
	while (p < end) {
		size_t n = jsonread_utf8(p, end);

		if (!n)
			abort();
		p += n;
	}
}

static const char *on_event(void *arg, enum jsonread_event e, const char *text, size_t len,
	double number)
{
	struct seen *s = arg;

	if (e == JSONREAD_STRING || e == JSONREAD_KEY)
		check_text(s, text, len);
	if (e == JSONREAD_NUMBER && !isfinite(number))
		abort();
	if (e == JSONREAD_ARRAY || e == JSONREAD_OBJECT)
		s->depth++;
	if (e == JSONREAD_END)
		s->depth--;
	if (s->depth < 0 || s->depth > JSONREAD_DEPTH_MAX)
		abort();
	s->values++;
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Of its exact size, so that a byte read beyond it is seen. */
	char *copy = malloc(size + 1);
	struct seen s = {.text = copy, .len = size};
	struct jsonread r = {.fn = on_event, .arg = &s};

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	copy[size] = 0;
	if (jsonread(&r, copy, size) == 0) {
		if (s.depth || !s.values)
			abort();
	} else if (!r.error || r.at > size) {
		abort();
	}
	free(copy);
	return 0;
}
