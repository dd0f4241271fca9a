/* SPDX-License-Identifier: MIT */
#include "relay.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base.h"

/* Reads in a row from one socket, at 64 KB each: enough to be efficient, few enough to be fair. */
#define READS_MAX 16
#define PIECES_MAX 64

static void watch(struct relay *r, int events)
{
	if (r->watching == events)
		return;
	ev_io_stop(r->loop, &r->io);
	ev_io_set(&r->io, r->fd, events);
	if (events)
		ev_io_start(r->loop, &r->io);
	r->watching = (uint8_t)events;
}

static void watch_add(struct relay *r, int events)
{
	watch(r, r->watching | events);
}

static void watch_del(struct relay *r, int events)
{
	watch(r, r->watching & ~events);
}

static void close_socket(struct relay *r)
{
	watch(r, 0);
	close(r->fd);
	r->fd = -1;
}

/* True if the relay is over; then @r may be gone. */
static bool over(struct relay *r)
{
	enum relay_end how = RELAY_END_CLOSED;

	if (r->failed) {
		if (!r->child_closed && stack_conn_unacked(r->child))
			return false;
		how = RELAY_END_WORLD_RESET;
	} else {
		if (!r->up_shut || !r->down_shut)
			return false;
		/* The child may take its time to say good-bye: the socket is not needed for it. */
		if (r->fd >= 0)
			close_socket(r);
		if (!r->child_closed)
			return false;
	}
	r->fn(r->arg, how); /* last: @r may be gone */
	return true;
}

/* The socket is broken. What it had given us the child still gets: over() waits until the child has
 * acknowledged it, and only then comes the RST. */
static bool fail(struct relay *r)
{
	r->failed = true;
	watch(r, 0);
	if (over(r))
		return true;
	stack_conn_want_write(r->child);
	return false;
}

/* ---- world to child ---- */

/* True if the relay is over. */
static bool pump(struct relay *r)
{
	for (int i = 0; i < READS_MAX; i++) {
		const size_t room = stack_conn_room(r->child);
		struct buf *b;
		ssize_t n;

		if (!room) {
			watch_del(r, EV_READ);
			stack_conn_want_write(r->child);
			return false;
		}
		b = buf_get();
		if (!b) {
			r->fn(r->arg, RELAY_END_ABORTED);
			return true;
		}
		n = recv(r->fd, b->data, room, 0);
		if (n <= 0) {
			int error = errno;

			buf_put(b);
			if (n == 0) {
				r->down_shut = true;
				if (r->failed)
					return fail(r);
				stack_conn_shutdown(r->child);
				watch_del(r, EV_READ);
				return over(r);
			}
			if (error == EAGAIN || error == EINTR)
				return false;
			return fail(r);
		}
		flow_count_down(r->flow, (size_t)n, r->loop);
		if (stack_conn_send(r->child, b, b->data, (size_t)n) < 0) {
			r->fn(r->arg, RELAY_END_ABORTED);
			return true;
		}
		if ((size_t)n < room) /* most likely empty now; if not, the loop says so */
			return false;
	}
	return false;
}

void relay_on_writable(struct relay *r)
{
	if (r->failed) {
		if (!over(r))
			stack_conn_want_write(r->child);
		return;
	}
	if (!r->down_shut && r->fd >= 0)
		watch_add(r, EV_READ);
}

/* ---- child to world ---- */

/* A write failed: the destination is gone. The kernel still holds what it had sent before its
 * RST, and reports the error once only: read the rest before the child hears of it. */
static bool drain_failed(struct relay *r)
{
	r->failed = true;
	r->up_shut = true;
	watch_del(r, EV_WRITE);
	if (r->down_shut)
		return fail(r);
	watch_add(r, EV_READ);
	return false;
}

/* Shortens the @n pieces of @iov, *@len bytes, to at most @may bytes; returns how many are left. */
static int cut(struct iovec *iov, int n, uint64_t may, size_t *len)
{
	while (*len > may) {
		const size_t over = *len - (size_t)may, last = iov[n - 1].iov_len;

		if (over < last) {
			iov[n - 1].iov_len -= over;
			*len = (size_t)may;
		} else {
			*len -= last;
			n--;
		}
	}
	return n;
}

