/* SPDX-License-Identifier: MIT */
#include "tenant.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base.h"
#include "log.h"
#include "preflight.h"

#define START_WAIT_MS 10000

static void stop_watching(struct tenant *t)
{
	ev_io_stop(t->loop, &t->end);
	if (ev_is_active(&t->child))
		ev_child_stop(t->loop, &t->child);
}

static void end(struct tenant *t, int status)
{
	stop_watching(t);
	t->on_end(t->arg, status); /* last: @t may be gone */
}

static void tenant_on_end(struct ev_loop *loop, ev_io *w, int revents)
{
	struct tenant *t = container_of(w, struct tenant, end);
	int status = -1;

	UNUSED(loop);
	UNUSED(revents);
	/* Somebody who waits for every child may have been quicker. */
	if (t->ours && waitpid(t->pid, &status, WNOHANG) != t->pid)
		status = -1;
	end(t, status); /* last: @t may be gone */
}

static void tenant_on_child(struct ev_loop *loop, ev_child *w, int revents)
{
	struct tenant *t = container_of(w, struct tenant, child);

	UNUSED(loop);
	UNUSED(revents);
	if (WIFEXITED(w->rstatus) || WIFSIGNALED(w->rstatus))
		end(t, w->rstatus); /* last: @t may be gone */
}

/* Before anything is named by the number, so that it stays the same process. */
static int hold(struct tenant *t, pid_t pid)
{
	t->pid = pid;
	t->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return t->pidfd == -1 ? -errno : 0;
}

static void begin(struct tenant *t, struct ev_loop *loop, bool ours)
{
	*t = (struct tenant){.loop = loop,
		.pidfd = -1,
		.ours = ours,
		.shim = {.pid = -1, .socket = -1, .tun = -1, .diag = -1}};
	ev_init(&t->end, tenant_on_end);
	ev_init(&t->child, tenant_on_child);
}

static int start(struct tenant *t, const struct shim_options *shim)
{
	struct shim_failure failure;
	int rc = shim_start(&t->shim, shim, START_WAIT_MS, &failure);

	if (rc < 0) {
		preflight_explain(&failure);
		tenant_stop(t);
	}
	return rc;
}

/* What shim_start() gave goes back. */
static int give_up(struct tenant *t, int error, const char *what)
{
	log_error("cannot watch %s: %s", what, strerror(-error));
	close(t->shim.tun);
	tenant_stop(t);
	return error;
}

int tenant_spawn(struct tenant *t, struct ev_loop *loop, const struct shim_options *shim)
{
	int rc;

	begin(t, loop, true);
	rc = start(t, shim);
	if (rc < 0)
		return rc;
	rc = hold(t, t->shim.pid);
	return rc < 0 ? give_up(t, rc, "the command") : t->shim.tun;
}

int tenant_attach(struct tenant *t, struct ev_loop *loop, const struct shim_options *shim,
	pid_t pid)
{
	struct shim_options join = *shim;
	char net[64], user[64];
	int rc;

	begin(t, loop, false);
	rc = hold(t, pid);
	if (rc < 0) {
		log_error("process %d: %s", (int)pid, strerror(-rc));
		tenant_stop(t);
		return rc;
	}
	snprintf(net, sizeof(net), "/proc/%d/ns/net", (int)pid);
	snprintf(user, sizeof(user), "/proc/%d/ns/user", (int)pid);
	join.join_net = net;
	join.join_user = user;
	rc = start(t, &join);
	if (rc < 0)
		return rc;
	/* Was it this one whose namespaces were joined? */
	if (syscall(SYS_pidfd_send_signal, t->pidfd, 0, NULL, 0) == -1 && errno == ESRCH)
		return give_up(t, -ESRCH, "that process");
	return t->shim.tun;
}

int tenant_go(struct tenant *t, tenant_end_fn *on_end, void *arg)
{
	int rc = shim_go(&t->shim);

	if (rc < 0) {
		log_error("cannot let the command run: %s", strerror(-rc));
		return rc;
	}
	t->on_end = on_end;
	t->arg = arg;
	if (!t->ours) /* the shim has nothing more to do */
		while (waitpid(t->shim.pid, NULL, 0) == -1 && errno == EINTR)
			;
	t->shim.pid = -1;
	if (t->ours && ev_is_default_loop(t->loop)) {
		ev_child_set(&t->child, t->pid, 0);
		ev_child_start(t->loop, &t->child);
	} else {
		ev_io_set(&t->end, t->pidfd, EV_READ);
		ev_io_start(t->loop, &t->end);
	}
	return 0;
}

void tenant_stop(struct tenant *t)
{
	if (!t->loop)
		return;
	stop_watching(t);
	shim_abort(&t->shim);
	if (t->shim.diag != -1)
		close(t->shim.diag);
	if (t->pidfd != -1)
		close(t->pidfd);
	t->shim.diag = t->pidfd = -1;
	t->loop = NULL;
}
