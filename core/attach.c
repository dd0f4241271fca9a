/* SPDX-License-Identifier: MIT */
#include "attach.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base.h"
#include "log.h"
#include "preflight.h"

#define START_WAIT_MS 10000

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

static void end(struct attach *a)
{
	attach_stop(a);
	a->o.on_end(a->o.arg); /* last: @a may be gone */
}

static void attach_on_process(struct ev_loop *loop, ev_io *w, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	end(container_of(w, struct attach, process));
}

static void attach_on_exit_fd(struct ev_loop *loop, ev_io *w, int revents)
{
	struct attach *a = container_of(w, struct attach, exit);
	char bytes[64];
	ssize_t n = read(w->fd, bytes, sizeof(bytes));

	UNUSED(loop);
	UNUSED(revents);
	if (n > 0 || (n == -1 && (errno == EAGAIN || errno == EINTR)))
		return; /* what is written there says nothing */
	end(a);         /* last: @a may be gone */
}

static void attach_on_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct attach *a = w->data;

	UNUSED(loop);
	UNUSED(revents);
	if (!a->o.on_signal(a->o.arg, w->signum))
		end(a); /* last: @a may be gone */
}

/* The process is held by a handle before its namespaces are named by its number. */
static int hold(struct attach *a, pid_t pid)
{
	a->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return a->pidfd == -1 ? -errno : 0;
}

static bool has_ended(const struct attach *a)
{
	struct pollfd p = {.fd = a->pidfd, .events = POLLIN};

	return a->pidfd != -1 && poll(&p, 1, 0) != 0;
}

int attach_start(struct attach *a, struct ev_loop *loop, const struct attach_options *o)
{
	struct shim_options shim = o->shim;
	struct shim_failure failure;
	char net[64], user[64];
	int rc = 0;

	*a = (struct attach){.loop = loop,
		.o = *o,
		.pidfd = -1,
		.shim = {.pid = -1, .socket = -1, .tun = -1, .diag = -1}};
	ev_init(&a->process, attach_on_process);
	ev_init(&a->exit, attach_on_exit_fd);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		ev_signal_init(&a->signals[i], attach_on_signal, signals[i]);
	/* They are not for the shim. */
	if (o->ready_fd >= 0 && fcntl(o->ready_fd, F_SETFD, FD_CLOEXEC) == -1) {
		log_error("--ready-fd %d: %s", o->ready_fd, strerror(errno));
		return -EBADF;
	}
	if (o->exit_fd >= 0 && fcntl(o->exit_fd, F_SETFD, FD_CLOEXEC) == -1) {
		log_error("--exit-fd %d: %s", o->exit_fd, strerror(errno));
		return -EBADF;
	}
	if (o->pid) {
		snprintf(net, sizeof(net), "/proc/%d/ns/net", (int)o->pid);
		snprintf(user, sizeof(user), "/proc/%d/ns/user", (int)o->pid);
		shim.join_net = net;
		shim.join_user = user;
		rc = hold(a, o->pid);
	}
	if (rc < 0) {
		log_error("--pid %d: %s", (int)o->pid, strerror(-rc));
		return rc;
	}
	rc = shim_start(&a->shim, &shim, START_WAIT_MS, &failure);
	if (rc < 0) {
		preflight_explain(&failure);
		return rc;
	}
	if (has_ended(a)) {
		log_error("--pid %d: it has ended", (int)o->pid);
		close(a->shim.tun);
		return -ESRCH;
	}
	return a->shim.tun;
}

int attach_go(struct attach *a)
{
	int rc = shim_go(&a->shim);

	if (rc < 0)
		return rc;
	/* It has nothing more to do. */
	while (waitpid(a->shim.pid, NULL, 0) == -1 && errno == EINTR)
		;
	a->shim.pid = -1;
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		a->signals[i].data = a;
		ev_signal_start(a->loop, &a->signals[i]);
	}
	if (a->pidfd != -1) {
		ev_io_set(&a->process, a->pidfd, EV_READ);
		ev_io_start(a->loop, &a->process);
	}
	if (a->o.exit_fd >= 0) {
		ev_io_set(&a->exit, a->o.exit_fd, EV_READ);
		ev_io_start(a->loop, &a->exit);
	}
	if (a->o.ready_fd >= 0) {
		/* Whoever is not there any more need not know. */
		if (write(a->o.ready_fd, "1", 1) == -1)
			log_info("--ready-fd %d: %s", a->o.ready_fd, strerror(errno));
		close(a->o.ready_fd);
		a->o.ready_fd = -1;
	}
	return 0;
}

void attach_stop(struct attach *a)
{
	if (!a->loop)
		return;
	ev_io_stop(a->loop, &a->process);
	ev_io_stop(a->loop, &a->exit);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		ev_signal_stop(a->loop, &a->signals[i]);
	shim_abort(&a->shim);
	if (a->shim.diag != -1)
		close(a->shim.diag);
	if (a->pidfd != -1)
		close(a->pidfd);
	a->shim.diag = a->pidfd = -1;
	a->loop = NULL;
}
