/* SPDX-License-Identifier: MIT */

/* load - the benchmark's load generator: one mode per run, one line of JSON on stdout.
 *
 * Every mode is bounded in time by itself; --limit bounds the whole run once more by an alarm, so
 * that a peer that hangs still leaves a line with the reason. Exit status: 0 the measurement went
 * well, 1 it failed (the line says why), 2 wrong usage, 3 the limit ended it.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "behind.h"
#include "bulk.h"
#include "datagram.h"
#include "held.h"
#include "option.h"
#include "pattern.h"
#include "rate.h"
#include "server.h"
#include "spawn.h"
#include "trip.h"

static const struct option_set *load_options;

static void load_on_alarm(int sig)
{
	static const char text[] = "{\"ok\":false,\"reason\":\"no end within the time limit\"}\n";

	(void)sig;
	(void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
	_exit(3);
}

static void load_set_limit(double seconds)
{
	struct itimerval t = {0};

	t.it_value.tv_sec = (time_t)seconds;
	t.it_value.tv_usec = (suseconds_t)((seconds - (double)t.it_value.tv_sec) * 1e6);
	signal(SIGALRM, load_on_alarm);
	setitimer(ITIMER_REAL, &t, NULL);
}

static int load_bulk(struct json *j)
{
	static struct bulk b;

	bulk_measure(&b, load_options, load_options->up);
	json_string(j, "way", load_options->up ? "up" : "down");
	json_count(j, "streams", load_options->streams);
	json_flag(j, "verified", load_options->verify);
	bulk_report(&b, j);
	return !!b.reason[0];
}

static int load_rate(struct json *j)
{
	static struct rate r;

	rate_measure(&r, load_options);
	json_count(j, "flights", load_options->flights);
	rate_report(&r, j);
	return !!r.reason[0];
}

static int load_trip(struct json *j)
{
	static struct trip t;

	trip_measure(&t, load_options);
	trip_report(&t, j);
	return !!t.reason[0];
}

static int load_datagram(struct json *j)
{
	static struct datagram d;

	datagram_measure(&d, load_options);
	json_count(j, "window", load_options->window);
	datagram_report(&d, j);
	return !!d.reason[0];
}

static int load_held(struct json *j)
{
	static struct held h;

	held_measure(&h, load_options);
	held_report(&h, j);
	return !!h.reason[0];
}

static int load_spawn(struct json *j)
{
	static struct spawn s;

	spawn_measure(&s, load_options);
	spawn_report(&s, j);
	return !!s.reason[0];
}

static const struct {
	const char *name;
	int (*run)(struct json *j);
} load_modes[] = {
	{"bulk", load_bulk},
	{"rate", load_rate},
	{"trip", load_trip},
	{"datagram", load_datagram},
	{"held", load_held},
	{"spawn", load_spawn},
};

static int load_client(const struct option_set *o)
{
	struct json j = {.out = stdout};
	FILE *whole;
	char *line = NULL;
	size_t len, i;
	int status;

	for (i = 0; i < sizeof(load_modes) / sizeof(load_modes[0]); i++)
		if (strcmp(load_modes[i].name, o->mode) == 0)
			break;
	if (i == sizeof(load_modes) / sizeof(load_modes[0])) {
		option_usage();
		return 2;
	}
	/* Into memory first: the alarm's line must not end half of this one. */
	whole = open_memstream(&line, &len);
	if (!whole) {
		perror("load");
		return 1;
	}
	j.out = whole;
	json_open(&j, NULL);
	json_string(&j, "mode", o->mode);
	status = load_modes[i].run(&j);
	json_end(&j);
	fclose(whole);
	fputs(line, stdout);
	fflush(stdout);
	return status;
}

int main(int argc, char **argv)
{
	static struct option_set o;

	if (option_parse(&o, argc, argv) < 0)
		return 2;
	load_options = &o;
	pattern_init();
	if (o.limit_s > 0)
		load_set_limit(o.limit_s);
	if (strcmp(o.mode, "server") == 0)
		return server_run(&o);
	if (strcmp(o.mode, "behind") == 0)
		return behind_run(&o);
	return load_client(&o);
}
