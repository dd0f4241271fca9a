/* SPDX-License-Identifier: MIT */
#include "detour.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base.h"
#include "shape.h"
#include "steady.h"

/* One turn() moves whatever can move, both ways, and then says what it waits for: the socket, the
 * stack, or the time. Every event ends in a turn.
 *
 *   child: inbox --> hooks.data --> lane up ----> socket
 *   child: stack <---- lane down <-- hooks.data <-- socket
 */

static void watch(struct detour *d, int events)
{
	if (d->watching == events)
		return;
	ev_io_stop(d->loop, &d->io);
	ev_io_set(&d->io, d->fd, events);
	if (events)
		ev_io_start(d->loop, &d->io);
	d->watching = (uint8_t)events;
}

static double delay(struct detour *d)
{
	return d->flow->shape ? shape_delay(d->flow->shape) : 0;
}

/* ---- into a lane ---- */

static int push_copy(struct lane *l, const void *bytes, size_t n, double delay_s)
{
	const uint8_t *at = bytes;

	while (n) {
		const size_t piece = MIN(n, (size_t)BUF_DATA_MAX);
		struct buf *b = buf_get();

		if (!b)
			return -ENOMEM;
		memcpy(b->data, at, piece);
		lane_push(l, b, piece, steady_now(), delay_s);
		at += piece;
		n -= piece;
	}
	return 0;
}

/* Shows the @n bytes in @b (taken) to policy and queues what is to pass. */
static int push(struct detour *d, enum hook_dir dir, struct buf *b, size_t n)
{
	struct lane *l = dir == HOOK_DIR_OUT ? &d->up : &d->down;
	const double delay_s = dir == HOOK_DIR_OUT ? 0 : delay(d);
	void *other = NULL;
	size_t other_len = 0;
	int rc = 0;

	if (d->flow->decision.data)
		rc = policy_data(d->policy, d->flow, dir, b->data, n, &other, &other_len);
	if (rc == 0) {
		lane_push(l, b, n, steady_now(), delay_s);
		return 0;
	}
	buf_put(b);
	if (rc > 0)
		rc = push_copy(l, other, other_len, delay_s);
	free(other);
	return rc;
}

/* The child's bytes into the up lane, which frees its window. */
static int fill_up(struct detour *d)
{
	while (!d->held && d->child->inbox.len && !lane_full(&d->up)) {
		struct buf *b = buf_get();
		size_t n;
		int rc;

		if (!b)
			return -ENOMEM;
		n = inbox_copy(&d->child->inbox, b->data, MIN(d->may, (uint64_t)BUF_DATA_MAX));
		stack_conn_consume(d->child, n);
		if (d->may != UINT64_MAX)
			d->may -= n;
		d->held = d->due = !d->may;
		if (d->up_shut) { /* for a destination that is gone */
			buf_put(b);
			continue;
		}
		rc = push(d, HOOK_DIR_OUT, b, n);
		if (rc < 0)
			return rc;
	}
	if (!d->held && !d->up_read && stack_conn_eof(d->child)) {
		d->up_read = true;
		lane_push_end(&d->up, steady_now(), 0);
	}
	return 0;
}

static void end_down(struct detour *d, bool failed)
{
	d->down_read = true;
	d->failed |= failed;
	lane_push_end(&d->down, steady_now(), delay(d));
}

static int fill_down(struct detour *d)
{
	const struct shape *s = d->flow->shape;
	size_t want = BUF_DATA_MAX;
	struct buf *b = buf_get();
	ssize_t n;

	if (!b)
		return -ENOMEM;
	if (s && s->reset_after)
		want = MIN(want, (size_t)(s->reset_after - d->taken));
	n = recv(d->fd, b->data, want, 0);
	if (n <= 0) {
		buf_put(b);
		if (n == 0)
			end_down(d, d->failed);
		else if (errno != EAGAIN && errno != EINTR)
			end_down(d, true);
		return 0;
	}
	d->taken += (uint64_t)n;
	n = push(d, HOOK_DIR_IN, b, (size_t)n);
	if (n == 0 && s && s->reset_after && d->taken >= s->reset_after) {
		d->up_shut = true;
		end_down(d, true);
	}
	return (int)n;
}

/* ---- out of a lane ---- */

/* Returns EV_WRITE if the socket takes no more, else 0. */
static int drain_up(struct detour *d)
{
	const uint8_t *data;
	size_t n;

	while (!d->up_shut && (n = lane_ready(&d->up, steady_now(), &data)) > 0) {
		ssize_t sent = send(d->fd, data, n, MSG_NOSIGNAL);

		if (sent == -1) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN)
				return EV_WRITE;
			/* As in relay.c: the rest is still to be read, then comes the RST. */
			d->failed = d->up_shut = true;
			lane_clear(&d->up);
			break;
		}
		flow_count_up(d->flow, (size_t)sent, d->loop);
		lane_pop(&d->up, (size_t)sent);
	}
	if (!d->up_shut && lane_ended(&d->up, steady_now())) {
		d->up_shut = true;
		shutdown(d->fd, SHUT_WR);
	}
	return 0;
}

