/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base.h"
#include "core/recall.h"

static struct recall recall;

static int setup(void **state)
{
	(void)state;
	recall_init(&recall, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	recall_fini(&recall);
	return 0;
}

static uint32_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint32_t)st.st_ino;
}

static void note(pid_t pid)
{
	struct process *p = process_read(pid, pid);

	assert_non_null(p);
	recall_note_process(&recall, p);
	process_put(p);
}

static bool knows(pid_t pid)
{
	struct process *p = recall_process(&recall, pid);
	const bool known = p;

	assert_true(!p || p->pid == pid);
	process_put(p);
	return known;
}

static void is_the_set_until_a_process_is_made(void **state)
{
	const pid_t seen[] = {getpid(), 4711};
	bool stood = false;
	pid_t pid;

	(void)state;
	assert_false(recall_stands(&recall)); /* nothing was written down */
	/* Others on this machine make processes, too: one try may meet that. */
	for (int i = 0; i < 1000 && !stood; i++) {
		recall_stands(&recall);
		recall_note(&recall, seen, 2);
		stood = recall_stands(&recall);
	}
	assert_true(stood);
	assert_int_equal(recall.count, 2);
	assert_int_equal(recall.seen[1], 4711);
	pid = fork();
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_false(recall_stands(&recall));
	assert_int_equal(recall.count, 0);
}

static void knows_a_process_that_is_as_it_was(void **state)
{
	char name[PROCESS_NAME_MAX], dir[4096];

	(void)state;
	assert_false(knows(getpid()));
	note(getpid());
	assert_true(knows(getpid()));
	assert_false(knows(getppid()));

	assert_int_equal(prctl(PR_GET_NAME, name), 0);
	assert_int_equal(prctl(PR_SET_NAME, "another"), 0);
	assert_false(knows(getpid()));
	note(getpid());
	assert_true(knows(getpid()));
	assert_int_equal(prctl(PR_SET_NAME, name), 0);

	note(getpid());
	assert_non_null(getcwd(dir, sizeof(dir)));
	assert_int_equal(chdir("/"), 0);
	assert_false(knows(getpid()));
	assert_int_equal(chdir(dir), 0);
	assert_true(knows(getpid()));
}

/* A shell that becomes itself again, by the same name and the same words. */
static void knows_no_program_that_took_the_place(void **state)
{
	static const char script[] = "echo; read x; exec sh -c \"$0\" \"$0\"";
	int in[2], out[2];
	pid_t pid;
	char go;

	(void)state;
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		execlp("sh", "sh", "-c", script, script, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	assert_int_equal(read(out[0], &go, 1), 1);
	note(pid);
	assert_true(knows(pid));
	assert_int_equal(write(in[1], "\n", 1), 1);
	assert_int_equal(read(out[0], &go, 1), 1); /* the one that took its place */
	assert_false(knows(pid));
	note(pid);
	assert_true(knows(pid));
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_false(knows(pid));
	close(in[0]);
	close(in[1]);
	close(out[0]);
}

static void finds_a_socket_where_others_were(void **state)
{
	int fd[3];

	(void)state;
	for (size_t i = 0; i < 3; i++)
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int far = fcntl(fd[2], F_DUPFD_CLOEXEC, fd[2] + 100);
	close(fd[2]);
	fd[2] = far;
	assert_int_equal(recall_fd(&recall, inode_of(fd[0])), -1);
	note(getpid());
	for (size_t i = 0; i < 2; i++)
		recall_note_fd(&recall, fd[i], inode_of(fd[i]));
	assert_int_equal(recall_fd(&recall, inode_of(fd[0])), fd[0]);
	assert_int_equal(recall_fd(&recall, inode_of(fd[1])), fd[1]);
	assert_int_equal(recall_fd(&recall, inode_of(fd[2])), -1);
	/* Another at the same number. */
	close(fd[0]);
	assert_int_equal(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), fd[0]);
	assert_int_equal(recall_fd(&recall, inode_of(fd[0])), fd[0]);
	/* One that is known, and has gone since. */
	const uint32_t gone = inode_of(fd[1]);
	close(fd[1]);
	assert_int_equal(recall_fd(&recall, gone), -1);
	close(fd[0]);
	close(fd[2]);
}

/* A process that keeps what it opens gets one number after the other. */
static void finds_a_socket_behind_the_last(void **state)
{
	static int fd[3 * RECALL_FDS];
	int other;

	(void)state;
	note(getpid());
	other = dup(0);
	fd[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	recall_note_fd(&recall, fd[0], inode_of(fd[0]));
	for (size_t i = 1; i < ARRAY_LEN(fd); i++) {
		if (i == RECALL_FDS) /* one in between that is no socket, and one that is free */
			assert_true(dup(0) >= 0 && dup2(0, fd[i - 1] + 3) >= 0);
		fd[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		assert_true(fd[i] >= 0);
		assert_int_equal(recall_fd(&recall, inode_of(fd[i])), fd[i]);
	}
	/* Two at once, the later one first. */
	int a = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int b = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(recall_fd(&recall, inode_of(b)), b);
	assert_int_equal(recall_fd(&recall, inode_of(a)), a);
	/* One that was given back, far before: it is none of those that are likely. */
	close(other);
	assert_int_equal(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), other);
	assert_int_equal(recall_fd(&recall, inode_of(other)), -1);
	recall_note_fd(&recall, other, inode_of(other));
	/* Then a late one again, which has taken the place of an earlier. */
	close(a);
	assert_int_equal(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), a);
	assert_int_equal(recall_fd(&recall, inode_of(a)), a);
	close_range((unsigned)fd[0], ~0u, 0);
	close(other);
}

/* So many at a time are no more work than few. */
static void finds_each_of_many_that_come_and_go(void **state)
{
	int fd[100];

	(void)state;
	note(getpid());
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		fd[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		recall_note_fd(&recall, fd[i], inode_of(fd[i]));
	}
	for (size_t i = 0; i < 3 * ARRAY_LEN(fd); i++) {
		const size_t at = i * 37 % ARRAY_LEN(fd);

		close(fd[at]);
		assert_int_equal(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), fd[at]);
		assert_int_equal(recall_fd(&recall, inode_of(fd[at])), fd[at]);
	}
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		close(fd[i]);
}

static void keeps_no_more_than_it_has_room_for(void **state)
{
	(void)state;
	note(getpid());
	for (int i = 0; i < 3 * RECALL_FDS; i++) {
		recall_note_fd(&recall, 1000 + i, 1);
		recall_note_fd(&recall, 1000 + i, 2); /* the same again */
	}
	assert_int_equal(recall.slot_count, RECALL_FDS);
	assert_int_equal(recall.slot[0].fd, 1000 + 2 * RECALL_FDS);
	assert_int_equal(recall_fd(&recall, 2), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(is_the_set_until_a_process_is_made, setup,
			teardown),
		cmocka_unit_test_setup_teardown(knows_a_process_that_is_as_it_was, setup, teardown),
		cmocka_unit_test_setup_teardown(knows_no_program_that_took_the_place, setup,
			teardown),
		cmocka_unit_test_setup_teardown(finds_a_socket_where_others_were, setup, teardown),
		cmocka_unit_test_setup_teardown(finds_a_socket_behind_the_last, setup, teardown),
		cmocka_unit_test_setup_teardown(finds_each_of_many_that_come_and_go, setup,
			teardown),
		cmocka_unit_test_setup_teardown(keeps_no_more_than_it_has_room_for, setup,
			teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
