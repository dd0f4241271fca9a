/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_LOCKED_H
#define NSNET_SPEC_LOCKED_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/cage.h"

/* locked - runs a function in a process that has locked itself in, as nsnet-host does. Include it
 * after cmocka.h. */

#define NOT_LOCKED 100

static char scratch[64]; /* a directory */
static char said[1024];  /* on stderr by the last process */

static int make_scratch(void **state)
{
	(void)state;
	strcpy(scratch, "/tmp/nsnet-cage.XXXXXX");
	return mkdtemp(scratch) ? 0 : -1;
}

static int remove_scratch(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", scratch);
	return system(command);
}

static const char *in_scratch(const char *name)
{
	static char path[2][128];
	static int turn;

	turn ^= 1;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", scratch, name);
	return path[turn];
}

typedef int try_fn(void);
typedef void prepare_fn(struct cage *c);

/* Builds for sanitizers and valgrind are not locked up: those make calls of their own. */
static void needs_a_cage(void)
{
#ifdef NSNET_NO_CAGE
	skip();
#endif
}

/* The exit status of @fn in a locked process; what it wrote is in said[]. */
static int locked(prepare_fn *prepare, try_fn *fn)
{
	const char *step;
	struct cage c;
	int status, out[2];
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	needs_a_cage();
	assert_int_equal(pipe(out), 0);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		int rc;

		dup2(out[1], STDERR_FILENO);
		close(out[0]);
		close(out[1]);
		cage_init(&c);
		if (prepare)
			prepare(&c);
		rc = cage_enter(&c, getppid(), &step);
		if (rc < 0) {
			dprintf(STDERR_FILENO, "%s: %s", step, strerror(-rc));
			_exit(NOT_LOCKED);
		}
		cage_fini(&c);
		_exit(fn());
	}
	close(out[1]);
	while (n < sizeof(said) - 1 && (got = read(out[0], said + n, sizeof(said) - 1 - n)) > 0)
		n += (size_t)got;
	said[n] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void open_scratch(struct cage *c)
{
	if (cage_allow(c, LANDLOCK_WRITE, in_scratch("log")) < 0)
		_exit(NOT_LOCKED);
}

static void show_processes(struct cage *c)
{
	cage_allow_processes(c);
}

#define NEED(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			dprintf(STDERR_FILENO, "line %d: %s (%s)", __LINE__, #x, strerror(errno)); \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

#endif
