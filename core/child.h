/* SPDX-License-Identifier: MIT */
#ifndef NSNET_CHILD_H
#define NSNET_CHILD_H

#include <ev.h>
#include <stdbool.h>
#include <sys/types.h>

#include "shim.h"
#include "terminal.h"

/* child - the confined command, from its namespace to its exit status.
 *
 * Embedded in the host. child_start() makes the namespace, child_go() lets the
 * command run in it, the callback tells once that it has ended. The process
 * that container-shim was is the command: same pid, this process's own child.
 *
 * If this process dies, the command goes on without a network: it is not
 * killed, since it may have work to finish, and nothing is opened to it.
 */

/* The command has ended (and with linger every descendant of it): @status is
 * what this process is to exit with: the command's own, 128 + n for signal n,
 * 126 or 127 if it could not be run. Called once, from the loop. */
typedef void child_exit_fn(void *arg, int status);

struct child_options {
	struct shim_options shim;
	bool linger; /* wait for every process that the command leaves behind */
	child_exit_fn *on_exit;
	terminal_signal_fn *on_signal; /* may be NULL: every signal is passed on */
	void *arg;                     /* for both */
};

struct child {
	struct ev_loop *loop;
	struct shim shim;
	struct terminal terminal;
	ev_child event;
	pid_t pid;  /* of the command, -1 when it has ended */
	int status; /* then: what to exit with */
	bool linger;
	bool going; /* between child_go() and the end */
	child_exit_fn *on_exit;
	terminal_signal_fn *on_signal;
	void *arg;
};

/* Makes the namespace and leaves the shim waiting. @loop must be libev's
 * default loop, which alone can watch processes; @options are borrowed for the
 * call. Returns the tun device, non-blocking, which the caller owns; or -errno
 * after one message with the remedy. Takes milliseconds, ten seconds at most. */
int child_start(struct child *c, struct ev_loop *loop, const struct child_options *options);

/* The NETLINK_SOCK_DIAG socket of the namespace, which the caller then owns;
 * -ENOENT if there is none, or it was taken. */
int child_take_diag(struct child *c);

/* What the namespace got; valid after child_start(). */
const struct hello *child_hello(const struct child *c);

/* Runs the command. 0 or -errno, and then nothing runs. From here on the
 * signals listed in terminal.h are blocked in this process. */
int child_go(struct child *c);

/* Ends the watching without a callback. A command that has not been told to go
 * never runs; one that runs goes on, without a network once the tun device is
 * closed. May be called after the callback, or after child_start() failed. */
void child_stop(struct child *c);

#endif
