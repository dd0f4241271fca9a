/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_VIRTUAL_TIME_H
#define NSNET_SPEC_VIRTUAL_TIME_H

#include <ev.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* virtual_time - makes the spec's program believe that time has passed. Include it in one file.
 *
 * All clocks of the process, libev's included, run on by what advance() adds. So a spec of a
 * limit of seconds takes none, and asserts nothing about how fast the machine is.
 *
 * Time runs on meanwhile, as fast as the machine is slow; virtual_stopped is for a spec of what
 * must come before a time. A timer of 0 s is not due then.
 */
static double virtual_skew;
static bool virtual_stopped;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	static struct timespec stopped[16];
	int err = (int)syscall(SYS_clock_gettime, id, ts);

	if (virtual_stopped && id >= 0 && id < 16) {
		if (!stopped[id].tv_sec)
			stopped[id] = *ts;
		*ts = stopped[id];
	}
	if (err == 0) {
		double t = (double)ts->tv_nsec / 1e9 + virtual_skew;
		ts->tv_sec += (time_t)t;
		ts->tv_nsec = (long)((t - (double)(time_t)t) * 1e9);
	}
	return err;
}

/* Turns the loop while it finds something to do. Loopback sockets deliver without delay as
 * a rule, so this does what is due now; a spec that needs more uses run_until(). */
static inline void run_now(struct ev_loop *loop)
{
	for (int i = 0; i < 20; i++)
		ev_run(loop, EVRUN_NOWAIT);
}

static inline void advance(struct ev_loop *loop, double s)
{
	run_now(loop);
	virtual_skew += s;
	run_now(loop);
}

/* Turns the loop until @value is at least @least. False if that does not come true in 20 real
 * seconds, which only a bug can cause. Virtual time stands nearly still meanwhile. */
static inline bool run_until(struct ev_loop *loop, const volatile unsigned *value, unsigned least)
{
	for (int i = 0; i < 20000; i++) {
		for (int k = 0; k < 10 && *value < least; k++)
			ev_run(loop, EVRUN_NOWAIT);
		if (*value >= least)
			return true;
		poll(NULL, 0, 1);
		virtual_skew -= 0.001;
	}
	return false;
}

#endif
