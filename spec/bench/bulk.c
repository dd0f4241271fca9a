/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "bulk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "clock.h"
#include "net.h"
#include "pattern.h"
#include "wire.h"

#define BULK_CONNECT_MS 3000
#define BULK_DRAIN_S 4 /* after the end: what is under way must arrive within this time */

enum bulk_state {
	BULK_MOVING,
	BULK_CLOSING,
	BULK_DONE
};

struct bulk_stream {
	enum bulk_state state;
	int fd;
	uint64_t id, bytes, bad;
	struct wire_sum sum; /* the server's, arriving after our half-close (up) */
	unsigned sum_got;
};

struct bulk_run {
	struct bulk *b;
	const struct option_set *o;
	bool up;
	int epoll;
	unsigned left; /* streams not done */
	uint64_t end_ns;
	struct bulk_stream *stream;
	uint8_t buf[PATTERN_CHUNK];
};

static void bulk_done(struct bulk_run *r, struct bulk_stream *s, int err)
{
	if (err)
		tally_add(&r->b->errors, err);
	s->state = BULK_DONE;
	close(s->fd);
	s->fd = -1;
	r->left--;
}

/* Connects every stream first and asks afterwards, so that they run at the same time. */
static int bulk_open(struct bulk_run *r)
{
	static uint64_t next_id;
	unsigned i;

	for (i = 0; i < r->o->streams; i++) {
		struct bulk_stream *s = &r->stream[i];

		s->id = clock_ns() + next_id++;
		s->fd = net_connect(r->o, i, BULK_CONNECT_MS);
		if (s->fd < 0) {
			tally_add(&r->b->errors, -s->fd);
			return s->fd;
		}
	}
	for (i = 0; i < r->o->streams; i++) {
		struct bulk_stream *s = &r->stream[i];
		struct epoll_event e = {.events = r->up ? EPOLLOUT : EPOLLIN, .data.ptr = s};
		struct wire_ask ask = {.magic = WIRE_MAGIC,
			.op = r->up ? WIRE_SINK : WIRE_SOURCE,
			.flags = r->o->verify ? WIRE_VERIFY : 0,
			.ms = (uint32_t)(r->o->seconds * 1000),
			.id = s->id};
		int err = net_ask(s->fd, &ask);

		if (!err && fcntl(s->fd, F_SETFL, O_NONBLOCK) == -1)
			err = -errno;
		if (!err && epoll_ctl(r->epoll, EPOLL_CTL_ADD, s->fd, &e) == -1)
			err = -errno;
		if (err) {
			tally_add(&r->b->errors, -err);
			return err;
		}
		r->left++;
	}
	return 0;
}

static void bulk_send(struct bulk_run *r, struct bulk_stream *s)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};
	ssize_t n;

	if (clock_ns() >= r->end_ns) {
		s->state = BULK_CLOSING;
		if (shutdown(s->fd, SHUT_WR) == -1 ||
			epoll_ctl(r->epoll, EPOLL_CTL_MOD, s->fd, &e) == -1)
			bulk_done(r, s, errno);
		return;
	}
	n = send(s->fd, pattern_at(s->bytes), PATTERN_CHUNK, MSG_NOSIGNAL);
	if (n > 0)
		s->bytes += (uint64_t)n;
	else if (errno != EAGAIN)
		bulk_done(r, s, errno);
}

/* What is wrong with a stream that ended well: a kind of failure, or 0. */
static int bulk_difference(struct bulk *b, uint64_t sent, uint64_t arrived, uint64_t bad)
{
	if (sent != arrived) {
		b->lost += sent - arrived;
		return TALLY_LOST;
	}
	return bad ? TALLY_GARBLED : 0;
}

/* The server's account of what we sent. */
static void bulk_account(struct bulk_run *r, struct bulk_stream *s)
{
	ssize_t n = recv(s->fd, (char *)&s->sum + s->sum_got, sizeof(s->sum) - s->sum_got, 0);

	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0) {
		bulk_done(r, s, n == 0 ? TALLY_EOF : errno);
		return;
	}
	s->sum_got += (unsigned)n;
	if (s->sum_got < sizeof(s->sum))
		return;
	r->b->bytes += s->sum.bytes;
	bulk_done(r, s, bulk_difference(r->b, s->bytes, s->sum.bytes, s->sum.bad));
}

static void bulk_receive(struct bulk_run *r, struct bulk_stream *s)
{
	ssize_t n = recv(s->fd, r->buf, sizeof(r->buf), 0);

	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0) {
		bulk_done(r, s, n == 0 ? 0 : errno);
		return;
	}
	if (r->o->verify)
		s->bad += pattern_differs(r->buf, (size_t)n, s->bytes);
	s->bytes += (uint64_t)n;
	r->b->bytes += (uint64_t)n;
}

