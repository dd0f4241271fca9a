/* SPDX-License-Identifier: MIT */
#ifndef NSNET_THREAD_H
#define NSNET_THREAD_H

#include <ev.h>
#include <pthread.h>
#include <stdbool.h>

/* thread - a loop on a thread of its own, and a way to have something done there.
 *
 * Embedded; does not move. All signals but the few that a fault or the budget of Lua raises are
 * blocked on it. */
struct thread {
	pthread_t id;
	struct ev_loop *loop; /* owned */
	ev_async wake;
	pthread_mutex_t calls; /* held by who calls, to the end */
	pthread_mutex_t lock;  /* of all below */
	pthread_cond_t done;
	int (*fn)(void *arg); /* to be run; NULL: nothing */
	void *arg;
	int result;
	bool quit;
};

/* 0 or negative errno. */
int thread_start(struct thread *t);

/* Runs @fn there and returns what it returns; at once, if this is the thread. */
int thread_call(struct thread *t, int (*fn)(void *arg), void *arg);

bool thread_is_self(const struct thread *t);

/* Ends the loop and frees it. Not on the thread itself. */
void thread_stop(struct thread *t);

#endif
