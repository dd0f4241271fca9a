/* SPDX-License-Identifier: MIT */
#ifndef NSNET_TENANT_H
#define NSNET_TENANT_H

#include <ev.h>
#include <stdbool.h>
#include <sys/types.h>

#include "shim.h"

/* tenant - the process that uses the network of a program which embeds us: one of its own that
 * is started, or one that is there. What child and attach are to nsnet-host, without a terminal and
 * without a signal handler.
 *
 * Embedded; zeroed is none. tenant_spawn() or tenant_attach() make the namespace's device,
 * tenant_go() says that somebody serves it, the callback tells once that the process has ended.
 */

/* @status as of waitpid(2), or -1: unknown. From the loop; the tenant may be stopped there. */
typedef void tenant_end_fn(void *arg, int status);

struct tenant {
	struct ev_loop *loop; /* NULL: none */
	struct shim shim;
	pid_t pid;
	int pidfd; /* owned, -1 = none */
	bool ours; /* our own child */
	ev_io end;
	ev_child child; /* instead, on the default loop, which waits for every child */
	tenant_end_fn *on_end;
	void *arg;
};

/* Both return the device, which the caller owns, or a negative errno after a message. */
int tenant_spawn(struct tenant *t, struct ev_loop *loop, const struct shim_options *shim);
/* @shim: without argv and join_*. */
int tenant_attach(struct tenant *t, struct ev_loop *loop, const struct shim_options *shim,
	pid_t pid);

/* 0 or negative errno, and then nothing runs. */
int tenant_go(struct tenant *t, tenant_end_fn *on_end, void *arg);

/* Ends the watching without a callback. A process that was not told to go never runs. */
void tenant_stop(struct tenant *t);

#endif
