/* SPDX-License-Identifier: MIT */
#include "asktcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base.h"
#include "dnsmsg.h"

#define IDLE_S 3.    /* RFC 7766 6.2.3: "on the order of a few seconds" */
#define READS_MAX 16 /* per wake */
#define FRAME_MAX (2 + DNSMSG_MAX)

struct asktcp_stream {
	struct asktcp *pool;
	ev_io io;
	ev_timer idle;
	struct resolvconf_server to;
	struct list link;    /* asktcp.streams */
	struct list tickets; /* struct asktcp_ticket.link */
	size_t count;
	bool closing; /* takes no more questions, ends with the last ticket */
	bool gone;    /* to be freed by the function that reads it */
	uint8_t *out; /* owned: framed questions not yet written */
	size_t out_len, out_size;
	uint8_t *in; /* owned: FRAME_MAX bytes, from the first answer on */
	size_t in_len;
};

void asktcp_init(struct asktcp *a, struct ev_loop *loop)
{
	memset(a, 0, sizeof(*a));
	a->loop = loop;
	list_init(&a->streams);
}

/* Closes @s, which has no tickets. */
static void stream_free(struct asktcp_stream *s)
{
	struct asktcp *a = s->pool;

	if (!s->gone) {
		ev_io_stop(a->loop, &s->io);
		ev_timer_stop(a->loop, &s->idle);
		close(s->io.fd);
		list_del(&s->link);
		a->count--;
		s->gone = true;
	}
	if (a->reading == s)
		return;
	free(s->in);
	free(s->out);
	free(s);
}

void asktcp_fini(struct asktcp *a)
{
	while (!list_empty(&a->streams))
		stream_free(container_of(a->streams.next, struct asktcp_stream, link));
}

static void ticket_unlink(struct asktcp_ticket *t)
{
	if (t->stream)
		t->stream->count--;
	t->stream = NULL;
	list_del(&t->link);
}

/* Ends @s and tells all who wait at it. */
static void stream_fail(struct asktcp_stream *s, int err)
{
	struct list waiting;

	list_init(&waiting);
	while (!list_empty(&s->tickets)) {
		struct asktcp_ticket *t = container_of(s->tickets.next, struct asktcp_ticket, link);
		ticket_unlink(t);
		/* asktcp_drop() finds it here too. */
		list_add_tail(&waiting, &t->link);
	}
	stream_free(s);
	while (!list_empty(&waiting)) {
		struct asktcp_ticket *t = container_of(waiting.next, struct asktcp_ticket, link);
		list_del(&t->link);
		t->done(t, NULL, err);
	}
}

static void stream_watch(struct asktcp_stream *s, int events)
{
	if (s->io.events == events)
		return;
	ev_io_stop(s->pool->loop, &s->io);
	ev_io_set(&s->io, s->io.fd, events);
	ev_io_start(s->pool->loop, &s->io);
}

/* Writes what can be written. Returns 0 or a negative errno. */
static int stream_write(struct asktcp_stream *s)
{
	size_t done = 0;

	while (done < s->out_len) {
		ssize_t n = send(s->io.fd, s->out + done, s->out_len - done, MSG_NOSIGNAL);
		if (n == -1 && errno == EAGAIN)
			break;
		if (n == -1)
			return -errno;
		done += (size_t)n;
	}
	s->out_len -= done;
	if (done)
		memmove(s->out, s->out + done, s->out_len);
	stream_watch(s, s->out_len ? EV_READ | EV_WRITE : EV_READ);
	return 0;
}

static void stream_message(struct asktcp_stream *s, uint8_t *msg, size_t len)
{
	struct list *e, *tmp;

	if (len >= DNSMSG_HEADER && msg[2] & 0x80) {
		uint16_t id = (uint16_t)(msg[0] << 8 | msg[1]);
		list_foreach (e, tmp, &s->tickets) {
			struct asktcp_ticket *t = container_of(e, struct asktcp_ticket, link);
			if (t->id != id)
				continue;
			ticket_unlink(t);
			t->done(t, msg, (ssize_t)len);
			return;
		}
	}
	s->pool->strays++;
}

/* Hands over the whole messages in s->in and keeps the rest. */
static void stream_messages(struct asktcp_stream *s)
{
	size_t at = 0;

	while (!s->gone && s->in_len - at >= 2) {
		size_t len = (size_t)s->in[at] << 8 | s->in[at + 1];
		if (s->in_len - at < 2 + len)
			break;
		stream_message(s, s->in + at + 2, len);
		at += 2 + len;
	}
	s->in_len -= at;
	memmove(s->in, s->in + at, s->in_len);
}

/* Returns 0 to go on, or the negative errno that ends the stream. */
static int stream_read(struct asktcp_stream *s)
{
	if (!s->in)
		s->in = malloc(FRAME_MAX);
	if (!s->in)
		return -ENOMEM;
	for (int i = 0; i < READS_MAX && !s->gone; i++) {
		ssize_t n = recv(s->io.fd, s->in + s->in_len, FRAME_MAX - s->in_len, 0);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return n ? -errno : -ECONNRESET;
		s->in_len += (size_t)n;
		stream_messages(s);
	}
	return 0;
}

