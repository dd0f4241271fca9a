/* SPDX-License-Identifier: MIT */
#include "bundle.h"

bool bundle_add(struct bundle *b, uint8_t *data, size_t len, size_t segment)
{
	const unsigned packets = segment ? (unsigned)((len + segment - 1) / segment) : 1;

	if (b->count == 0) {
		b->segment = segment;
	} else if (b->ended || b->count == BUNDLE_MAX || len == 0 ||
		len > BUNDLE_BYTES - b->total || packets > BUNDLE_PACKETS - b->packets) {
		return false;
	} else if (segment != b->segment && !(len == segment && len < b->segment)) {
		return false;
	}
	b->count++;
	b->iov[b->count] = (struct iovec){.iov_base = data, .iov_len = len};
	b->total += len;
	b->packets += packets;
	/* An empty payload has no size that others could have. */
	b->ended = segment == 0 || len % b->segment != 0 || b->total > BUNDLE_BYTES ||
		b->packets >= BUNDLE_PACKETS;
	return true;
}

void bundle_clear(struct bundle *b)
{
	b->count = b->packets = 0;
	b->segment = b->total = 0;
	b->ended = false;
}
