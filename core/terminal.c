/* SPDX-License-Identifier: MIT */

/* Who gets a signal.
 *
 *      shell -- tcsetpgrp, killpg --> [ nsnet-host -- fork --> cmd ] less
 *                                        one process group, one job
 *
 * Host and command stay in the process group that the shell made. A group of
 * the command's own would take the terminal from the other members of a
 * pipeline (nsnet-host curl | less), and a shell could not stop or kill the job
 * as one. So:
 *
 *   sent by the terminal (si_code SI_KERNEL): Ctrl-C, Ctrl-Z, Ctrl-\, SIGWINCH
 *   and SIGHUP went to the whole group. The command has its own; we do nothing,
 *   unless it has left the group, then we pass it on.
 *
 *   sent by a process: we cannot tell kill(host) from killpg(group). We pass it
 *   on always, so a group's signal can come twice, as it does under timeout(1);
 *   the other choice would lose "nsnet-host cmd & kill $!" in a script.
 *
 *   sent from inside (a script's "kill 0"): the group has it, it is not for us.
 *
 * Stops. We never stop by ourselves: the terminal's SIGTSTP is read, not
 * obeyed, since the command may ignore it. When the command has stopped we stop
 * with the same signal, so that the shell sees a stopped job and takes the
 * terminal back; its SIGCONT reaches the group, and is passed on to a command
 * that has a group of its own (a shell that was suspended), after the terminal.
 * A command that somebody stops by hand, while its job is in the background, is that person's
 * to continue: nobody would continue us.
 */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base.h"

static const int passed_on[] = {
	SIGHUP,
	SIGINT,
	SIGQUIT,
	SIGTERM,
	SIGUSR1,
	SIGUSR2,
	SIGWINCH,
	SIGCONT,
	SIGTSTP,
	SIGTTIN,
};

static void passed_on_set(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < ARRAY_LEN(passed_on); i++)
		sigaddset(set, passed_on[i]);
	/* The first one is left to the process itself, for a timer. */
	for (int signo = SIGRTMIN + 1; signo <= SIGRTMAX; signo++)
		sigaddset(set, signo);
}

static bool is_stop(int signo)
{
	return signo == SIGTSTP || signo == SIGTTIN || signo == SIGTTOU;
}

/* A number of @pid's network namespace. Each has files of its own in /proc/PID/net, which unlike
 * /proc/PID/ns anybody may look at: so it works from inside the cage, too (landlock.h). */
static unsigned long namespace_of(pid_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/net/dev", (int)pid);
	return stat(path, &st) == -1 ? 0 : st.st_ino;
}

static bool sent_from_inside(const struct terminal *t, pid_t sender)
{
	if (sender <= 0)
		return false;
	if (sender == t->child)
		return true;
	return t->namespace && namespace_of(sender) == t->namespace;
}

static bool pending(int signo)
{
	sigset_t set;

	return sigpending(&set) == 0 && sigismember(&set, signo) == 1;
}

static bool shares_our_group(const struct terminal *t)
{
	return getpgid(t->child) == getpgrp();
}

/* Is the child stopped (proc(5), the state in stat)? */
static bool child_is_stopped(const struct terminal *t)
{
	char path[64], text[128] = "";
	const char *end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)t->child);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	/* "pid (name) T", and the name may hold anything. */
	end = n > 0 ? strrchr(text, ')') : NULL;
	return end && end[1] == ' ' && end[2] == 'T';
}

/* Does the child have this signal already, or is it not meant for it? */
static bool child_has_it(const struct terminal *t, const struct signalfd_siginfo *info)
{
	/* A terminal that hangs up tells the leader of its session, and the group only when that
	 * has ended, which would wait for the command: a leader passes it on. */
	if (info->ssi_signo == SIGHUP && info->ssi_code == SI_KERNEL && getsid(0) == getpid())
		return false;
	/* A shell's SIGCONT went to the group. A second one, late, would undo the
	 * stop that the user has typed in the meantime. */
	if (info->ssi_signo == SIGCONT && shares_our_group(t))
		return !child_is_stopped(t) || pending(SIGTSTP);
	if (info->ssi_code == SI_KERNEL)
		return shares_our_group(t);
	return sent_from_inside(t, info->ssi_pid);
}

