/* SPDX-License-Identifier: MIT */
#include "dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base.h"

static void finish(struct dial *d, int result)
{
	ev_io_stop(d->loop, &d->io);
	ev_timer_stop(d->loop, &d->timer);
	if (result < 0)
		close(d->fd);
	d->fd = -1;
	d->fn(d->arg, result); /* last: @d may be gone */
}

static void dial_on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct dial *d = container_of(w, struct dial, io);
	int error = 0;
	socklen_t len = sizeof(error);

	UNUSED(loop);
	UNUSED(revents);
	if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	finish(d, error ? -error : d->fd);
}

static void dial_on_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	finish(container_of(w, struct dial, timer), -ETIMEDOUT);
}

static int dial_bind(int fd, const struct addr *from)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(from, &ss);
	const int one = 1;

	/* The port is chosen when the destination is known: so each has them all. */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	return bind(fd, (struct sockaddr *)&ss, len);
}

int dial_start(struct dial *d, struct ev_loop *loop, const struct addr *to, double timeout_s,
	dial_fn *fn, void *arg)
{
	return dial_start_from(d, loop, NULL, to, timeout_s, fn, arg);
}

int dial_start_from(struct dial *d, struct ev_loop *loop, const struct addr *from,
	const struct addr *to, double timeout_s, dial_fn *fn, void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(to, &ss);
	const int one = 1;
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	d->loop = loop;
	d->fd = -1;
	d->fn = fn;
	d->arg = arg;
	ev_io_init(&d->io, dial_on_writable, fd, EV_WRITE);
	ev_timer_init(&d->timer, dial_on_timeout, timeout_s, 0);
	if (fd == -1)
		return -errno;
	/* The child's own stack has gathered what it wants to send together. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if ((from && dial_bind(fd, from) == -1) ||
		(connect(fd, (struct sockaddr *)&ss, len) == -1 && errno != EINPROGRESS)) {
		error = errno;
		close(fd);
		return -error;
	}
	d->fd = fd;
	ev_io_start(loop, &d->io);
	if (timeout_s > 0) {
		ev_timer_start(loop, &d->timer);
	}
	return 0;
}

static void dial_on_delay(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct dial *d = container_of(w, struct dial, timer);

	UNUSED(loop);
	UNUSED(revents);
	finish(d, d->fd);
}

void dial_delay(struct dial *d, struct ev_loop *loop, int fd, double delay_s, dial_fn *fn,
	void *arg)
{
	d->loop = loop;
	d->fd = fd;
	d->fn = fn;
	d->arg = arg;
	ev_io_init(&d->io, dial_on_writable, fd, 0);
	ev_timer_init(&d->timer, dial_on_delay, delay_s, 0);
	ev_timer_start(loop, &d->timer);
}

void dial_stop(struct dial *d)
{
	if (!d->loop || d->fd < 0)
		return;
	ev_io_stop(d->loop, &d->io);
	ev_timer_stop(d->loop, &d->timer);
	close(d->fd);
	d->fd = -1;
}
