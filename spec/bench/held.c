/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "held.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "clock.h"
#include "net.h"
#include "wire.h"

#define HELD_FLIGHTS 128  /* opened at a time */
#define HELD_PROGRESS_S 3 /* no connection proven for so long: it is stuck */
#define HELD_OPEN_S 5     /* and a millisecond for each: longer is too long to wait for */
#define HELD_ERRORS 200
#define HELD_SPARE_FILES 200 /* for standard streams, epoll and the measurements */

enum held_state {
	HELD_NONE,
	HELD_CONNECTING,
	HELD_ASKED,
	HELD_IDLE
};

struct held_conn {
	int fd;
	enum held_state state;
};

struct held_run {
	struct held *h;
	const struct option_set *o;
	int epoll;
	unsigned begun, under_way;
	uint64_t progress_ns;
	struct held_conn *conn;
};

static void held_fail(struct held_run *r, struct held_conn *c, int err)
{
	tally_add(&r->h->errors, err);
	close(c->fd);
	c->fd = -1;
	c->state = HELD_NONE;
	r->under_way--;
}

static void held_start(struct held_run *r, struct held_conn *c)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};

	c->fd = net_connect_start(r->o, r->begun++);
	if (c->fd < 0) {
		tally_add(&r->h->errors, -c->fd);
		return;
	}
	c->state = HELD_CONNECTING;
	r->under_way++;
	if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, c->fd, &e) == -1)
		held_fail(r, c, errno);
}

