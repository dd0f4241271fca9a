/* SPDX-License-Identifier: MIT */
#include "dgram.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base.h"

/* Theory of operation
 *
 * Without IP_RECVERR a connected socket hides half of the ICMP errors and gives a bare errno for
 * the others; with it, each waits in the error queue with type, code, value and sender. epoll
 * reports a socket with a filled error queue for ever (EPOLLERR), so a wake-up that brings no
 * datagram empties that queue: this is what keeps the loop from spinning. A pending error also
 * makes the next send(2) fail *instead of* sending; so the queue is emptied and the datagram sent
 * again.
 *
 * Fragments. A packet from the child has "don't fragment" set whether the command asked for it or
 * not (Linux sets it on all that fit into the MTU, which is 65520 here), so it says nothing, and
 * the sockets keep Linux' default: obey the path's MTU, fragment what is longer, as it would be
 * done for the command on the host. "Fragmentation needed" from the network is an event like all
 * errors; passed on, it makes the child's kernel fragment by itself. A command that insists on
 * unfragmented datagrams (IP_PMTUDISC_DO) is told the true limit at once only with an MTU as
 * small as the host's.
 */

/* Asked of the kernel for each socket, which grants what net.core.rmem_max allows. */
#define RECEIVE_BUFFER (4 << 20)

/* Fruitless wake-ups in a row after which a dialer's socket is taken for broken. */
#define FRUITLESS_MAX 100

/* A full error queue is bounded by the socket's buffer; this bounds one turn of the loop. */
#define ERRORS_AT_ONCE 64

/* Bytes of the failed datagram that are of use: what an ICMPv6 error may quote (RFC 4443 2.4). */
#define QUOTE_MAX 1280

struct dgram_batch {
	struct mmsghdr m[DGRAM_BATCH];
	struct iovec iov[DGRAM_BATCH];
	struct sockaddr_storage from[DGRAM_BATCH];
	uint8_t control[DGRAM_BATCH][CMSG_SPACE(sizeof(int))]
		__attribute__((aligned(sizeof(size_t))));
	struct buf *buf[DGRAM_BATCH];
	struct dgram_in in[DGRAM_BATCH];
};

void dgram_rx_init(struct dgram_rx *rx)
{
	memset(rx, 0, sizeof(*rx));
}

void dgram_rx_fini(struct dgram_rx *rx)
{
	for (size_t i = 0; rx->batch && i < DGRAM_BATCH; i++)
		buf_put(rx->batch->buf[i]);
	free(rx->batch);
	rx->batch = NULL;
}

/* recvmmsg() changes the lengths of what it fills in. */
static void dgram_refill(struct dgram_batch *b, int n)
{
	for (int i = 0; i < n; i++)
		b->m[i].msg_hdr.msg_controllen = sizeof(b->control[i]);
}

/* Who sends to a dialer's socket may send descriptors along (SCM_RIGHTS, unix(7)). Without room for
 * them the kernel does not open them here. */
static void dgram_refuse_control(struct dgram_batch *b)
{
	for (int i = 0; i < DGRAM_BATCH; i++)
		b->m[i].msg_hdr.msg_controllen = 0;
}

static void dgram_ask_names(struct dgram_batch *b)
{
	for (size_t i = 0; i < DGRAM_BATCH; i++) {
		b->m[i].msg_hdr.msg_name = &b->from[i];
		b->m[i].msg_hdr.msg_namelen = sizeof(b->from[i]);
	}
}

/* All or nothing: fewer buffers would be a case that nobody tests. */
static struct dgram_batch *dgram_batch(struct dgram_rx *rx)
{
	struct dgram_batch *b = rx->batch;

	if (likely(b))
		return b;
	b = rx->batch = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	for (size_t i = 0; i < DGRAM_BATCH; i++) {
		b->buf[i] = buf_get();
		if (!b->buf[i]) {
			dgram_rx_fini(rx);
			return NULL;
		}
		b->iov[i].iov_base = b->buf[i]->data;
		b->iov[i].iov_len = BUF_DATA_MAX;
		b->m[i].msg_hdr.msg_iov = &b->iov[i];
		b->m[i].msg_hdr.msg_iovlen = 1;
		b->m[i].msg_hdr.msg_control = b->control[i];
	}
	dgram_refill(b, DGRAM_BATCH);
	return b;
}

