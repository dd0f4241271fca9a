/* SPDX-License-Identifier: MIT */

/* Any bytes as a ClientHello, whole, byte by byte and in two pieces: one answer. A name that was
 * read is in normal form, or none. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/tls.h"

static size_t feed(struct tls *t, const uint8_t *data, size_t len, size_t split, size_t piece)
{
	size_t at = 0;

	tls_init(t);
	while (at < len && t->answer == TLS_MORE) {
		size_t some = at < split ? split - at : piece;

		at += tls_feed(t, data + at, some < len - at ? some : len - at);
	}
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tls whole, other;
	char name[DNAME_MAX];
	const size_t at = feed(&whole, data, len, 0, len);

	for (size_t i = 0; i < 3; i++) {
		const size_t n = feed(&other, data, len, i ? len * i / 3 : 0, i ? len : 1);

		if (n != at || memcmp(&whole, &other, sizeof(whole)) != 0)
			abort();
	}
	if (whole.answer != TLS_HELLO)
		return 0;
	if (whole.sni[0] &&
		(dname_normalise(name, whole.sni, strlen(whole.sni)) < 0 ||
			strcmp(name, whole.sni) != 0))
		abort();
	if (strlen(whole.alpn) >= TLS_ALPN_MAX || (whole.sni[0] && !whole.has_sni))
		abort();
	return 0;
}
