/* SPDX-License-Identifier: MIT */
#include "trip.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "net.h"
#include "pattern.h"
#include "wire.h"

#define TRIP_ANSWER_MS 2000
#define TRIP_WARM 200 /* round-trips before the first that counts */

static int trip_once(int fd, unsigned size, uint64_t n)
{
	static char buf[PATTERN_CHUNK];
	const void *data = pattern_at(n * size);
	int err;

	if (send(fd, data, size, MSG_NOSIGNAL) != (ssize_t)size)
		return -EIO;
	err = net_read_all(fd, buf, size);
	if (err)
		return err;
	return memcmp(buf, data, size) ? -EBADMSG : 0;
}

void trip_measure(struct trip *t, const struct option_set *o)
{
	struct wire_ask ask = {.magic = WIRE_MAGIC, .op = WIRE_ECHO};
	unsigned size = o->size ? o->size : 1;
	uint64_t now, before, end, n;
	int fd, err;

	memset(t, 0, sizeof(*t));
	fd = net_connect(o, 0, TRIP_ANSWER_MS);
	err = fd < 0 ? fd : net_ask(fd, &ask);
	for (n = 0; !err && n < TRIP_WARM; n++)
		err = trip_once(fd, size, n);
	now = clock_ns();
	end = now + (uint64_t)(o->seconds * (double)CLOCK_S);
	while (!err && now < end) {
		before = now;
		err = trip_once(fd, size, n++);
		now = clock_ns();
		if (!err)
			hist_add(&t->hist, now - before);
	}
	if (fd >= 0)
		close(fd);
	if (err)
		snprintf(t->reason, sizeof(t->reason), "round-trip %llu: %s", (unsigned long long)n,
			err == -EAGAIN ? "no answer within 2 s" : strerror(-err));
}

void trip_report(const struct trip *t, struct json *j)
{
	json_flag(j, "ok", !t->reason[0]);
	json_string(j, "reason", t->reason);
	json_count(j, "count", t->hist.count);
	json_number(j, "min_us", (double)t->hist.min / 1e3);
	json_number(j, "p50_us", (double)hist_quantile(&t->hist, 0.50) / 1e3);
	json_number(j, "p99_us", (double)hist_quantile(&t->hist, 0.99) / 1e3);
	json_number(j, "max_us", (double)t->hist.max / 1e3);
}