/* True if the relay is over. */
static bool flush(struct relay *r)
{
	if (r->held || r->up_shut)
		return false;
	while (r->child->inbox.len) {
		struct iovec iov[PIECES_MAX];
		size_t len;
		int pieces =
			cut(iov, inbox_peek(&r->child->inbox, iov, PIECES_MAX, &len), r->may, &len);
		struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)pieces};
		ssize_t n = sendmsg(r->fd, &m, MSG_NOSIGNAL);

		if (n == -1) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN)
				return drain_failed(r);
			watch_add(r, EV_WRITE);
			return false;
		}
		flow_count_up(r->flow, (size_t)n, r->loop);
		stack_conn_consume(r->child, (size_t)n);
		if (r->may != UINT64_MAX)
			r->may -= (uint64_t)n;
		if (!r->may) {
			r->held = true;
			watch_del(r, EV_WRITE);
			return false;
		}
		if ((size_t)n < len) {
			watch_add(r, EV_WRITE);
			return false;
		}
	}
	watch_del(r, EV_WRITE);
	if (stack_conn_eof(r->child)) {
		r->up_shut = true;
		shutdown(r->fd, SHUT_WR);
		return over(r);
	}
	return false;
}

/* True if the relay is over, or its owner was told that it is held. */
static bool push(struct relay *r)
{
	if (flush(r))
		return true;
	if (r->may)
		return false;
	if (r->spent)
		r->spent(r->arg); /* last: @r may be gone */
	return true;
}

void relay_on_readable(struct relay *r)
{
	if (r->up_shut) { /* bytes for a destination that is gone: let the window move on */
		stack_conn_consume(r->child, r->child->inbox.len);
		return;
	}
	push(r); /* last: @r may be gone */
}

void relay_on_closed(struct relay *r, bool reset)
{
	r->child_closed = true;
	if (reset)
		r->fn(r->arg, RELAY_END_CHILD_RESET); /* last: @r may be gone */
	else
		over(r);
}

void relay_release(struct relay *r, uint64_t may)
{
	r->held = false;
	r->may = may;
	relay_on_readable(r); /* last: @r may be gone */
}

static void relay_on_ready(struct ev_loop *loop, ev_io *w, int revents)
{
	struct relay *r = container_of(w, struct relay, io);

	UNUSED(loop);
	if (unlikely(!r->child->opened)) { /* relay_on_opened() will look again */
		watch(r, 0);
		return;
	}
	if (revents & EV_WRITE && push(r))
		return;
	if (revents & r->watching & EV_READ)
		pump(r); /* last: @r may be gone */
}

void relay_start(struct relay *r, struct ev_loop *loop, struct flow *flow, struct stack_conn *child,
	int fd, relay_fn *fn, void *arg)
{
	memset(r, 0, sizeof(*r));
	r->loop = loop;
	r->child = child;
	r->fd = fd;
	r->may = UINT64_MAX;
	r->flow = flow;
	r->fn = fn;
	r->arg = arg;
	ev_io_init(&r->io, relay_on_ready, fd, 0);
	watch(r, EV_READ);
}

int relay_on_opened(struct relay *r, const void *early, size_t n)
{
	const uint8_t *at = early;

	while (n) {
		const size_t piece = MIN(n, stack_conn_room(r->child));
		struct buf *b = piece ? buf_get() : NULL;

		if (!b)
			return -ENOMEM;
		memcpy(b->data, at, piece);
		if (stack_conn_send(r->child, b, b->data, piece) < 0)
			return -ENOMEM;
		flow_count_down(r->flow, piece, r->loop);
		at += piece;
		n -= piece;
	}
	watch_add(r, EV_READ);
	return 0;
}

void relay_stop(struct relay *r, bool reset)
{
	const struct linger hard = {.l_onoff = 1, .l_linger = 0};

	if (!r->loop || r->fd < 0)
		return;
	/* Once all is written and FIN follows it, the kernel is to deliver: RST would lose the
	 * rest. */
	if (reset && !r->up_shut)
		setsockopt(r->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close_socket(r);
}
