/* SPDX-License-Identifier: MIT */
#include "envelope.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The relay tells who sent a datagram, and any stranger may have sent it one. So the sender must be
 * the one that the child talks to. Where the relay was given a name, only the relay knows the
 * address; then the port must be the one asked for.
 *
 * Nobody fragments these datagrams: RFC 1928 makes it optional, and says to drop what does not
 * match.
 */
enum {
	KIND_IP4 = 1,
	KIND_NAME = 3,
	KIND_IP6 = 4,
};

/* Reads the header at @data: its length, and in @a the address (v = 0 for a name) and port. */
static size_t envelope_read(const uint8_t *data, size_t n, struct addr *a)
{
	size_t at = 4, len;

	memset(a, 0, sizeof(*a));
	if (n < at + 1 || data[0] || data[1] || data[2])
		return 0;
	switch (data[3]) {
	case KIND_IP4:
		a->v = 4;
		len = 4;
		break;
	case KIND_IP6:
		a->v = 6;
		len = 16;
		break;
	case KIND_NAME:
		len = data[at++];
		break;
	default:
		return 0;
	}
	if (!len || n < at + len + 2)
		return 0;
	if (a->v)
		memcpy(a->ip, data + at, len);
	at += len;
	a->port = (uint16_t)(data[at] << 8 | data[at + 1]);
	return at + 2;
}

struct envelope *envelope_new(const void *head, size_t n)
{
	struct addr peer;
	struct envelope *e;

	if (n == 0 || n > ENVELOPE_MAX || envelope_read(head, n, &peer) != n) {
		errno = EINVAL;
		return NULL;
	}
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->peer = peer;
	e->len = (uint16_t)n;
	memcpy(e->head, head, n);
	return e;
}

size_t envelope_open(const struct envelope *e, const uint8_t *data, size_t n)
{
	struct addr from;
	size_t len = envelope_read(data, n, &from);

	if (!len || from.port != e->peer.port)
		return 0;
	return e->peer.v && !addr_equal_ip(&from, &e->peer) ? 0 : len;
}
