/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BUF_H
#define NSNET_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* buf - the shared pool of 64 KB buffers that all bytes travel in.
 *
 * One buffer holds one packet from the tun, or one recv() from a socket. The
 * pool is last in, first out, so that the buffer handed out is the one that is
 * still in the cache. A buffer has one owner at a time. The pool belongs to the
 * process (there is one data path in it), grows on demand, gives memory above a
 * high-water mark back to the system, and counts.
 *
 * Layout: BUF_HEADROOM bytes before BUF_DATA leave room for a virtio_net_hdr or
 * an IP header to be put before the payload.
 */
#define BUF_HEADROOM 128
#define BUF_DATA_MAX (65535 + 40) /* the largest IPv6 packet, RFC 8200 section 3 */

struct buf {
	struct buf *next;    /* owner's link, or the pool's */
	uint64_t mark;       /* owner's: e.g. the stream offset that frees it */
	uint64_t opaque[10]; /* owner's: stack.c keeps an lwIP custom pbuf here */
	union {
		struct {
			uint8_t head[BUF_HEADROOM];
			uint8_t data[BUF_DATA_MAX + 1];
		};
		uint8_t whole[BUF_HEADROOM + BUF_DATA_MAX + 1]; /* both, for what spans them */
	};
};

/* A buffer with undefined contents, owned by the caller, or NULL if there is no memory. */
struct buf *buf_get(void);

/* Gives @b back; takes it. NULL is allowed. */
void buf_put(struct buf *b);

/* Memory in somebody's hands now, in bytes, and the limit (256 MiB unless set) above which
 * flows that hold more than their share must let go (buf_pressure). */
size_t buf_used(void);
size_t buf_limit(void);
void buf_set_limit(size_t bytes);

/* True if the pool is over its limit and a holder of @held bytes among @holders
 * holders has more than its fair share: the holders' part of the limit, or 128 KB
 * if that is more, but that only up to twice the limit. Never true for who holds
 * nothing, so that everybody progresses: @holders with a buffer each, and twice
 * the limit, are all there can be. A holder that is told so reads nothing more,
 * or drops what its peer will resend. */
bool buf_pressure(size_t held, size_t holders);

/* Counts memory that stands in for buffers (small payloads that were copied out of one) into
 * buf_used(), and out again. */
void buf_charge(size_t bytes);
void buf_release(size_t bytes);

/* Frees what the pool keeps. Buffers still in use stay valid. */
void buf_pool_fini(void);

#endif
