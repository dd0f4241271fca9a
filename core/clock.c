/* SPDX-License-Identifier: MIT */
#include "clock.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base.h"

/* libev has no door for a time of our own, and does not tell when its next timer is due. Both pass
 * through functions of the C library, which a program may define itself: the clock is read by
 * clock_gettime(), gettimeofday() and time(), and poll() is told how long there is
 * nothing to do.
 *
 * Unfrozen, clock_gettime() goes on to the C library's, which needs no system call; poll() is not
 * called where it would matter (ordinary loops use epoll). Both are weak: a program that is linked
 * with the same trick of its own, as some specs are, keeps its own.
 */
#define DOOR __attribute__((weak, visibility("default"))) /* libev's calls must find it */
#define BILLION 1000000000
#define START 1000 /* what the frozen monotonic clock shows at first: no zero for anybody */

typedef int gettime_fn(clockid_t id, struct timespec *ts);

static bool frozen;
static int64_t passed_ns;
static double wall_start;

static int64_t to_ns(double seconds)
{
	return (int64_t)(seconds * BILLION);
}

void clock_freeze(double wall)
{
	frozen = true;
	passed_ns = 0;
	wall_start = wall;
}

void clock_set(double wall)
{
	wall_start = wall - clock_passed();
}

double clock_passed(void)
{
	return (double)passed_ns / BILLION;
}

double clock_wall(void)
{
	return wall_start + clock_passed();
}

double clock_real(void)
{
	struct timespec ts = {0};

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / BILLION;
}

static int real_gettime(clockid_t id, struct timespec *ts)
{
	static gettime_fn *real;
	static bool looked;

	if (!looked) {
		*(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
		looked = true;
	}
	return real ? real(id, ts) : (int)syscall(SYS_clock_gettime, id, ts);
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
DOOR int clock_gettime(clockid_t id, struct timespec *ts)
{
	int64_t ns;

	if (!frozen || id == CLOCK_PROCESS_CPUTIME_ID || id == CLOCK_THREAD_CPUTIME_ID)
		return real_gettime(id, ts);
	/* A timer is due when the clock is behind its time, not at it: time must not stand
	 * altogether. */
	ns = ++passed_ns;
	if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
		ns += to_ns(wall_start);
	else
		ns += (int64_t)START * BILLION;
	ts->tv_sec = ns / BILLION;
	ts->tv_nsec = ns % BILLION;
	return 0;
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
DOOR time_t time(time_t *out)
{
	struct timespec ts = {0};

	clock_gettime(CLOCK_REALTIME, &ts);
	if (out)
		*out = ts.tv_sec;
	return ts.tv_sec;
}

/* How libev reads the wall clock. */
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
DOOR int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts = {0};

	UNUSED(zone);
	clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
DOOR int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	struct timespec ts = {timeout_ms / 1000, timeout_ms % 1000 * 1000000};
	static const struct timespec none;
	int rc;

	if (!frozen)
		return ppoll(fds, n, timeout_ms < 0 ? NULL : &ts, NULL);
	do {
		rc = ppoll(fds, n, &none, NULL);
	} while (rc == -1 && errno == EINTR);
	/* Nothing to do: what everybody waits for is due now. */
	if (rc == 0 && timeout_ms > 0)
		passed_ns += (int64_t)timeout_ms * 1000000;
	return rc;
}