/* The ask and one byte in one segment; the byte comes back when the whole way is proven. */
static int held_ask(struct held_conn *c)
{
	struct {
		struct wire_ask ask;
		char byte;
	} msg = {.ask = {.magic = WIRE_MAGIC, .op = WIRE_ECHO}, .byte = 'h'};
	size_t len = sizeof(msg.ask) + 1;
	int err = net_connect_error(c->fd);

	if (err)
		return err;
	c->state = HELD_ASKED;
	return send(c->fd, &msg, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -EIO;
}

static void held_event(struct held_run *r, struct held_conn *c)
{
	ssize_t n;
	char byte;
	int err;

	if (c->fd < 0 || c->state == HELD_NONE)
		return;
	if (c->state == HELD_CONNECTING) {
		err = held_ask(c);
		if (err) {
			held_fail(r, c, -err);
			return;
		}
	}
	if (c->state != HELD_ASKED)
		return; /* an idle one that died is found by held_verify() */
	n = recv(c->fd, &byte, 1, 0);
	if (n == -1 && errno == EAGAIN)
		return;
	if (n != 1) {
		held_fail(r, c, n == 0 ? TALLY_EOF : errno);
		return;
	}
	c->state = HELD_IDLE;
	r->h->opened++;
	r->under_way--;
	r->progress_ns = clock_ns();
}

static void held_open(struct held_run *r)
{
	struct epoll_event e[256];
	uint64_t start = clock_ns(), now = start;
	uint64_t end = start + HELD_OPEN_S * CLOCK_S + r->h->wanted * CLOCK_MS;
	int i, n;

	r->progress_ns = start;
	while (r->h->opened < r->h->wanted) {
		while (r->under_way < HELD_FLIGHTS && r->begun < r->h->wanted)
			held_start(r, &r->conn[r->begun]);
		if (r->under_way == 0 || r->h->errors.total > HELD_ERRORS)
			break;
		n = epoll_wait(r->epoll, e, 256, 100);
		for (i = 0; i < n; i++)
			held_event(r, e[i].data.ptr);
		now = clock_ns();
		if (now > end || now - r->progress_ns > HELD_PROGRESS_S * CLOCK_S) {
			tally_add(&r->h->errors, TALLY_TIMEOUT);
			break;
		}
	}
	r->h->open_s = (double)(clock_ns() - start) / (double)CLOCK_S;
}

/* Every idle connection must still carry a byte each way. */
static void held_verify(struct held_run *r)
{
	uint64_t limit = clock_ns() + HELD_PROGRESS_S * CLOCK_S;
	unsigned i, first = 0;
	char byte;

	while (first < r->begun) {
		unsigned end = first + HELD_FLIGHTS < r->begun ? first + HELD_FLIGHTS : r->begun;

		for (i = first; i < end; i++)
			if (r->conn[i].state == HELD_IDLE &&
				send(r->conn[i].fd, "v", 1, MSG_NOSIGNAL) != 1)
				r->conn[i].state = HELD_NONE;
		for (i = first; i < end; i++) {
			if (r->conn[i].state != HELD_IDLE)
				continue;
			while (recv(r->conn[i].fd, &byte, 1, 0) == -1 && errno == EAGAIN &&
				clock_ns() < limit)
				usleep(20);
			if (clock_ns() >= limit)
				return;
			/* The byte is read; a second read must wait, not end or fail. */
			if (byte == 'v' && recv(r->conn[i].fd, &byte, 1, 0) == -1 &&
				errno == EAGAIN)
				r->h->alive++;
		}
		first = end;
		limit = clock_ns() + HELD_PROGRESS_S * CLOCK_S;
	}
}

static void held_phase(const struct held *h, const struct option_set *o, const char *name)
{
	struct json j = {.out = stdout};
	char line[64];

	if (!o->sync)
		return;
	json_open(&j, NULL);
	json_string(&j, "phase", name);
	json_count(&j, "held", h->opened);
	json_end(&j);
	if (!fgets(line, sizeof(line), stdin))
		fputs("load: held: standard input ended, going on\n", stderr);
}

static void held_judge(struct held *h)
{
	if (h->opened < h->wanted)
		snprintf(h->reason, sizeof(h->reason), "stopped at %u of %u held after %.1f s: %s",
			h->opened, h->wanted, h->open_s, tally_worst(&h->errors));
	else if (h->alive < h->opened)
		snprintf(h->reason, sizeof(h->reason), "%u of %u held connections were dead",
			h->opened - h->alive, h->opened);
	else if (h->trip.reason[0])
		snprintf(h->reason, sizeof(h->reason), "%s", h->trip.reason);
	else if (h->rate.reason[0])
		snprintf(h->reason, sizeof(h->reason), "%s", h->rate.reason);
	else if (h->bulk_too && h->up.reason[0])
		snprintf(h->reason, sizeof(h->reason), "%s", h->up.reason);
	else if (h->bulk_too && h->down.reason[0])
		snprintf(h->reason, sizeof(h->reason), "%s", h->down.reason);
}

static void held_load(struct held *h, const struct option_set *o)
{
	trip_measure(&h->trip, o);
	rate_measure(&h->rate, o);
	if (!o->bulk_too)
		return;
	bulk_measure(&h->up, o, true);
	bulk_measure(&h->down, o, false);
}

void held_measure(struct held *h, const struct option_set *o)
{
	struct held_run r = {.h = h, .o = o, .epoll = epoll_create1(EPOLL_CLOEXEC)};
	unsigned i, files = net_raise_files();

	memset(h, 0, sizeof(*h));
	h->wanted = o->held;
	h->bulk_too = o->bulk_too;
	r.conn = calloc(o->held + 1, sizeof(*r.conn));
	if (!r.conn || r.epoll == -1 || o->held + HELD_SPARE_FILES > files) {
		snprintf(h->reason, sizeof(h->reason),
			"cannot hold %u connections with %u open files", o->held, files);
		free(r.conn);
		return;
	}
	held_phase(h, o, "ready");
	held_open(&r);
	held_phase(h, o, "held");
	if (h->opened == h->wanted) {
		held_load(h, o);
		held_verify(&r);
	}
	held_judge(h);
	for (i = 0; i < r.begun; i++)
		if (r.conn[i].fd >= 0)
			close(r.conn[i].fd);
	close(r.epoll);
	free(r.conn);
}

void held_report(const struct held *h, struct json *j)
{
	json_flag(j, "ok", !h->reason[0]);
	json_string(j, "reason", h->reason);
	json_count(j, "wanted", h->wanted);
	json_count(j, "opened", h->opened);
	json_count(j, "alive", h->alive);
	json_number(j, "open_s", h->open_s);
	json_open(j, "trip");
	trip_report(&h->trip, j);
	json_close(j);
	json_open(j, "rate");
	rate_report(&h->rate, j);
	json_close(j);
	if (h->bulk_too) {
		json_open(j, "up");
		bulk_report(&h->up, j);
		json_close(j);
		json_open(j, "down");
		bulk_report(&h->down, j);
		json_close(j);
	}
	tally_report(&h->errors, j);
}
