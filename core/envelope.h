/* SPDX-License-Identifier: MIT */
#ifndef NSNET_ENVELOPE_H
#define NSNET_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

/* envelope - the header that a SOCKS5 relay wants before each datagram (RFC 1928 section 7).
 *
 *   00 00 FRAG  01 | 03 length | 04  address or name  port
 *
 * Set by the policy side on flow->envelope, owned by the flow: what the child sends goes out
 * behind @head, and what comes is shown to the child without its own.
 */
#define ENVELOPE_MAX (3 + 1 + 1 + 255 + 2)

struct envelope {
	struct addr peer; /* whose datagrams are for the child; v = 0: any with this port */
	uint16_t len;
	uint8_t head[ENVELOPE_MAX];
};

/* Reads the @n bytes of a whole header. NULL: they are none (EINVAL), or no memory (ENOMEM). */
struct envelope *envelope_new(const void *head, size_t n);

/* The length of the header that @n bytes begin with; 0: it is none, a piece of a fragmented
 * datagram, or tells of another sender than our peer. */
size_t envelope_open(const struct envelope *e, const uint8_t *data, size_t n);

#endif