/* Nobody waits at @s (any more). */
static void stream_rest(struct asktcp_stream *s)
{
	struct asktcp *a = s->pool;

	if (s->closing)
		stream_free(s);
	else
		ev_timer_again(a->loop, &s->idle);
}

static void stream_on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	struct asktcp_stream *s = container_of(w, struct asktcp_stream, io);
	struct asktcp *a = s->pool;
	int err = 0;

	UNUSED(loop);
	a->reading = s;
	if (revents & EV_WRITE)
		err = stream_write(s);
	if (!err && revents & EV_READ)
		err = stream_read(s);
	a->reading = NULL;
	if (s->gone)
		stream_free(s); /* from within its own callbacks */
	else if (err)
		stream_fail(s, err);
	else if (!s->count && !ev_is_active(&s->idle))
		stream_rest(s);
}

static void stream_on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	stream_free(container_of(w, struct asktcp_stream, idle));
}

static int stream_connect(const struct resolvconf_server *to)
{
	struct sockaddr_storage ss;
	socklen_t len = resolvconf_sockaddr(to, &ss);
	int on = 1;
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1)
		return -errno;
	/* Only speed depends on it. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&ss, len) == -1 && errno != EINPROGRESS) {
		int err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int stream_new(struct asktcp *a, const struct resolvconf_server *to,
	struct asktcp_stream **out)
{
	struct asktcp_stream *s = calloc(1, sizeof(*s));
	int fd = s ? stream_connect(to) : -ENOMEM;

	if (fd < 0) {
		free(s);
		return fd;
	}
	s->pool = a;
	s->to = *to;
	list_init(&s->tickets);
	list_add_tail(&a->streams, &s->link);
	a->count++;
	ev_io_init(&s->io, stream_on_io, fd, EV_READ | EV_WRITE);
	ev_io_start(a->loop, &s->io);
	ev_timer_init(&s->idle, stream_on_idle, IDLE_S, IDLE_S);
	*out = s;
	return 0;
}

/* A stream to @to with room, else a new one; an idle one to another server makes room for it. */
static int stream_get(struct asktcp *a, const struct resolvconf_server *to,
	struct asktcp_stream **out)
{
	struct asktcp_stream *idle = NULL;
	struct list *e, *tmp;

	list_foreach (e, tmp, &a->streams) {
		struct asktcp_stream *s = container_of(e, struct asktcp_stream, link);
		if (!s->closing && s->count < ASKTCP_TICKETS_MAX &&
			resolvconf_same_server(&s->to, to)) {
			*out = s;
			return 0;
		}
		if (!s->count && a->reading != s)
			idle = s;
	}
	if (a->count >= ASKTCP_STREAMS_MAX) {
		if (!idle)
			return -EBUSY;
		stream_free(idle);
	}
	return stream_new(a, to, out);
}

/* An identifier that is not under way on @s. */
static int choose_id(const struct asktcp_stream *s, uint16_t *id)
{
	struct list *e, *tmp;

again:
	if (getrandom(id, sizeof(*id), 0) != sizeof(*id))
		return -EIO;
	list_foreach (e, tmp, &s->tickets) {
		if (container_of(e, struct asktcp_ticket, link)->id == *id)
			goto again;
	}
	return 0;
}

/* Puts @msg behind what @s has to write; the loop writes it. */
static int stream_queue(struct asktcp_stream *s, const uint8_t *msg, size_t len, uint16_t id)
{
	size_t need = s->out_len + 2 + len;

	if (need > s->out_size) {
		uint8_t *out = realloc(s->out, 2 * need);
		if (!out)
			return -ENOMEM;
		s->out = out;
		s->out_size = 2 * need;
	}
	uint8_t *p = s->out + s->out_len;
	p[0] = (uint8_t)(len >> 8);
	p[1] = (uint8_t)len;
	memcpy(p + 2, msg, len);
	dnsmsg_set_id(p + 2, id);
	s->out_len = need;
	stream_watch(s, EV_READ | EV_WRITE);
	return 0;
}

int asktcp_send(struct asktcp *a, struct asktcp_ticket *t, const struct resolvconf_server *to,
	const uint8_t *msg, size_t len)
{
	struct asktcp_stream *s;
	int err = stream_get(a, to, &s);

	if (err < 0)
		return err;
	t->reused = s->in || s->count;
	err = choose_id(s, &t->id);
	if (!err)
		err = stream_queue(s, msg, len, t->id);
	if (err < 0) {
		if (!s->count && a->reading != s)
			stream_free(s);
		return err;
	}
	t->stream = s;
	list_add_tail(&s->tickets, &t->link);
	s->count++;
	ev_timer_stop(a->loop, &s->idle);
	return 0;
}

void asktcp_drop(struct asktcp *a, struct asktcp_ticket *t)
{
	struct asktcp_stream *s = t->stream;

	UNUSED(a);
	if (!t->link.next)
		return; /* never sent */
	ticket_unlink(t);
	if (!s)
		return;
	/* Its answer may still come, or the server has stopped answering: either way
	 * this is no connection for more questions. */
	s->closing = true;
	if (!s->count)
		stream_free(s);
}