static void handle(struct terminal *t, const struct signalfd_siginfo *info)
{
	int signo = info->ssi_signo;
	bool kernel = info->ssi_code == SI_KERNEL;

	if (signo == SIGCONT)
		t->stop_signal = 0;
	if (is_stop(signo)) {
		t->stop_signal = signo;
		if (t->child == -1) {
			/* Nobody is left to stop before us. */
			terminal_stopped(t, signo);
			return;
		}
	} else if (signo != SIGCONT && signo != SIGWINCH && !(signo == SIGHUP && kernel)) {
		if (!sent_from_inside(t, info->ssi_pid) && t->on_signal(t->arg, signo))
			return;
	}
	/* It may have ended by itself this moment: then there is nothing to tell. */
	if (t->child != -1 && !child_has_it(t, info))
		kill(t->child, signo);
}

static void terminal_on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct terminal *t = container_of(w, struct terminal, io);
	struct signalfd_siginfo info;

	UNUSED(loop);
	UNUSED(revents);
	/* on_signal may have ended us: then fd is -1. */
	while (t->fd != -1 && read(t->fd, &info, sizeof(info)) == sizeof(info))
		handle(t, &info);
}

int terminal_start(struct terminal *t, struct ev_loop *loop, pid_t child,
	terminal_signal_fn *on_signal, void *arg)
{
	sigset_t set;
	int err;

	*t = (struct terminal){
		.loop = loop,
		.fd = -1,
		.tty = -1,
		.child = child,
		.namespace = namespace_of(child),
		.on_signal = on_signal,
		.arg = arg,
	};
	passed_on_set(&set);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
		return -errno;
	t->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (t->fd == -1) {
		err = -errno;
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		return err;
	}
	t->tty = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	ev_io_init(&t->io, terminal_on_readable, t->fd, EV_READ);
	ev_io_start(loop, &t->io);
	return 0;
}

/* The process group that has the terminal, if it is ours or the child's own;
 * else -1. */
static pid_t foreground(const struct terminal *t)
{
	pid_t group = t->tty == -1 ? -1 : tcgetpgrp(t->tty);

	return group > 0 && (group == getpgrp() || group == getpgid(t->child)) ? group : -1;
}

void terminal_stopped(struct terminal *t, int signo)
{
	/* A program may stop itself for good (SIGSTOP) after it has put the terminal
	 * right. The kernel does not let SIGTSTP stop a process that nobody would
	 * continue (an orphaned group), which SIGSTOP does. */
	int stop = is_stop(signo) ? signo : SIGTSTP;
	pid_t front = foreground(t);
	struct sigaction old, fresh = {.sa_handler = SIG_DFL};
	sigset_t set;

	if (front == -1 && t->stop_signal != signo && !pending(signo))
		return;
	/* Continued in the meantime: it would be too late to stop. */
	if (pending(SIGCONT))
		return;
	sigaction(stop, &fresh, &old);
	sigemptyset(&set);
	sigaddset(&set, stop);
	raise(stop);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	/* Here we have been stopped, and continued. */
	if (stop != SIGTTOU)
		sigprocmask(SIG_BLOCK, &set, NULL);
	sigaction(stop, &old, NULL);
	t->stop_signal = 0;
	/* The shell has given the terminal to our group, the only one of this job
	 * that it knows; a shell inside wants it for its own. */
	if (front != -1 && front != getpgrp() && tcgetpgrp(t->tty) == getpgrp())
		tcsetpgrp(t->tty, front);
}

void terminal_forget_child(struct terminal *t)
{
	t->child = -1;
}

void terminal_stop(struct terminal *t)
{
	if (t->fd == -1)
		return;
	ev_io_stop(t->loop, &t->io);
	close(t->fd);
	t->fd = -1;
	if (t->tty != -1)
		close(t->tty);
	t->tty = -1;
}
