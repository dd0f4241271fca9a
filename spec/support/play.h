/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_PLAY_H
#define NSNET_SPEC_PLAY_H

/* play - a process that plays the host: it starts a command in its namespace by
 * core/child.h, carries no packet, and exits as the command does.
 */

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/child.h"
#include "spec/support/stage.h"

#define PLAY_BOUND_S 60 /* a hang is a failure, not a wait */
#define PLAY_NOT_STARTED 71

/* What a played host did. */
struct outcome {
	int status;      /* exit status, or 128 + n */
	size_t len;      /* of out */
	char out[65536]; /* standard output and error of everybody, NUL-terminated */
};

static int play_status;

static inline void play_on_exit(void *arg, int status)
{
	(void)arg;
	play_status = status;
	ev_break(ev_default_loop(0), EVBREAK_ALL);
}

/* The host itself: returns what it exits with. */
static inline int play_host(const struct child_options *given, char *const *argv)
{
	struct child_options options = *given;
	struct inherit inherit;
	struct child child;
	int tun;

	inherit_init(&inherit);
	options.shim.argv = argv;
	options.shim.inherit = &inherit;
	options.on_exit = play_on_exit;
	if (!options.shim.path)
		options.shim.path = stage_program("container-shim");
	tun = child_start(&child, ev_default_loop(0), &options);
	if (tun < 0)
		return PLAY_NOT_STARTED;
	if (child_go(&child) < 0)
		return PLAY_NOT_STARTED;
	ev_run(ev_default_loop(0), 0);
	close(tun);
	return play_status;
}

static inline int play_exit_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Set while what is started is to have a process group of its own. */
static bool play_own_group __attribute__((unused));

/* Starts a host with its output in a pipe, whose reading end becomes *@output. */
static inline pid_t play_start(const struct child_options *options, char *const *argv, int *output)
{
	int pipe_fds[2];
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) == -1)
		stage_fail("pipe");
	fflush(NULL);
	pid = fork();
	if (pid == -1)
		stage_fail("fork");
	if (pid == 0) {
		alarm(PLAY_BOUND_S);
		if (play_own_group)
			setpgid(0, 0); /* before anything inside can signal its group */
		dup2(pipe_fds[1], STDOUT_FILENO);
		dup2(pipe_fds[1], STDERR_FILENO);
		_exit(play_host(options, argv));
	}
	close(pipe_fds[1]);
	*output = pipe_fds[0];
	return pid;
}

/* Reads until the writers have ended or the buffer is full. */
static inline void play_read(struct outcome *o, int fd)
{
	ssize_t n;

	o->len = 0;
	while ((n = read(fd, o->out + o->len, sizeof(o->out) - 1 - o->len)) > 0)
		o->len += n;
	o->out[o->len] = '\0';
}

static inline void play_wait(struct outcome *o, pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	o->status = play_exit_status(status);
}

static inline void play(struct outcome *o, const struct child_options *options, char *const *argv)
{
	int fd;
	pid_t pid = play_start(options, argv, &fd);

	play_read(o, fd);
	close(fd);
	play_wait(o, pid);
}

/* Runs @script by /bin/sh. */
static inline void play_script(struct outcome *o, const struct child_options *options,
	const char *script)
{
	char *const argv[] = {"/bin/sh", "-c", (char *)script, NULL};

	play(o, options, argv);
}

#endif
