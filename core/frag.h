/* SPDX-License-Identifier: MIT */
#ifndef NSNET_FRAG_H
#define NSNET_FRAG_H

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "list.h"
#include "packet.h"

/* frag - puts the fragments of IPv4 and IPv6 packets together (RFC 791 3.2, RFC 815, RFC 8200 4.5).
 * They come from the child only: a UDP datagram above the device's MTU.
 *
 * Embedded in the engine. Memory and time are bounded: at most FRAG_MAX packets with one buffer
 * each are being put together, the oldest makes room for a new one, and one that is not complete
 * one to two FRAG_TICK_S after its first fragment is given up. Fragments that overlap, or
 * contradict each other about the length, spoil their packet for both versions (RFC 5722,
 * RFC 8200): nobody can say which of them the receiver would have believed. Repetitions of bytes
 * that are here, without any new one, are ignored.
 */
#define FRAG_MAX 64
#define FRAG_TICK_S 15.0 /* Linux waits 30 s, RFC 791 proposes 15, RFC 8200 allows 60 */

struct frag {
	struct ev_loop *loop;
	ev_timer tick;      /* runs while @all is not empty */
	struct list all;    /* of struct datagram (frag.c), oldest first */
	size_t count;       /* of them */
	uint64_t complete;  /* packets put together */
	uint64_t malformed; /* fragments that cannot be */
	uint64_t spoiled; /* packets given up: overlap, contradiction, no whole packet in the end */
	uint64_t expired; /* packets given up: time */
	uint64_t evicted; /* packets given up: room, or no memory */
};

void frag_init(struct frag *f, struct ev_loop *loop);
void frag_fini(struct frag *f);

/* A fragment from the child. Takes @b; @p (p->fragment is set) borrows from it. Returns NULL: more
 * must come, or it was dropped. Else it completes its packet: the buffer returned
 * holds that, *@p is the view of it, and it belongs to the caller. Checksums are as they came,
 * but for the IPv4 header's. */
struct buf *frag_input(struct frag *f, struct buf *b, struct packet *p);

#endif
