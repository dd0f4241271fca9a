/* SPDX-License-Identifier: MIT */
#include "pair.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base.h"
#include "hook.h"
#include "steady.h"

/* Turns of reading and writing for one event: few enough to be fair. */
#define TURNS_MAX 16
/* The kernel tells nobody when a peer has acknowledged all: it is asked so often, and so long. */
#define LAST_S 0.02
#define LAST_MAX_S 30.0

static struct pair_side *other(struct pair *p, const struct pair_side *s)
{
	return s == &p->child ? &p->world : &p->child;
}

static bool is_held(const struct pair *p, const struct pair_side *s)
{
	return s == &p->child && p->held;
}

static void drop(struct pair_side *s)
{
	buf_put(s->buf);
	s->buf = NULL;
	s->at = s->len = 0;
}

/* ---- one direction ---- */

/* Where bytes of @s may be read to; 0: nowhere now. */
static size_t room(const struct pair *p, const struct pair_side *s)
{
	if (!is_held(p, s))
		return s->len ? 0 : BUF_DATA_MAX;
	return HOOK_FIRST_BYTES_MAX - MIN(s->len, HOOK_FIRST_BYTES_MAX);
}

/* Reads once. True if something came: bytes or the end. */
static bool fill(struct pair *p, struct pair_side *s)
{
	const size_t n = room(p, s);
	ssize_t got;
	int error;

	if (s->ended || !n)
		return false;
	if (!s->buf)
		s->buf = buf_get();
	if (!s->buf)
		return false; /* the loop says again that there is something */
	if (s->at) {
		memmove(s->buf->data, s->buf->data + s->at, s->len);
		s->at = 0;
	}
	got = recv(s->fd, s->buf->data + s->len, n, 0);
	error = errno;
	if (got > 0) {
		s->len += (size_t)got;
		return true;
	}
	if (!s->len)
		drop(s);
	if (got == -1 && (error == EAGAIN || error == EINTR))
		return false;
	s->ended = true;
	s->failed |= got == -1;
	return true;
}

/* Writes what @s has to the other side. False if that takes no more. */
static bool flush(struct pair *p, struct pair_side *s)
{
	struct pair_side *to = other(p, s);
	const bool up = s == &p->child;

	while (s->len && !to->failed && !is_held(p, s)) {
		const size_t n = up && p->may < s->len ? (size_t)p->may : s->len;
		ssize_t k = send(to->fd, s->buf->data + s->at, n, MSG_NOSIGNAL);

		if (k == -1 && errno == EINTR)
			continue;
		if (k == -1 && errno == EAGAIN)
			return false;
		if (k == -1) {
			to->failed = true;
			break;
		}
		s->at += (size_t)k;
		s->len -= (size_t)k;
		if (up) {
			flow_count_up(p->flow, (size_t)k, p->loop);
			p->may -= p->may == UINT64_MAX ? 0 : (uint64_t)k;
			p->held |= !p->may;
		} else {
			flow_count_down(p->flow, (size_t)k, p->loop);
		}
	}
	if (to->failed || !s->len)
		drop(s); /* nobody is there who could get it, or nothing is left */
	return true;
}

static void tell_end(struct pair *p, struct pair_side *s)
{
	struct pair_side *to = other(p, s);

	if (!s->ended || s->failed || s->len || s->shut || is_held(p, s))
		return;
	s->shut = true;
	if (!to->failed)
		shutdown(to->fd, SHUT_WR);
}

/* Moves what there is from @s to the other side. True if the owner wants to look at it. */
static bool move(struct pair *p, struct pair_side *s)
{
	bool more = false;

	for (int i = 0; i < TURNS_MAX; i++) {
		if (!flush(p, s) || !fill(p, s))
			break;
		more = true;
	}
	tell_end(p, s);
	return is_held(p, s) && (more || s->len);
}

/* ---- both ---- */

static int unacked(int fd)
{
	int n = 0;

	return ioctl(fd, SIOCOUTQ, &n) == -1 ? 0 : n;
}

static bool is_reset(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
		info.tcpi_state == TCP_CLOSE;
}

/* @s is broken. Has the other side got all that came from it? */
static bool is_delivered(struct pair *p, struct pair_side *s)
{
	const int to = other(p, s)->fd;

	if (is_held(p, s)) /* who resets does not wait for a verdict */
		return true;
	if (!s->ended || s->len)
		return false;
	return !unacked(to) || is_reset(to) || steady_now() - p->failed_at >= LAST_MAX_S;
}

