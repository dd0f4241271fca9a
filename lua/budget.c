/* SPDX-License-Identifier: MIT */
#include "lua/budget.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>

#include "core/log.h"

/* A build for valgrind, which takes so many times as long for the same. */
#ifdef NSNET_SLOW_CPU
#define SLOW_CPU NSNET_SLOW_CPU
#else
#define SLOW_CPU 1
#endif

/* The handler runs on the thread it interrupts, so plain order in the program is enough; the
 * fences keep the compiler from changing it. */
static lua_State *volatile running; /* NULL = not in Lua */
static volatile unsigned epoch;     /* counts entries */
static volatile unsigned limit;     /* ticks allowed for this entry */
static volatile unsigned seen, ticks;
static unsigned tick_ms = BUDGET_TICK_MS;
static volatile unsigned last_ms = BUDGET_LAST_MS;
static const char *volatile called; /* for the last message */
static volatile bool armed;
static volatile bool preempted;
static char place[LUA_IDSIZE + 16]; /* of the code that was first stopped */

static timer_t timer;
static unsigned users;

/* Runs between two instructions of the code to be ended. It stays armed at every instruction,
 * so that a script's own pcall or an outer coroutine dies at its next one. */
static void budget_kill(lua_State *L, lua_Debug *ar)
{
	if (!preempted) {
		preempted = true;
		place[0] = 0;
		for (int level = 0; !place[0] && lua_getstack(L, level, ar); level++) {
			if (lua_getinfo(L, "Sl", ar) && ar->currentline > 0 &&
				strncmp(ar->source, "=nsnet.", 7) != 0)
				snprintf(place, sizeof(place), "%s:%d", ar->short_src,
					ar->currentline);
		}
	}
	if (lua_isyieldable(L))
		lua_yield(L, 0);
	else
		luaL_error(L, "CPU budget exceeded");
}

/* Only what a signal handler may do. */
static void budget_last(void)
{
	const char *const parts[] = {
		"nsnet-host: Lua is stuck in a function that cannot be stopped, "
		"called in ",
		called, "; ending\n"};
	log_rescue();
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (write(STDERR_FILENO, parts[i], strlen(parts[i])) == -1)
			break;
	}
	_exit(70);
}

static void budget_tick(int sig)
{
	(void)sig;
	lua_State *L = running;
	if (!L)
		return;
	if (seen != epoch) {
		seen = epoch;
		ticks = 0;
	}
	if (++ticks <= limit)
		return;
	if (ticks * tick_ms > last_ms)
		budget_last();
	/* What the stock interpreter does on Ctrl-C: the one lua_ function for handlers. */
	armed = true;
	lua_sethook(L, budget_kill, LUA_MASKCOUNT, 1);
}

/* The kernel looks at CPU timers when its own clock ticks. A timer that is faster would count less
 * than went by; what it has missed (timer_getoverrun(2)) may have been stolen by a hypervisor. */
static unsigned tick_length(void)
{
	struct timespec res;
	if (clock_getres(CLOCK_REALTIME_COARSE, &res) == -1)
		return BUDGET_TICK_MS;
	const unsigned kernel_ms = (unsigned)(res.tv_nsec / 1000000);
	return kernel_ms > BUDGET_TICK_MS ? kernel_ms : BUDGET_TICK_MS;
}

int budget_start(void)
{
	if (users++)
		return 0;
	tick_ms = tick_length();
	struct sigaction sa = {.sa_handler = budget_tick, .sa_flags = SA_RESTART};
	sigemptyset(&sa.sa_mask);
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGVTALRM};
	ev._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	const long ns = tick_ms * 1000000L * SLOW_CPU;
	struct itimerspec every = {.it_interval.tv_nsec = ns, .it_value.tv_nsec = ns};
	if (sigaction(SIGVTALRM, &sa, NULL) == -1)
		goto fail;
	if (timer_create(CLOCK_THREAD_CPUTIME_ID, &ev, &timer) == -1)
		goto fail;
	if (timer_settime(timer, 0, &every, NULL) == -1) {
		timer_delete(timer);
		goto fail;
	}
	return 0;
fail:
	users--;
	return -errno;
}

void budget_stop(void)
{
	if (!users || --users)
		return;
	timer_delete(timer);
	/* A tick may still be pending: it must not find the default action, which kills. */
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigaction(SIGVTALRM, &ignore, NULL);
}

void budget_set_last(unsigned ms)
{
	last_ms = ms;
}

bool budget_spent(void)
{
	return armed;
}

void budget_enter(lua_State *L, unsigned ms, const char *what)
{
	called = what;
	epoch++;
	limit = (ms + tick_ms - 1) / tick_ms;
	preempted = false;
	atomic_signal_fence(memory_order_seq_cst);
	running = L;
}

bool budget_leave(lua_State *L)
{
	running = NULL;
	atomic_signal_fence(memory_order_seq_cst);
	if (armed) {
		armed = false;
		lua_sethook(L, NULL, 0, 0);
	}
	return preempted;
}

unsigned budget_used_ms(void)
{
	return seen == epoch ? ticks * tick_ms : 0;
}

const char *budget_place(void)
{
	return place;
}