static void bulk_loop(struct bulk_run *r)
{
	struct epoll_event e[64];
	uint64_t give_up = r->end_ns + BULK_DRAIN_S * CLOCK_S;
	int i, n;

	while (r->left && clock_ns() < give_up) {
		n = epoll_wait(r->epoll, e, 64, 100);
		for (i = 0; i < n; i++) {
			struct bulk_stream *s = e[i].data.ptr;

			if (s->state == BULK_DONE)
				continue;
			if (!r->up)
				bulk_receive(r, s);
			else if (s->state == BULK_MOVING)
				bulk_send(r, s);
			else
				bulk_account(r, s);
		}
	}
}

/* Asks the server, in a connection of its own, what it sent on each stream. */
static void bulk_compare(struct bulk_run *r)
{
	struct wire_sum sum;
	unsigned i;
	int fd, err;

	for (i = 0; i < r->o->streams; i++) {
		struct wire_ask ask = {.magic = WIRE_MAGIC, .op = WIRE_SUM, .id = r->stream[i].id};

		fd = net_connect(r->o, i, BULK_CONNECT_MS);
		err = fd < 0 ? fd : net_ask(fd, &ask);
		if (!err)
			err = net_read_all(fd, &sum, sizeof(sum));
		if (fd >= 0)
			close(fd);
		if (!err && !sum.known)
			err = -TALLY_EOF;
		if (!err)
			err = -bulk_difference(r->b, sum.bytes, r->stream[i].bytes,
				r->stream[i].bad);
		if (err)
			tally_add(&r->b->errors, -err);
	}
}

static void bulk_judge(struct bulk_run *r)
{
	const char *way = r->up ? "up" : "down";

	if (r->left)
		snprintf(r->b->reason, sizeof(r->b->reason),
			"%s: %u of %u streams stalled: no end within %d s after the time", way,
			r->left, r->o->streams, BULK_DRAIN_S);
	else if (r->b->errors.total)
		snprintf(r->b->reason, sizeof(r->b->reason), "%s: %llu of %u streams failed: %s",
			way, (unsigned long long)r->b->errors.total, r->o->streams,
			tally_worst(&r->b->errors));
	else if (r->b->bytes == 0)
		snprintf(r->b->reason, sizeof(r->b->reason), "%s: no byte arrived", way);
}

void bulk_measure(struct bulk *b, const struct option_set *o, bool up)
{
	struct bulk_run *r = calloc(1, sizeof(*r));
	double cpu;
	uint64_t start;
	unsigned i;

	memset(b, 0, sizeof(*b));
	snprintf(b->reason, sizeof(b->reason), "out of memory");
	if (!r)
		return;
	*r = (struct bulk_run){.b = b, .o = o, .up = up, .epoll = epoll_create1(EPOLL_CLOEXEC)};
	r->stream = calloc(o->streams, sizeof(*r->stream));
	if (!r->stream || r->epoll == -1)
		goto out;
	b->reason[0] = 0;
	for (i = 0; i < o->streams; i++)
		r->stream[i].fd = -1;
	cpu = clock_machine_cpu_s();
	start = clock_ns();
	r->end_ns = start + (uint64_t)(o->seconds * (double)CLOCK_S);
	if (bulk_open(r) == 0)
		bulk_loop(r);
	b->seconds = (double)(clock_ns() - start) / (double)CLOCK_S;
	b->cpu_s = clock_machine_cpu_s() - cpu;
	if (!up && !r->left && !b->errors.total)
		bulk_compare(r);
	bulk_judge(r);
	for (i = 0; i < o->streams; i++)
		if (r->stream[i].fd >= 0)
			close(r->stream[i].fd);
out:
	if (r->epoll != -1)
		close(r->epoll);
	free(r->stream);
	free(r);
}

void bulk_report(const struct bulk *b, struct json *j)
{
	json_flag(j, "ok", !b->reason[0]);
	json_string(j, "reason", b->reason);
	json_count(j, "bytes", b->bytes);
	json_count(j, "lost", b->lost);
	json_number(j, "seconds", b->seconds);
	json_number(j, "gbit_s", b->seconds > 0 ? (double)b->bytes * 8e-9 / b->seconds : 0);
	json_number(j, "cpu_s", b->cpu_s);
	json_number(j, "cpu_s_per_gb", b->bytes ? b->cpu_s / ((double)b->bytes * 1e-9) : 0);
	tally_report(&b->errors, j);
}
