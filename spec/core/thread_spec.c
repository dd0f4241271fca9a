/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "core/thread.h"

static struct thread thread;

static int begin(void **state)
{
	(void)state;
	return thread_start(&thread);
}

static int end(void **state)
{
	(void)state;
	thread_stop(&thread);
	return 0;
}

static int note_thread(void *arg)
{
	*(pthread_t *)arg = pthread_self();
	return 7;
}

static void a_call_runs_there_and_brings_its_result(void **state)
{
	pthread_t where = pthread_self();

	(void)state;
	assert_false(thread_is_self(&thread));
	assert_int_equal(thread_call(&thread, note_thread, &where), 7);
	assert_false(pthread_equal(where, pthread_self()));
	assert_true(pthread_equal(where, thread.id));
}

static int call_again(void *arg)
{
	return thread_is_self(&thread) ? thread_call(&thread, note_thread, arg) : -1;
}

static void a_call_from_the_thread_itself_runs_at_once(void **state)
{
	pthread_t where = pthread_self();

	(void)state;
	assert_int_equal(thread_call(&thread, call_again, &where), 7);
	assert_true(pthread_equal(where, thread.id));
}

#define CALLERS 8
#define CALLS 500

static int add(void *arg)
{
	*(int *)arg += 1; /* no lock: all of them run on one thread */
	return *(int *)arg;
}

static void *caller(void *arg)
{
	int last = 0;

	for (int i = 0; i < CALLS; i++) {
		int now = thread_call(&thread, add, arg);

		if (now <= last)
			return "a call brought another one's result";
		last = now;
	}
	return NULL;
}

static void many_may_call_at_a_time(void **state)
{
	pthread_t who[CALLERS];
	int sum = 0;
	void *wrong;

	(void)state;
	for (int i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&who[i], NULL, caller, &sum), 0);
	for (int i = 0; i < CALLERS; i++) {
		pthread_join(who[i], &wrong);
		assert_null(wrong);
	}
	assert_int_equal(sum, CALLERS * CALLS);
}

static int get_mask(void *arg)
{
	return pthread_sigmask(SIG_SETMASK, NULL, arg);
}

static void signals_are_for_other_threads(void **state)
{
	sigset_t there, here;

	(void)state;
	thread_call(&thread, get_mask, &there);
	pthread_sigmask(SIG_SETMASK, NULL, &here);
	assert_true(sigismember(&there, SIGTERM));
	assert_true(sigismember(&there, SIGCHLD));
	assert_true(sigismember(&there, SIGPIPE));
	assert_false(sigismember(&there, SIGSEGV));
	assert_false(sigismember(&there, SIGVTALRM)); /* lua/budget.c */
	assert_false(sigismember(&here, SIGTERM));
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	(void)!write(*(int *)w->data, "x", 1);
}

static int start_timer(void *arg)
{
	ev_timer_start(thread.loop, arg);
	return 0;
}

static void the_loop_runs_between_calls(void **state)
{
	ev_timer timer;
	int pipes[2];
	char byte;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	ev_timer_init(&timer, on_timer, 0.001, 0);
	timer.data = &pipes[1];
	thread_call(&thread, start_timer, &timer);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	close(pipes[0]);
	close(pipes[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_call_runs_there_and_brings_its_result, begin,
			end),
		cmocka_unit_test_setup_teardown(a_call_from_the_thread_itself_runs_at_once, begin,
			end),
		cmocka_unit_test_setup_teardown(many_may_call_at_a_time, begin, end),
		cmocka_unit_test_setup_teardown(signals_are_for_other_threads, begin, end),
		cmocka_unit_test_setup_teardown(the_loop_runs_between_calls, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
