/* SPDX-License-Identifier: MIT */
#include "lua/tether.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base.h"

static void tether_on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct tether *t = container_of(w, struct tether, io);
	char bytes[4096];
	UNUSED(loop);
	UNUSED(revents);
	ssize_t n = recv(w->fd, bytes, sizeof(bytes), 0);
	if (n > 0 || (n == -1 && (errno == EAGAIN || errno == EINTR)))
		return;
	tether_fn *fn = t->fn;
	tether_stop(t);
	fn(t); /* last: @t may be gone */
}

void tether_start(struct tether *t, struct ev_loop *loop, int fd, tether_fn *fn)
{
	t->loop = loop;
	t->fn = fn;
	ev_io_init(&t->io, tether_on_readable, fd, EV_READ);
	ev_io_start(loop, &t->io);
}

void tether_stop(struct tether *t)
{
	if (!t->loop)
		return;
	ev_io_stop(t->loop, &t->io);
	t->loop = NULL;
	close(t->io.fd);
}