int dgram_open(const struct addr *to, bool ping)
{
	bool v4 = to->v == 4;
	int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
	int protocol = v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	const int on = 1, size = RECEIVE_BUFFER;
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(to, &ss);
	int fd, rc;

	fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
		ping ? protocol : IPPROTO_UDP);
	if (fd == -1)
		return -errno;
	if (setsockopt(fd, level, v4 ? IP_RECVERR : IPV6_RECVERR, &on, sizeof(on)) == -1)
		goto fail;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == -1)
		goto fail;
	if (ping &&
		setsockopt(fd, level, v4 ? IP_RECVTTL : IPV6_RECVHOPLIMIT, &on, sizeof(on)) == -1)
		goto fail;
	/* Before Linux 5.0 there is no such thing; nothing depends on it. */
	if (!ping)
		setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *)&ss, len) == -1)
		goto fail;
	/* What strangers sent between the choice of the port and the connect. Nobody has asked
	 * the peer anything yet. */
	while (recv(fd, &rc, sizeof(rc), MSG_DONTWAIT) >= 0)
		;
	return fd;
fail:
	rc = -errno;
	close(fd);
	return rc;
}

/* --- events; each may close and free @d: *gone tells --- */

static bool dgram_is_peer(struct dgram *d, const struct sockaddr_storage *from)
{
	struct addr a;

	if (!d->ping)
		return true;
	if (addr_from_sockaddr(&a, from) == 0 && addr_equal_ip(&a, &d->peer))
		return true;
	d->rx->foreign++;
	return false;
}

static void dgram_pass_error(struct dgram *d, struct msghdr *m, uint8_t *data, size_t n)
{
	const struct sock_extended_err *ee = NULL;
	const struct sockaddr *sa;
	struct sockaddr_storage ss = {0};
	struct addr from = {0};

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
			(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
			ee = (const void *)CMSG_DATA(c);
	}
	if (!ee || !dgram_is_peer(d, m->msg_name))
		return;
	sa = SO_EE_OFFENDER(ee);
	if (sa->sa_family == AF_INET)
		memcpy(&ss, sa, sizeof(struct sockaddr_in));
	else if (sa->sa_family == AF_INET6)
		memcpy(&ss, sa, sizeof(struct sockaddr_in6));
	if (addr_from_sockaddr(&from, &ss) < 0)
		from.v = 0;
	d->ops->error(d, ee, &from, data, n); /* last: @d may be gone */
}

/* Empties the error queue; returns how many entries there were. Never of a dialer's socket: it has
 * none that we asked for, and a unix one would give its next datagram instead. */
static int dgram_drain(struct dgram *d, const bool *gone)
{
	uint8_t data[BUF_HEADROOM + QUOTE_MAX + 8];
	uint8_t control[256] __attribute__((aligned(sizeof(size_t))));
	int count = 0;

	for (; count < ERRORS_AT_ONCE && !*gone; count++) {
		struct sockaddr_storage about = {0};
		struct iovec iov = {.iov_base = data + BUF_HEADROOM, .iov_len = QUOTE_MAX};
		struct msghdr m = {
			.msg_name = &about,
			.msg_namelen = sizeof(about),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};
		ssize_t n = recvmsg(d->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT);

		if (n == -1)
			break;
		dgram_pass_error(d, &m, data + BUF_HEADROOM, (size_t)n);
	}
	return count;
}

