/* SPDX-License-Identifier: MIT */
#ifndef NSNET_ATTACH_H
#define NSNET_ATTACH_H

#include <ev.h>
#include <limits.h>
#include <sys/types.h>

#include "shim.h"

/* attach - a network namespace that is there, of a process or as a file, instead of a command's.
 *
 * Embedded in the host. attach_start() makes the device in it, attach_go() says that somebody
 * serves it; the callback tells once that this is to end: the process has ended, the other end of
 * exit_fd was closed, or a signal (INT, TERM, HUP) asked for it. The device ends with its
 * descriptor, so the namespace is left without a network of ours.
 */
struct attach_options {
	struct shim_options shim; /* net4, net6, mtu, verbose, inherit; join_* if there is no pid */
	pid_t pid;                /* 0: shim.join_net and, or NULL, shim.join_user */
	int ready_fd, exit_fd;    /* taken; -1 = none */
	void (*on_end)(void *arg); /* from the loop, once */
	/* A signal: true if it was for somebody else. */
	bool (*on_signal)(void *arg, int signo);
	void *arg;
};

struct attach {
	struct ev_loop *loop;
	struct shim shim;
	struct attach_options o;
	int pidfd; /* owned, -1 = none */
	ev_io process, exit;
	ev_signal signals[3];
};

/* Returns the tun device, non-blocking, which the caller owns; or a negative errno after a message
 * with the remedy. */
int attach_start(struct attach *a, struct ev_loop *loop, const struct attach_options *o);

/* The network is there: tells ready_fd, and begins to look for the end. 0 or negative errno. */
int attach_go(struct attach *a);

/* Ends the looking without a callback; safe on a zeroed one. */
void attach_stop(struct attach *a);

#endif
