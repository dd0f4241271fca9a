/* SPDX-License-Identifier: MIT */
#include "volley.h"

bool volley_add(struct volley *v, struct dgram *to, struct buf *b, const struct packet *p,
	uint8_t *data, size_t len)
{
	unsigned at = v->bundle.count;

	if ((v->to && v->to != to) || len == 0 || !bundle_add(&v->bundle, data, len, len))
		return false;
	v->to = to;
	v->buf[at] = b;
	v->packet[at] = *p;
	return true;
}

unsigned volley_clear(struct volley *v)
{
	unsigned n = v->bundle.count;

	for (unsigned i = 0; i < n; i++)
		buf_put(v->buf[i]);
	bundle_clear(&v->bundle);
	v->to = NULL;
	return n;
}
