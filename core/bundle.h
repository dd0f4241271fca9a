/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BUNDLE_H
#define NSNET_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* bundle - UDP payloads of one flow and one size that travel as one: to a socket by UDP_SEGMENT
 * (udp(7)), to the tun by VIRTIO_NET_HDR_GSO_UDP_L4. The last may be shorter. One trip through the
 * kernel then does for all.
 *
 * Zeroed = empty. Borrows the payloads.
 */
/* What every kernel takes in one call (UDP_MAX_SEGMENTS is 64 before Linux 6.9, then 128). */
#define BUNDLE_PACKETS 64
#define BUNDLE_MAX 32      /* payloads; the kernel takes 64 */
#define BUNDLE_BYTES 65000 /* of all payloads: an IP packet's worth */

struct bundle {
	/* iov[0] is left for the header of the tun's packets; payloads begin at iov[1]. */
	struct iovec iov[1 + BUNDLE_MAX];
	unsigned count;   /* pieces in iov, from 1 on */
	unsigned packets; /* payloads: more than pieces if one came bundled */
	size_t segment;   /* bytes of each payload but the last */
	size_t total;     /* bytes of all */
	bool ended;       /* a shorter one was last: nothing fits behind it */
};

/* Adds @len bytes at @data, which are themselves payloads of @segment bytes each (@segment = @len:
 * one). False: they do not fit; an empty bundle takes any. */
bool bundle_add(struct bundle *b, uint8_t *data, size_t len, size_t segment);

void bundle_clear(struct bundle *b);

#endif
