/* SPDX-License-Identifier: MIT */
#include "drain.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base.h"
#include "log.h"
#include "sockdiag.h"
#include "steady.h"

#define POLL_S 0.005
/* A peer that takes nothing for so long is not waited for. */
#define STUCK_S 10.0

#define OWING (1u << TCP_FIN_WAIT1 | 1u << TCP_LAST_ACK | 1u << TCP_CLOSING)

static void count(void *arg, const struct inet_diag_msg *d, size_t rest)
{
	UNUSED(rest);
	*(int *)arg += d->idiag_inode == 0; /* no process holds it */
}

/* Sockets whose process is gone and whose bytes are not; 0 too if the kernel cannot tell. */
static int orphans(struct drain *d)
{
	static const uint8_t family[] = {AF_INET, AF_INET6};
	int sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(family) && d->diag >= 0; i++) {
		int rc = sockdiag_each(d->diag, family[i], IPPROTO_TCP, OWING, count, &sum);

		if (rc == -EINTR) /* they come and go: ask again next time */
			sum++;
		else if (rc < 0) {
			log_info("cannot ask for the command's last connections: %s",
				strerror(-rc));
			close(d->diag);
			d->diag = -1;
		}
	}
	return sum;
}

static bool over(struct drain *d)
{
	uint64_t progress = 0;
	size_t left = d->pending(d->arg, &progress) + (size_t)orphans(d);

	if (!left)
		return true;
	if (progress != d->progress) {
		d->progress = progress;
		d->moved = steady_now();
	}
	if (steady_now() - d->moved < STUCK_S)
		return false;
	log_warn(left == 1 ? "%zu connection still owes bytes to a destination that takes none for "
			     "%.0f s; it is given up"
			   : "%zu connections still owe bytes to destinations that take none for "
			     "%.0f s; they are given up",
		left, STUCK_S);
	return true;
}

static void drain_on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct drain *d = container_of(w, struct drain, timer);

	UNUSED(loop);
	UNUSED(revents);
	if (!over(d))
		return;
	drain_stop(d);
	d->done(d->arg); /* last: @d may be gone */
}

int drain_start(struct drain *d, struct ev_loop *loop, int diag, drain_pending_fn *pending,
	drain_done_fn *done, void *arg)
{
	d->loop = loop;
	d->diag = diag;
	d->pending = pending;
	d->done = done;
	d->arg = arg;
	d->progress = 0;
	d->moved = steady_now();
	if (over(d)) {
		if (d->diag >= 0)
			close(d->diag);
		d->diag = -1;
		d->loop = NULL;
		return 1;
	}
	ev_timer_init(&d->timer, drain_on_timer, POLL_S, POLL_S);
	ev_timer_start(loop, &d->timer);
	return 0;
}

void drain_stop(struct drain *d)
{
	if (!d->loop)
		return;
	ev_timer_stop(d->loop, &d->timer);
	if (d->diag >= 0)
		close(d->diag);
	d->diag = -1;
	d->loop = NULL;
}
