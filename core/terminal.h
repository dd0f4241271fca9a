/* SPDX-License-Identifier: MIT */
#ifndef NSNET_TERMINAL_H
#define NSNET_TERMINAL_H

#include <ev.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* terminal - the signals of a terminal, a shell or a supervisor, passed on to
 * the command, and the command's stops taken over.
 *
 * Embedded in child. Host and command share a process group, see terminal.c.
 * While a terminal is started, the signals it passes on are blocked in this
 * process and read from a signalfd(2); SIGALRM, SIGVTALRM, SIGPROF, SIGRTMIN
 * and the signals of faults are left alone.
 */

/* A signal other than a stop, a continuation or a change of size is here.
 * Returns true if the host keeps it for itself. A SIGHUP that comes from the
 * kernel (the terminal is gone) is not offered. */
typedef bool terminal_signal_fn(void *arg, int signo);

struct terminal {
	struct ev_loop *loop;
	ev_io io;
	int fd;  /* owned: signalfd */
	int tty; /* owned: the controlling terminal, or -1 */
	pid_t child;
	unsigned long namespace; /* inode of the child's network namespace, or 0 */
	int stop_signal;         /* that we got ourselves since the last SIGCONT, or 0 */
	terminal_signal_fn *on_signal;
	void *arg;
};

/* Begins to pass signals on to @child, which has its namespaces. 0 or -errno. */
int terminal_start(struct terminal *t, struct ev_loop *loop, pid_t child,
	terminal_signal_fn *on_signal, void *arg);

/* The child was stopped by @signo: stops this process too, if whoever will
 * continue it is our parent. Returns when it was continued. */
void terminal_stopped(struct terminal *t, int signo);

/* There is no child any more; signals are offered to on_signal, no more. */
void terminal_forget_child(struct terminal *t);

/* Leaves the signals blocked: the process is about to end, in order. */
void terminal_stop(struct terminal *t);

#endif
