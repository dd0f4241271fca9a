/* SPDX-License-Identifier: MIT */
#include "tun.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base.h"
#include "log.h"

/* Packets read in one turn of the loop. More starve the sockets, fewer cost wake-ups (measured:
 * 4 to 32 are alike at 64 KB frames, at small frames 16 and more win). */
#define BATCH 32

static_assert(BUF_HEADROOM >= sizeof(struct virtio_net_hdr), "the header goes into the headroom");

static void tun_lost(struct tun *t)
{
	tun_stop(t);
	t->on_gone(t->arg); /* last: @t may be gone */
}

static void tun_show(struct tun *t, const struct buf *b, size_t len)
{
	const struct iovec iov = {.iov_base = (void *)b->data, .iov_len = len};
	struct virtio_net_hdr vh;

	memcpy(&vh, b->whole + BUF_HEADROOM - sizeof(vh), sizeof(vh));
	t->tap(t->tap_arg, true, &vh, &iov, 1);
}

static void tun_on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct tun *t = container_of(w, struct tun, io);
	const size_t vlen = sizeof(struct virtio_net_hdr);

	UNUSED(loop);
	UNUSED(revents);
	for (int i = 0; i < BATCH; i++) {
		struct buf *b = buf_get();
		ssize_t n;

		if (!b) /* out of memory: the packet waits in the device's queue */
			break;
		n = read(t->fd, b->whole + BUF_HEADROOM - vlen, vlen + BUF_DATA_MAX);
		if (n == -1) {
			int error = errno;

			buf_put(b);
			if (error == EAGAIN || error == EINTR)
				break;
			t->on_batch(t->arg);
			tun_lost(t);
			return;
		}
		if ((size_t)n <= vlen) {
			buf_put(b);
			continue;
		}
		t->rx_packets++;
		t->rx_bytes += (size_t)n - vlen;
		if (unlikely(t->tap))
			tun_show(t, b, (size_t)n - vlen);
		t->on_input(t->arg, b, b->data, (size_t)n - vlen);
	}
	t->on_batch(t->arg); /* last: @t may be gone */
}

void tun_init(struct tun *t, struct ev_loop *loop, int fd, unsigned mtu)
{
	memset(t, 0, sizeof(*t));
	t->loop = loop;
	t->fd = fd;
	t->mtu = mtu;
	ev_io_init(&t->io, tun_on_readable, fd, EV_READ);
}

void tun_start(struct tun *t)
{
	ev_io_start(t->loop, &t->io);
}

void tun_stop(struct tun *t)
{
	ev_io_stop(t->loop, &t->io);
}

void tun_fini(struct tun *t)
{
	tun_stop(t);
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

int tun_writev(struct tun *t, const struct virtio_net_hdr *vh, struct iovec *iov, int n)
{
	static const struct virtio_net_hdr none;
	ssize_t written;

	if (unlikely(t->filter) && !t->filter(t->arg, iov + 1, n - 1))
		return 0;
	iov[0].iov_base = (void *)(vh ? vh : &none);
	iov[0].iov_len = sizeof(none);
	do {
		written = writev(t->fd, iov, n);
	} while (unlikely(written == -1 && errno == EINTR));
	if (unlikely(written == -1)) {
		t->tx_dropped++;
		return -errno;
	}
	t->tx_packets++;
	t->tx_bytes += (size_t)written - sizeof(none);
	if (unlikely(t->tap))
		t->tap(t->tap_arg, false, iov[0].iov_base, iov + 1, n - 1);
	return 0;
}
