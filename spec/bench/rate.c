/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "rate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "net.h"
#include "pattern.h"
#include "wire.h"

#define RATE_ANSWER_S 2  /* limit of one exchange */
#define RATE_ERRORS 1000 /* then it is no measurement any more */
#define RATE_SWEEP_MS 200

struct rate_slot {
	int fd;
	bool asked;
	uint32_t got;
	uint64_t born_ns;
};

struct rate_run {
	struct rate *r;
	const struct option_set *o;
	int epoll;
	bool stop;
	unsigned busy, port;
	uint64_t end_ns;
	struct rate_slot *slot;
};

static void rate_start(struct rate_run *run, struct rate_slot *s)
{
	/* Edge-triggered for both directions: one epoll_ctl() for the connection's life. */
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = s};

	*s = (struct rate_slot){.fd = -1, .born_ns = clock_ns()};
	if (run->stop || s->born_ns >= run->end_ns)
		return;
	s->fd = net_connect_start(run->o, run->port++);
	if (s->fd < 0) {
		tally_add(&run->r->errors, -s->fd);
		s->fd = -1;
		/* Nothing would wake this slot again; with no socket left the run is over. */
		run->stop = run->stop || run->busy == 0 || run->r->errors.total > RATE_ERRORS;
		return;
	}
	run->busy++;
	if (epoll_ctl(run->epoll, EPOLL_CTL_ADD, s->fd, &e) == -1) {
		tally_add(&run->r->errors, errno);
		run->stop = true;
	}
}

static void rate_end(struct rate_run *run, struct rate_slot *s, int err)
{
	if (err) {
		tally_add(&run->r->errors, err);
		run->stop = run->stop || run->r->errors.total > RATE_ERRORS;
	} else {
		hist_add(&run->r->hist, clock_ns() - s->born_ns);
	}
	close(s->fd);
	run->busy--;
	rate_start(run, s);
}

static int rate_ask(struct rate_run *run, struct rate_slot *s)
{
	struct wire_ask ask = {.magic = WIRE_MAGIC,
		.op = WIRE_ANSWER,
		.flags = run->o->server_closes ? WIRE_SERVER_CLOSES : 0,
		.size = run->o->size};
	int err = net_connect_error(s->fd);

	s->asked = true;
	return err ? err : net_ask(s->fd, &ask);
}

static void rate_event(struct rate_run *run, struct rate_slot *s, uint32_t events)
{
	static char buf[PATTERN_CHUNK];
	ssize_t n;
	int err;

	if (s->fd < 0)
		return;
	if (!s->asked) {
		err = rate_ask(run, s);
		if (err) {
			rate_end(run, s, -err);
			return;
		}
		if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
			return;
	}
	for (;;) {
		n = recv(s->fd, buf, sizeof(buf), 0);
		if (n == -1 && errno == EAGAIN)
			return;
		if (n <= 0)
			break;
		s->got += (uint32_t)n;
		if (s->got < run->o->size)
			continue;
		if (run->o->server_closes && s->got == run->o->size)
			continue;
		rate_end(run, s,
			memcmp(buf + n - 1, (const char *)pattern_at(s->got - 1), 1) ? TALLY_GARBLED
										     : 0);
		return;
	}
	if (n == 0 && run->o->server_closes && s->got == run->o->size)
		rate_end(run, s, 0);
	else
		rate_end(run, s, n == 0 ? TALLY_EOF : errno);
}

static void rate_sweep(struct rate_run *run, uint64_t now)
{
	unsigned i;

	for (i = 0; i < run->o->flights; i++) {
		struct rate_slot *s = &run->slot[i];

		if (s->fd >= 0 && now - s->born_ns > RATE_ANSWER_S * CLOCK_S)
			rate_end(run, s, TALLY_TIMEOUT);
		else if (s->fd < 0)
			rate_start(run, s);
	}
}

static void rate_loop(struct rate_run *run)
{
	struct epoll_event e[256];
	uint64_t now = clock_ns(), sweep = now;
	uint64_t give_up = run->end_ns + (RATE_ANSWER_S + 1) * CLOCK_S;
	unsigned i;
	int n;

	for (i = 0; i < run->o->flights; i++)
		rate_start(run, &run->slot[i]);
	while (run->busy && now < give_up) {
		n = epoll_wait(run->epoll, e, 256, RATE_SWEEP_MS);
		for (i = 0; (int)i < n; i++)
			rate_event(run, e[i].data.ptr, e[i].events);
		now = clock_ns();
		if (now - sweep >= RATE_SWEEP_MS * CLOCK_MS) {
			rate_sweep(run, now);
			sweep = now;
		}
	}
}

void rate_measure(struct rate *r, const struct option_set *o)
{
	struct rate_run run = {.r = r, .o = o, .epoll = epoll_create1(EPOLL_CLOEXEC)};
	double cpu = clock_machine_cpu_s();
	uint64_t start = clock_ns();
	unsigned i;

	memset(r, 0, sizeof(*r));
	run.end_ns = start + (uint64_t)(o->seconds * (double)CLOCK_S);
	run.slot = calloc(o->flights, sizeof(*run.slot));
	if (!run.slot || run.epoll == -1) {
		snprintf(r->reason, sizeof(r->reason), "cannot start: %s", strerror(errno));
		free(run.slot);
		return;
	}
	rate_loop(&run);
	r->seconds = (double)(clock_ns() - start) / (double)CLOCK_S;
	r->cpu_s = clock_machine_cpu_s() - cpu;
	for (i = 0; i < o->flights; i++)
		if (run.slot[i].fd >= 0)
			close(run.slot[i].fd);
	close(run.epoll);
	free(run.slot);
	/* One failure in a hundred still leaves a rate worth showing; the count is shown too. */
	if (r->hist.count == 0 || r->errors.total * 100 > r->hist.count)
		snprintf(r->reason, sizeof(r->reason), "%llu of %llu exchanges failed: %s",
			(unsigned long long)r->errors.total,
			(unsigned long long)(r->errors.total + r->hist.count),
			r->errors.total ? tally_worst(&r->errors) : "none was begun");
}

void rate_report(const struct rate *r, struct json *j)
{
	json_flag(j, "ok", !r->reason[0]);
	json_string(j, "reason", r->reason);
	json_count(j, "count", r->hist.count);
	json_number(j, "seconds", r->seconds);
	json_number(j, "per_s", r->seconds > 0 ? (double)r->hist.count / r->seconds : 0);
	json_number(j, "p50_us", (double)hist_quantile(&r->hist, 0.50) / 1e3);
	json_number(j, "p90_us", (double)hist_quantile(&r->hist, 0.90) / 1e3);
	json_number(j, "p99_us", (double)hist_quantile(&r->hist, 0.99) / 1e3);
	json_number(j, "max_us", (double)r->hist.max / 1e3);
	json_number(j, "cpu_s", r->cpu_s);
	tally_report(&r->errors, j);
}
