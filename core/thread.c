/* SPDX-License-Identifier: MIT */
#include "thread.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>

#include "base.h"

static void thread_on_wake(struct ev_loop *loop, ev_async *w, int revents)
{
	struct thread *t = container_of(w, struct thread, wake);
	int (*fn)(void *);
	int result;

	UNUSED(revents);
	pthread_mutex_lock(&t->lock);
	fn = t->fn;
	if (t->quit)
		ev_break(loop, EVBREAK_ALL);
	pthread_mutex_unlock(&t->lock);
	if (!fn)
		return;
	result = fn(t->arg); /* the caller waits: nobody changes it */
	pthread_mutex_lock(&t->lock);
	t->fn = NULL;
	t->result = result;
	pthread_cond_signal(&t->done);
	pthread_mutex_unlock(&t->lock);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	ev_run(t->loop, 0);
	return NULL;
}

/* Signals are for the program's own threads. Those of a fault are raised where it is, and the
 * timer of lua/budget.c is sent to the thread that Lua runs on. */
static int spawn(struct thread *t)
{
	static const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS,
		SIGPROF, SIGVTALRM};
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	for (size_t i = 0; i < ARRAY_LEN(open); i++)
		sigdelset(&all, open[i]);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&t->id, NULL, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

int thread_start(struct thread *t)
{
	int rc;

	*t = (struct thread){.loop = ev_loop_new(EVFLAG_AUTO)};
	if (!t->loop)
		return -ENOSYS;
	pthread_mutex_init(&t->calls, NULL);
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->done, NULL);
	ev_async_init(&t->wake, thread_on_wake);
	ev_async_start(t->loop, &t->wake);
	rc = spawn(t);
	if (rc < 0)
		ev_loop_destroy(t->loop);
	return rc;
}

bool thread_is_self(const struct thread *t)
{
	return pthread_equal(t->id, pthread_self());
}

int thread_call(struct thread *t, int (*fn)(void *arg), void *arg)
{
	int result;

	if (thread_is_self(t))
		return fn(arg);
	pthread_mutex_lock(&t->calls);
	pthread_mutex_lock(&t->lock);
	t->fn = fn;
	t->arg = arg;
	ev_async_send(t->loop, &t->wake);
	while (t->fn)
		pthread_cond_wait(&t->done, &t->lock);
	result = t->result;
	pthread_mutex_unlock(&t->lock);
	pthread_mutex_unlock(&t->calls);
	return result;
}

void thread_stop(struct thread *t)
{
	pthread_mutex_lock(&t->lock);
	t->quit = true;
	ev_async_send(t->loop, &t->wake);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->id, NULL);
	ev_loop_destroy(t->loop);
	pthread_cond_destroy(&t->done);
	pthread_mutex_destroy(&t->lock);
	pthread_mutex_destroy(&t->calls);
}
