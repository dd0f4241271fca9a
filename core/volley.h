/* SPDX-License-Identifier: MIT */
#ifndef NSNET_VOLLEY_H
#define NSNET_VOLLEY_H

#include "buf.h"
#include "bundle.h"
#include "dgram.h"
#include "packet.h"

/* volley - datagrams of the child for one socket that wait for the end of the tun's batch, to be
 * sent by one call.
 *
 * Zeroed = empty. Owns the buffers.
 */
struct volley {
	struct dgram *to; /* borrowed; NULL when empty */
	struct bundle bundle;
	struct buf *buf[BUNDLE_MAX];
	struct packet packet[BUNDLE_MAX]; /* each borrows from its buf */
};

/* Adds @p, whose payload is the @len bytes at @data; takes @b then. False: it does not fit, and
 * nothing was taken. An empty one takes all but empty payloads. */
bool volley_add(struct volley *v, struct dgram *to, struct buf *b, const struct packet *p,
	uint8_t *data, size_t len);

/* Frees what it holds. Returns how many datagrams. */
unsigned volley_clear(struct volley *v);

#endif
