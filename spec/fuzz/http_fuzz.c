/* SPDX-License-Identifier: MIT */

/* Any bytes as the head of a request, whole, byte by byte and in two pieces: one answer. A host
 * that was read is in normal form, or none. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/http.h"

static size_t feed(struct http *h, const uint8_t *data, size_t len, size_t split, size_t piece)
{
	size_t at = 0;

	http_init(h);
	while (at < len && h->answer == HTTP_MORE) {
		size_t some = at < split ? split - at : piece;

		at += http_feed(h, data + at, some < len - at ? some : len - at);
	}
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct http whole, other;
	char name[DNAME_MAX];
	const size_t at = feed(&whole, data, len, 0, len);

	for (size_t i = 0; i < 3; i++) {
		const size_t n = feed(&other, data, len, i ? len * i / 3 : 0, i ? len : 1);

		if (n != at || memcmp(&whole, &other, sizeof(whole)) != 0)
			abort();
	}
	if (whole.answer != HTTP_HEAD)
		return 0;
	if (whole.host[0] &&
		(dname_normalise(name, whole.host, strlen(whole.host)) < 0 ||
			strcmp(name, whole.host) != 0))
		abort();
	if (whole.chunked && whole.length)
		abort();
	return 0;
}