/* A wake-up without a datagram; @error is what recvmmsg() said. */
static void dgram_on_nothing(struct dgram *d, int error, const bool *gone)
{
	if (d->peer.v && (dgram_drain(d, gone) > 0 || *gone))
		return;
	if (error == EAGAIN || error == EINTR) {
		/* Our own sockets wake for nothing when a checksum is wrong. A dialer's may be
		 * of a kind that does so for ever once its peer has gone. */
		if (!d->peer.v && ++d->fruitless == FRUITLESS_MAX)
			d->ops->failed(d, EPIPE, true); /* last: @d may be gone */
		return;
	}
	/* Who closes a unix socket before he has read everything resets it. */
	if (error == ECONNRESET && d->packets)
		error = 0;
	d->ops->failed(d, error, !d->peer.v); /* last: @d may be gone */
}

/* Takes the envelope off. */
static bool dgram_unwrap(struct dgram *d, struct dgram_in *in)
{
	size_t n = envelope_open(d->envelope, in->data, in->len);

	in->data += n;
	in->len -= n;
	d->rx->foreign += n == 0;
	return n > 0;
}

/* Describes the message of slot @i. Returns false if it is not for us. */
static bool dgram_describe(struct dgram *d, struct dgram_batch *b, int i, struct dgram_in *in)
{
	struct msghdr *m = &b->m[i].msg_hdr;
	int n;

	if (!dgram_is_peer(d, m->msg_name))
		return false;
	*in = (struct dgram_in){.data = b->buf[i]->data, .len = b->m[i].msg_len};
	if (unlikely(d->envelope != NULL) && !dgram_unwrap(d, in))
		return false;
	in->segment = in->len;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); unlikely(c != NULL); c = CMSG_NXTHDR(m, c)) {
		memcpy(&n, CMSG_DATA(c), sizeof(n));
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO && n > 0)
			in->segment = MIN((size_t)n, in->len);
		else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
			(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT))
			in->ttl = (uint8_t)n;
	}
	return true;
}

/* The @n messages of the batch. */
static void dgram_on_batch(struct dgram *d, struct dgram_batch *b, int n, const bool *gone)
{
	unsigned count = 0;
	bool ended = false;

	for (int i = 0; i < n && !ended; i++) {
		ended = unlikely(d->packets && b->m[i].msg_len == 0);
		if (!ended)
			count += dgram_describe(d, b, i, &b->in[count]);
	}
	dgram_refill(b, n);
	d->fruitless = 0;
	if (count)
		d->ops->received(d, b->in, count);
	if (ended && !*gone)
		d->ops->failed(d, 0, true); /* last: @d may be gone */
}

static void dgram_on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct dgram *d = container_of(w, struct dgram, io);
	struct dgram_batch *b = dgram_batch(d->rx);
	const bool strange = !d->peer.v;
	bool gone = false;
	int n;

	UNUSED(loop);
	UNUSED(revents);
	if (unlikely(!b)) {
		/* One datagram is lost, so that the loop does not turn for nothing. */
		d->rx->lost += recv(d->fd, &n, sizeof(n), MSG_DONTWAIT) >= 0;
		return;
	}
	d->gone = &gone;
	if (d->ping)
		dgram_ask_names(b);
	if (unlikely(strange))
		dgram_refuse_control(b);
	n = recvmmsg(d->fd, b->m, DGRAM_BATCH, MSG_DONTWAIT, NULL);
	if (likely(n > 0))
		dgram_on_batch(d, b, n, &gone);
	else
		dgram_on_nothing(d, n == 0 ? EAGAIN : errno, &gone);
	if (unlikely(strange))
		dgram_refill(b, DGRAM_BATCH);
	if (!gone)
		d->gone = NULL;
}

void dgram_start(struct dgram *d, const struct dgram_ops *ops, struct ev_loop *loop,
	struct dgram_rx *rx, int fd, const struct addr *peer, bool ping)
{
	int type = SOCK_DGRAM;
	socklen_t len = sizeof(type);

	d->ops = ops;
	d->loop = loop;
	d->rx = rx;
	d->fd = fd;
	d->ttl = 64; /* the default of every Linux, so that most sockets need no change */
	d->ping = ping;
	d->bundles = peer && !ping;
	if (peer)
		d->peer = *peer;
	else if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0)
		d->packets = type != SOCK_DGRAM;
	ev_io_init(&d->io, dgram_on_readable, fd, EV_READ);
	ev_io_start(loop, &d->io);
}