/* True if the pair is over; *@how then. */
static bool is_over(struct pair *p, enum relay_end *how)
{
	struct pair_side *s = p->world.failed ? &p->world : p->child.failed ? &p->child : NULL;

	if (!s) {
		*how = RELAY_END_CLOSED;
		return p->child.shut && p->world.shut;
	}
	*how = s == &p->world ? RELAY_END_WORLD_RESET : RELAY_END_CHILD_RESET;
	if (!p->failed_at)
		p->failed_at = steady_now();
	return other(p, s)->failed || is_delivered(p, s);
}

static void watch(struct pair *p, struct pair_side *s)
{
	const struct pair_side *o = other(p, s);
	int events = 0;

	if (!s->ended && !o->failed && room(p, s))
		events |= EV_READ;
	if (o->len && !s->failed && !is_held(p, o))
		events |= EV_WRITE;
	if (s->watching == events)
		return;
	ev_io_stop(p->loop, &s->io);
	ev_io_set(&s->io, s->fd, events);
	if (events)
		ev_io_start(p->loop, &s->io);
	s->watching = (uint8_t)events;
}

/* After each step: the end, or what to wait for. */
static void settle(struct pair *p)
{
	enum relay_end how;

	if (is_over(p, &how)) {
		p->fn(p->arg, how); /* last: @p may be gone */
		return;
	}
	watch(p, &p->child);
	watch(p, &p->world);
	if (p->failed_at && !ev_is_active(&p->last))
		ev_timer_again(p->loop, &p->last);
}

/* The last of a step. @waits: the owner is to look at what is held. */
static void done(struct pair *p, bool waits)
{
	if (!waits || !p->waits || p->child.failed || p->world.failed) {
		settle(p); /* last: @p may be gone */
		return;
	}
	watch(p, &p->child);
	watch(p, &p->world);
	p->waits(p->arg); /* last: @p may be gone */
}

static void pair_on_ready(struct ev_loop *loop, ev_io *w, int revents)
{
	struct pair *p = w->data;
	struct pair_side *s = w == &p->child.io ? &p->child : &p->world;
	bool waits = false;

	UNUSED(loop);
	if (revents & EV_WRITE)
		waits |= move(p, other(p, s));
	if (revents & EV_READ)
		waits |= move(p, s);
	done(p, waits); /* last: @p may be gone */
}

static void pair_on_last(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	settle(container_of(w, struct pair, last)); /* last: it may be gone */
}

static void side_init(struct pair *p, struct pair_side *s, int fd)
{
	const int on = 1;

	s->fd = fd;
	ev_io_init(&s->io, pair_on_ready, fd, 0);
	s->io.data = p;
	/* What is read together is written together: nothing more would come to fill a segment. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void pair_start(struct pair *p, struct ev_loop *loop, struct flow *flow, int child, int world,
	relay_fn *fn, void *arg)
{
	memset(p, 0, sizeof(*p));
	p->loop = loop;
	p->flow = flow;
	p->may = UINT64_MAX;
	p->fn = fn;
	p->arg = arg;
	side_init(p, &p->child, child);
	side_init(p, &p->world, world);
	ev_init(&p->last, pair_on_last);
	p->last.repeat = LAST_S;
	watch(p, &p->child);
	watch(p, &p->world);
}

void pair_release(struct pair *p, uint64_t may)
{
	p->held = false;
	p->may = may;
	done(p, move(p, &p->child)); /* last: @p may be gone */
}

void pair_look(struct pair *p)
{
	struct pair_side *sides[] = {&p->child, &p->world};

	/* One that is read from, or written to, tells by itself. */
	for (size_t i = 0; i < ARRAY_LEN(sides); i++)
		if (!sides[i]->watching && sides[i]->ended && is_reset(sides[i]->fd))
			sides[i]->failed = true;
	settle(p); /* last: @p may be gone */
}

bool pair_undelivered(const struct pair *p)
{
	int waiting = 0;

	if (p->world.failed)
		return false;
	if (p->child.len || (p->child.ended && !p->child.failed && !p->child.shut))
		return true;
	return !p->child.ended && ioctl(p->child.fd, FIONREAD, &waiting) == 0 && waiting;
}

static void side_stop(struct pair *p, struct pair_side *s, bool reset)
{
	const struct linger hard = {.l_onoff = 1, .l_linger = 0};

	ev_io_stop(p->loop, &s->io);
	drop(s);
	/* Once all is written and FIN follows it, the kernel is to deliver: RST would lose the
	 * rest. */
	if (reset && (!other(p, s)->shut || !unacked(s->fd)))
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(s->fd);
	s->fd = -1;
}

void pair_stop(struct pair *p, bool reset)
{
	if (!p->loop)
		return;
	ev_timer_stop(p->loop, &p->last);
	side_stop(p, &p->child, reset);
	side_stop(p, &p->world, reset);
	p->loop = NULL;
}
