/* SPDX-License-Identifier: MIT */
#include "datagram.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "net.h"
#include "pattern.h"

#define DATAGRAM_SILENCE_MS 50

struct datagram_head {
	uint64_t number, sent_ns;
};

struct datagram_run {
	struct datagram *d;
	int fd;
	unsigned size, under_way, window;
	uint64_t number;
	uint64_t epoch; /* first number after the last silence: older echoes release nothing */
	char out[PATTERN_CHUNK], in[PATTERN_CHUNK];
};

static int datagram_send(struct datagram_run *r)
{
	struct datagram_head h = {.number = r->number, .sent_ns = clock_ns()};

	memcpy(r->out, &h, sizeof(h));
	if (send(r->fd, r->out, r->size, 0) == -1)
		return -errno;
	r->number++;
	r->under_way++;
	return 0;
}

/* One echo, or one silence. */
static int datagram_step(struct datagram_run *r)
{
	struct datagram_head h;
	ssize_t n = recv(r->fd, r->in, sizeof(r->in), 0);

	if (n == -1 && errno == EAGAIN) {
		r->d->lost += r->under_way;
		r->under_way = 0;
		r->epoch = r->number;
	} else if (n == -1) {
		return -errno;
	} else if (n != (ssize_t)r->size ||
		memcmp(r->in + sizeof(h), r->out + sizeof(h), r->size - sizeof(h)) != 0) {
		r->d->garbled++;
	} else {
		memcpy(&h, r->in, sizeof(h));
		hist_add(&r->d->hist, clock_ns() - h.sent_ns);
		if (h.number >= r->epoch && r->under_way)
			r->under_way--;
	}
	while (r->under_way < r->window) {
		int err = datagram_send(r);

		if (err)
			return err;
	}
	return 0;
}

static int datagram_loop(struct datagram_run *r, uint64_t end)
{
	int err = 0;

	while (!err && r->under_way < r->window)
		err = datagram_send(r);
	while (!err && clock_ns() < end)
		err = datagram_step(r);
	return err;
}

void datagram_measure(struct datagram *d, const struct option_set *o)
{
	static struct datagram_run r;
	double cpu = clock_machine_cpu_s();
	uint64_t start = clock_ns();
	int err;

	memset(d, 0, sizeof(*d));
	r = (struct datagram_run){.d = d, .window = o->window, .size = o->size};
	if (r.size < sizeof(struct datagram_head))
		r.size = sizeof(struct datagram_head);
	memcpy(r.out, pattern_at(0), sizeof(r.out));
	r.fd = net_datagram_connect(o, DATAGRAM_SILENCE_MS);
	err = r.fd < 0 ? r.fd : datagram_loop(&r, start + (uint64_t)(o->seconds * (double)CLOCK_S));
	if (r.fd >= 0)
		close(r.fd);
	d->seconds = (double)(clock_ns() - start) / (double)CLOCK_S;
	d->cpu_s = clock_machine_cpu_s() - cpu;
	if (err)
		snprintf(d->reason, sizeof(d->reason), "datagram %llu: %s",
			(unsigned long long)r.number, strerror(-err));
	else if (d->hist.count == 0)
		snprintf(d->reason, sizeof(d->reason), "no echo came");
	else if (d->garbled)
		snprintf(d->reason, sizeof(d->reason), "%llu echoes had wrong bytes",
			(unsigned long long)d->garbled);
}

void datagram_report(const struct datagram *d, struct json *j)
{
	json_flag(j, "ok", !d->reason[0]);
	json_string(j, "reason", d->reason);
	json_count(j, "count", d->hist.count);
	json_count(j, "lost", d->lost);
	json_number(j, "seconds", d->seconds);
	json_number(j, "per_s", d->seconds > 0 ? (double)d->hist.count / d->seconds : 0);
	json_number(j, "p50_us", (double)hist_quantile(&d->hist, 0.50) / 1e3);
	json_number(j, "p99_us", (double)hist_quantile(&d->hist, 0.99) / 1e3);
	json_number(j, "cpu_s", d->cpu_s);
}
