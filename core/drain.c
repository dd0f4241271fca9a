/* SPDX-License-Identifier: MIT */
#include "drain.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base.h"
#include "log.h"
#include "steady.h"

#define POLL_S 0.005
/* A peer that takes nothing for so long is not waited for. */
#define STUCK_S 10.0

static int ask(int fd, uint8_t family)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} m = {
		.h = {.nlmsg_len = sizeof(m),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.r = {.sdiag_family = family,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = 1 << TCP_FIN_WAIT1 | 1 << TCP_LAST_ACK | 1 << TCP_CLOSING},
	};

	return send(fd, &m, sizeof(m), 0) == (ssize_t)sizeof(m) ? 0 : -errno;
}

/* Counts the sockets of one answer; *@last when it is complete. Negative errno on failure. */
static int count(int fd, bool *last)
{
	static uint8_t buf[32768] __attribute__((aligned(8)));
	ssize_t len = recv(fd, buf, sizeof(buf), 0);
	int n = 0;

	if (len == -1)
		return errno == EINTR ? 0 : -errno;
	for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type == NLMSG_DONE) {
			*last = true; /* and how it went: netlink(7) */
			if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(int)) &&
				*(const int *)NLMSG_DATA(h) < 0)
				return *(const int *)NLMSG_DATA(h);
		} else if (h->nlmsg_type == NLMSG_ERROR) {
			*last = true;
			return -EIO;
		} else if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg))) {
			/* What no process holds has no inode. */
			n += ((struct inet_diag_msg *)NLMSG_DATA(h))->idiag_inode == 0;
		}
	}
	return n;
}

/* Sockets whose process is gone and whose bytes are not; 0 too if the kernel cannot tell. */
static int orphans(struct drain *d)
{
	static const uint8_t family[] = {AF_INET, AF_INET6};
	int sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(family) && d->diag >= 0; i++) {
		bool last = false;
		int n = ask(d->diag, family[i]);

		while (n >= 0 && !last) {
			n = count(d->diag, &last);
			if (n > 0)
				sum += n;
		}
		if (n < 0) {
			log_info("cannot ask for the command's last connections: %s", strerror(-n));
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
	log_warn("%zu connections still owe bytes to a destination that takes none for %.0f s; "
		 "they are given up",
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
	const struct timeval patience = {.tv_sec = 1};

	d->loop = loop;
	d->diag = diag;
	d->pending = pending;
	d->done = done;
	d->arg = arg;
	d->progress = 0;
	d->moved = steady_now();
	if (diag >= 0)
		setsockopt(diag, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
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
