/* SPDX-License-Identifier: MIT */
#ifndef NSNET_TUN_H
#define NSNET_TUN_H

#include <ev.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "buf.h"

/* tun - the TUN device's file descriptor: packets in batches, packets out.
 *
 * Embedded in the engine. The device was made by container-shim with IFF_TUN |
 * IFF_NO_PI | IFF_VNET_HDR: each packet carries a 10-byte struct virtio_net_hdr, so
 * neither side computes TCP checksums and segments up to 64 KB travel whole
 * (Linux Documentation/networking/tuntap.rst, virtio spec 5.1.6).
 */

/* One packet from the child: @len bytes from the IP header at @ip, which lies inside @b,
 * whose ownership goes to the callee. */
typedef void tun_input_fn(void *arg, struct buf *b, uint8_t *ip, size_t len);

/* Called after each batch of tun_input_fn calls: time for what was put off. */
typedef void tun_batch_fn(void *arg);

/* The device is gone: its namespace ended. Called once; nothing is read afterwards. */
typedef void tun_gone_fn(void *arg);

/* Asked for each packet to the child, before it is written, if set: false drops it.
 * @iov are @n pieces of the packet without the virtio header. Must not block. */
typedef int tun_filter_fn(void *arg, const struct iovec *iov, int n);

/* Shown each packet as it passes the device, if set: what was read, and what was written. @out: it
 * is from the child. @vh tells whether it is a super-segment (gso_type, gso_size) and where its
 * checksum is still to be filled in. All is borrowed. */
typedef void tun_tap_fn(void *arg, bool out, const struct virtio_net_hdr *vh,
	const struct iovec *iov, int n);

struct tun {
	struct ev_loop *loop;
	ev_io io;
	int fd; /* owned */
	unsigned mtu;
	tun_input_fn *on_input;
	tun_batch_fn *on_batch;
	tun_gone_fn *on_gone;
	tun_filter_fn *filter; /* NULL = none */
	void *arg;
	tun_tap_fn *tap; /* NULL = none */
	void *tap_arg;
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, tx_dropped;
};

/* Takes @fd (non-blocking). */
void tun_init(struct tun *t, struct ev_loop *loop, int fd, unsigned mtu);
void tun_start(struct tun *t); /* set the callbacks first */
void tun_stop(struct tun *t);
void tun_fini(struct tun *t);

/* Writes one packet. @iov[0] is the caller's to leave empty: the virtio header goes there.
 * @iov[1..n-1] hold the packet. @vh may be NULL: no offload. A packet that the device does
 * not take is dropped and counted, as on any wire; a negative errno tells. */
int tun_writev(struct tun *t, const struct virtio_net_hdr *vh, struct iovec *iov, int n);

#endif
