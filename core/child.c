/* SPDX-License-Identifier: MIT */

/* Lingering. A process whose parent ends is adopted by the nearest ancestor
 * that is a subreaper (prctl(2)), and no process can leave that line. So with
 * --linger this process becomes one before it starts the command: every
 * process that the command ever leaves behind is then a child of ours, and
 * "no child left" means that nobody is left inside.
 */
#include "child.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base.h"
#include "log.h"
#include "preflight.h"

#define START_WAIT_MS 10000

static int exit_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool have_children(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

static void finish(struct child *c)
{
	child_stop(c);
	c->on_exit(c->arg, c->status); /* last: @c may be gone */
}

static void command_event(struct child *c, int status)
{
	if (WIFSTOPPED(status)) {
		terminal_stopped(&c->terminal, WSTOPSIG(status));
		return;
	}
	if (!WIFEXITED(status) && !WIFSIGNALED(status))
		return;
	c->pid = -1;
	c->status = exit_status(status);
	terminal_forget_child(&c->terminal);
}

static void child_on_event(struct ev_loop *loop, ev_child *w, int revents)
{
	struct child *c = container_of(w, struct child, event);

	UNUSED(loop);
	UNUSED(revents);
	if (w->rpid == c->pid)
		command_event(c, w->rstatus);
	if (c->pid == -1 && !(c->linger && have_children()))
		finish(c); /* last: @c may be gone */
}

/* While only leftovers of the command are waited for, a signal that ends a
 * program ends the wait. */
static bool child_on_signal(void *arg, int signo)
{
	struct child *c = arg;

	if (c->on_signal && c->on_signal(c->arg, signo))
		return true;
	if (c->pid != -1)
		return false;
	if (signo == SIGINT || signo == SIGTERM || signo == SIGQUIT || signo == SIGHUP)
		finish(c);
	return true; /* last: @c may be gone */
}

int child_start(struct child *c, struct ev_loop *loop, const struct child_options *options)
{
	struct shim_failure failure;
	int err;

	assert(ev_is_default_loop(loop));
	*c = (struct child){
		.loop = loop,
		.pid = -1,
		.linger = options->linger,
		.on_exit = options->on_exit,
		.on_signal = options->on_signal,
		.arg = options->arg,
		.shim = {.pid = -1, .socket = -1, .tun = -1, .diag = -1},
		.terminal = {.fd = -1, .tty = -1},
	};
	if (c->linger && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == -1) {
		err = -errno;
		log_error("cannot wait for the command's descendants (--linger): %s",
			strerror(-err));
		return err;
	}
	err = shim_start(&c->shim, &options->shim, START_WAIT_MS, &failure);
	if (err) {
		preflight_explain(&failure);
		return err;
	}
	c->pid = c->shim.pid;
	return c->shim.tun;
}

int child_take_diag(struct child *c)
{
	int fd = c->shim.diag;

	c->shim.diag = -1;
	return fd == -1 ? -ENOENT : fd;
}

const struct hello *child_hello(const struct child *c)
{
	return &c->shim.hello;
}

int child_go(struct child *c)
{
	int err = terminal_start(&c->terminal, c->loop, c->pid, child_on_signal, c);

	if (!err)
		err = shim_go(&c->shim);
	if (err) {
		log_error("cannot let the command run: %s", strerror(-err));
		child_stop(c);
		return err;
	}
	c->going = true;
	/* 0: any child, those that we adopt too. */
	ev_child_init(&c->event, child_on_event, c->linger ? 0 : c->pid, 1);
	ev_child_start(c->loop, &c->event);
	return 0;
}

void child_stop(struct child *c)
{
	if (c->going)
		ev_child_stop(c->loop, &c->event);
	else
		shim_abort(&c->shim);
	c->going = false;
	terminal_stop(&c->terminal);
	if (c->shim.diag != -1)
		close(c->shim.diag);
	c->shim.diag = -1;
}
