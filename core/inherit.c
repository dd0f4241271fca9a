/* SPDX-License-Identifier: MIT */
#include "inherit.h"

#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

static void ignore(struct inherit *i, int signo)
{
	struct sigaction old;

	if (sigaction(signo, NULL, &old) == -1)
		return;
	if (old.sa_handler != SIG_IGN)
		sigaddset(&i->defaults, signo);
	signal(signo, SIG_IGN);
}

/* Else a socket or the tun could come to be standard error, and messages go into it. */
static void fill_standard(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		/* The lowest that is free is @fd: those below are taken. */
		if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", O_RDWR) != fd)
			return;
	}
}

void inherit_init(struct inherit *i)
{
	struct rlimit raised;

	fill_standard();
	sigprocmask(SIG_SETMASK, NULL, &i->mask);
	sigemptyset(&i->defaults);
	ignore(i, SIGPIPE);
	ignore(i, SIGTTOU);
	ignore(i, SIGXFSZ);
	if (getrlimit(RLIMIT_NOFILE, &i->nofile) == -1)
		return;
	raised = i->nofile;
	raised.rlim_cur = raised.rlim_max;
	/* It may be refused in some sandbox; then the old limit holds, and the
	 * doctor tells whether that is enough. */
	(void)setrlimit(RLIMIT_NOFILE, &raised);
}