void dgram_close(struct dgram *d)
{
	if (d->fd < 0)
		return;
	if (d->gone)
		*d->gone = true;
	d->gone = NULL;
	ev_io_stop(d->loop, &d->io);
	close(d->fd);
	d->fd = -1;
}

/* --- sending --- */

bool dgram_is_marked(const struct dgram *d, uint8_t ttl, uint8_t tos)
{
	return ttl == d->ttl && (tos & 0xfc) == d->tos;
}

void dgram_mark(struct dgram *d, uint8_t ttl, uint8_t tos)
{
	bool v4 = d->peer.v == 4;
	int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
	int n;

	tos &= 0xfc;
	if (likely(dgram_is_marked(d, ttl, tos)))
		return;
	if (!d->peer.v)
		return;
	/* A value that the host refuses (TTL 0) the datagram goes without. */
	n = ttl;
	if (ttl != d->ttl)
		setsockopt(d->fd, level, v4 ? IP_TTL : IPV6_UNICAST_HOPS, &n, sizeof(n));
	n = tos;
	if (tos != d->tos)
		setsockopt(d->fd, level, v4 ? IP_TOS : IPV6_TCLASS, &n, sizeof(n));
	d->ttl = ttl;
	d->tos = tos;
}

static ssize_t dgram_wrap(const struct dgram *d, const void *data, size_t n)
{
	struct iovec iov[] = {
		{.iov_base = (void *)d->envelope->head, .iov_len = d->envelope->len},
		{.iov_base = (void *)data, .iov_len = n},
	};
	const struct msghdr m = {.msg_iov = iov, .msg_iovlen = ARRAY_LEN(iov)};

	return sendmsg(d->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int dgram_send_once(const struct dgram *d, const void *data, size_t n)
{
	ssize_t sent;

	do {
		sent = unlikely(d->envelope != NULL)
			? dgram_wrap(d, data, n)
			: send(d->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (unlikely(sent == -1 && errno == EINTR));
	return sent == -1 ? -errno : 0;
}

bool dgram_is_shortage(int error)
{
	return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

int dgram_send(struct dgram *d, const void *data, size_t n)
{
	int rc = dgram_send_once(d, data, n);
	bool gone = false, *outer = d->gone;

	if (likely(rc == 0) || dgram_is_shortage(-rc))
		return rc;
	/* An error of an earlier datagram, or of this one? */
	if (!d->peer.v)
		return dgram_send_once(d, data, n);
	d->gone = &gone;
	dgram_drain(d, &gone);
	if (gone) {
		if (outer)
			*outer = true;
		return -ECANCELED;
	}
	d->gone = outer;
	return dgram_send_once(d, data, n);
}

int dgram_send_bundle(struct dgram *d, const struct bundle *b)
{
	uint8_t control[CMSG_SPACE(sizeof(uint16_t))]
		__attribute__((aligned(sizeof(size_t)))) = {0};
	uint16_t segment = (uint16_t)b->segment;
	struct msghdr m = {
		.msg_iov = (struct iovec *)b->iov + 1,
		.msg_iovlen = b->count,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	if (!d->bundles)
		return -EOPNOTSUPP;
	c->cmsg_level = IPPROTO_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(segment));
	memcpy(CMSG_DATA(c), &segment, sizeof(segment));
	if (likely(sendmsg(d->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) != -1))
		return 0;
	/* Payloads that do not fit the path's MTU (EINVAL), a device without checksums (EIO), an
	 * old kernel: it would be so next time. */
	if (errno == EINVAL || errno == EIO || errno == EMSGSIZE || errno == EOPNOTSUPP)
		d->bundles = false;
	return -errno;
}

uint32_t dgram_mtu(const struct dgram *d)
{
	bool v4 = d->peer.v == 4;
	int mtu = 0;
	socklen_t len = sizeof(mtu);

	if (!d->peer.v ||
		getsockopt(d->fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU : IPV6_MTU, &mtu,
			&len) == -1)
		return 0;
	return (uint32_t)mtu;
}
