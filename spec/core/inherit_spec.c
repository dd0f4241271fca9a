/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/inherit.h"

static bool is_ignored(int signo)
{
	struct sigaction now;

	sigaction(signo, NULL, &now);
	return now.sa_handler == SIG_IGN;
}

/* Each in a process of its own: what is set is the process's. */
static int in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int as_it_was(void)
{
	struct inherit i;
	sigset_t mask;
	struct rlimit low = {.rlim_cur = 64}, now;

	signal(SIGPIPE, SIG_DFL);
	signal(SIGTTOU, SIG_IGN); /* as nohup and shells may have it */
	signal(SIGXFSZ, SIG_DFL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	getrlimit(RLIMIT_NOFILE, &now);
	low.rlim_max = now.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &low))
		return 1;
	inherit_init(&i);
	if (!is_ignored(SIGPIPE) || !is_ignored(SIGTTOU) || !is_ignored(SIGXFSZ))
		return 2;
	if (!sigismember(&i.defaults, SIGPIPE) || !sigismember(&i.defaults, SIGXFSZ) ||
		sigismember(&i.defaults, SIGTTOU) || sigismember(&i.defaults, SIGUSR1))
		return 3;
	if (!sigismember(&i.mask, SIGUSR1) || sigismember(&i.mask, SIGUSR2))
		return 4;
	getrlimit(RLIMIT_NOFILE, &now);
	if (i.nofile.rlim_cur != 64 || now.rlim_cur != low.rlim_max)
		return 5;
	return 0;
}

static void it_notes_what_the_command_is_to_find(void **state)
{
	(void)state;
	assert_int_equal(in_child(as_it_was), 0);
}

static int a_broken_pipe(void)
{
	struct inherit i;
	int fd[2];

	inherit_init(&i);
	if (pipe(fd) || close(fd[0]))
		return 1;
	return write(fd[1], "x", 1) == -1 && errno == EPIPE ? 0 : 2;
}

static int a_full_file(void)
{
	struct inherit i;
	struct rlimit none = {.rlim_max = 1};
	char path[] = "/tmp/inherit-spec.XXXXXX";
	int fd = mkstemp(path);

	inherit_init(&i);
	if (fd == -1 || unlink(path) || setrlimit(RLIMIT_FSIZE, &none))
		return 1;
	return write(fd, "x", 1) == -1 && errno == EFBIG ? 0 : 2;
}

static void what_would_end_the_host_is_an_errno(void **state)
{
	(void)state;
	assert_int_equal(in_child(a_broken_pipe), 0);
	assert_int_equal(in_child(a_full_file), 0);
}

static int closed_ones(void)
{
	struct inherit i;

	if (close(STDIN_FILENO) || close(STDERR_FILENO))
		return 1;
	inherit_init(&i);
	if (write(STDERR_FILENO, "x", 1) != 1 || read(STDIN_FILENO, (char[1]){0}, 1) != 0)
		return 2;
	return dup(STDERR_FILENO) > STDERR_FILENO ? 0 : 3;
}

static void no_other_descriptor_becomes_a_standard_one(void **state)
{
	(void)state;
	assert_int_equal(in_child(closed_ones), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_notes_what_the_command_is_to_find),
		cmocka_unit_test(what_would_end_the_host_is_an_errno),
		cmocka_unit_test(no_other_descriptor_becomes_a_standard_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