static int drain_down(struct detour *d)
{
	const uint8_t *data;
	size_t n;

	while ((n = lane_ready(&d->down, steady_now(), &data)) > 0) {
		const size_t room = stack_conn_room(d->child);
		struct buf *b;

		if (!room) {
			stack_conn_want_write(d->child);
			return 0;
		}
		b = buf_get();
		if (!b)
			return -ENOMEM;
		n = MIN(n, room);
		memcpy(b->data, data, n);
		if (stack_conn_send(d->child, b, b->data, n) < 0)
			return -ENOMEM;
		flow_count_down(d->flow, n, d->loop);
		lane_pop(&d->down, n);
	}
	if (lane_ended(&d->down, steady_now())) {
		if (!d->failed) {
			stack_conn_shutdown(d->child);
			d->down_shut = true;
		} else if (stack_conn_unacked(d->child)) {
			stack_conn_want_write(d->child);
		} else {
			d->down_shut = true;
		}
	}
	return 0;
}

/* ---- turns ---- */

static void wait_for(struct detour *d, int write)
{
	const double now = steady_now();
	double up = d->up_shut || write ? -1 : lane_wait(&d->up, now);
	double down = lane_wait(&d->down, now);

	watch(d, write | (d->down_read || lane_full(&d->down) ? 0 : EV_READ));
	if (up < 0 || (down >= 0 && down < up))
		up = down;
	ev_timer_stop(d->loop, &d->timer);
	if (up >= 0) {
		/* Not at once: a lane that is ready now waits for the stack or the socket. */
		ev_timer_set(&d->timer, MAX(up, 0.001), 0);
		ev_timer_start(d->loop, &d->timer);
	}
}

/* @rc: of what led to this turn. */
static void turn(struct detour *d, int rc)
{
	int write = 0;

	if (rc == 0)
		rc = fill_up(d);
	if (rc == 0) {
		write = drain_up(d);
		rc = drain_down(d);
	}
	/* Room that drain_up() made in its lane. */
	if (rc == 0 && !write && d->child->inbox.len && !d->held && !lane_full(&d->up))
		rc = fill_up(d);
	if (rc < 0) {
		d->fn(d->arg, RELAY_END_ABORTED); /* last: @d may be gone */
		return;
	}
	if (d->failed && d->down_shut) {
		d->fn(d->arg, RELAY_END_WORLD_RESET);
		return;
	}
	if (d->up_shut && d->down_shut && d->child_closed) {
		d->fn(d->arg, RELAY_END_CLOSED);
		return;
	}
	wait_for(d, write);
	if (d->due && d->spent) {
		d->due = false;
		d->spent(d->arg); /* last: @d may be gone */
	}
}

static void detour_on_ready(struct ev_loop *loop, ev_io *w, int revents)
{
	struct detour *d = container_of(w, struct detour, io);
	int rc = 0;

	UNUSED(loop);
	if (!d->child->opened) { /* detour_on_opened() will look again */
		watch(d, 0);
		return;
	}
	if (revents & d->watching & EV_READ)
		rc = fill_down(d);
	turn(d, rc); /* last: @d may be gone */
}

static void detour_on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	turn(container_of(w, struct detour, timer), 0);
}

void detour_on_readable(struct detour *d)
{
	turn(d, 0);
}

void detour_on_writable(struct detour *d)
{
	turn(d, 0);
}

void detour_release(struct detour *d, uint64_t may)
{
	d->held = false;
	d->may = may;
	turn(d, 0);
}

void detour_on_closed(struct detour *d, bool reset)
{
	d->child_closed = true;
	if (reset)
		d->fn(d->arg, RELAY_END_CHILD_RESET);
	else
		turn(d, 0);
}

void detour_start(struct detour *d, struct ev_loop *loop, struct flow *flow, struct policy *policy,
	struct stack_conn *child, int fd, relay_fn *fn, void *arg)
{
	memset(d, 0, sizeof(*d));
	d->loop = loop;
	d->flow = flow;
	d->policy = policy;
	d->child = child;
	d->fd = fd;
	d->may = UINT64_MAX;
	d->fn = fn;
	d->arg = arg;
	if (flow->shape) {
		d->up.bucket = flow->shape->up;
		d->down.bucket = flow->shape->down;
	}
	ev_io_init(&d->io, detour_on_ready, fd, 0);
	ev_init(&d->timer, detour_on_timer);
	watch(d, EV_READ);
}

int detour_on_opened(struct detour *d, const void *early, size_t n)
{
	int rc = push_copy(&d->down, early, n, 0);

	d->taken += n;
	if (rc == 0)
		wait_for(d, 0);
	return rc;
}

void detour_stop(struct detour *d, bool reset)
{
	const struct linger hard = {.l_onoff = 1, .l_linger = 0};

	if (d->fd < 0)
		return;
	watch(d, 0);
	ev_timer_stop(d->loop, &d->timer);
	if (reset && (!d->up_shut || d->failed))
		setsockopt(d->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(d->fd);
	d->fd = -1;
	lane_clear(&d->up);
	lane_clear(&d->down);
}
