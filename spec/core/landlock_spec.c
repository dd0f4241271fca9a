/* SPDX-License-Identifier: MIT */
/* Which files and processes somebody sees who has locked himself in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "locked.h"

static int try_create(void)
{
	return open(in_scratch("new"), O_WRONLY | O_CREAT, 0600) == -1 ? errno : 0;
}

/* ---- files ---- */

static int have_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0;
}

static int read_scratch(void)
{
	return open(in_scratch("kept"), O_RDONLY) == -1 ? errno : 0;
}

static void read_scratch_only(struct cage *c)
{
	if (cage_allow(c, LANDLOCK_READ, scratch) < 0)
		_exit(NOT_LOCKED);
}

static void remove_scratch_only(struct cage *c)
{
	if (cage_allow(c, LANDLOCK_REMOVE, in_scratch("kept")) < 0)
		_exit(NOT_LOCKED);
}

static int unlink_scratch(void)
{
	NEED(open(in_scratch("kept"), O_RDONLY) == -1 && errno == EACCES);
	NEED(unlink("/tmp/nsnet-cage-nothing") == -1 && errno != 0);
	NEED(unlink(in_scratch("kept")) == 0);
	return 0;
}

static int write_scratch(void)
{
	int fd = open(in_scratch("log"), O_WRONLY | O_CREAT | O_APPEND, 0600);

	NEED(fd != -1 && write(fd, "x", 1) == 1 && close(fd) == 0);
	NEED(rename(in_scratch("log"), in_scratch("log.1")) == 0);
	NEED(open(in_scratch("log"), O_WRONLY | O_CREAT | O_TRUNC, 0600) != -1);
	NEED(unlink(in_scratch("log.1")) == 0);
	NEED(mkdir(in_scratch("d"), 0700) == 0 && rmdir(in_scratch("d")) == 0);
	return 0;
}

static int write_elsewhere(void)
{
	return open("/tmp/nsnet-cage-elsewhere", O_WRONLY | O_CREAT, 0600) == -1 ? errno : 0;
}

static void only_named_directories_are_open(void **state)
{
	int fd;

	(void)state;
	fd = open(in_scratch("kept"), O_WRONLY | O_CREAT, 0600);
	assert_int_not_equal(fd, -1);
	close(fd);
	if (locked(open_scratch, write_scratch) != 0)
		fail_msg("%s", said);
	assert_int_equal(locked(read_scratch_only, read_scratch), 0);
	assert_int_equal(locked(show_processes, read_scratch), 0);
	if (!have_landlock()) {
		print_message("no Landlock here: only half of it is tried\n");
		skip();
	}
	assert_int_equal(locked(NULL, read_scratch), EACCES);
	assert_int_equal(locked(open_scratch, write_elsewhere), EACCES);
	/* To remove is no right to make. */
	assert_int_equal(locked(remove_scratch_only, unlink_scratch), 0);
	assert_int_equal(locked(remove_scratch_only, try_create), EACCES);
	/* A file's directory was meant for reading: not for writing. */
	assert_int_equal(locked(read_scratch_only, try_create), EACCES);
}

/* ---- other processes ---- */

static pid_t sleeper;

static int look_into_sleeper(void)
{
	char path[64], target[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/0", (int)sleeper);
	return readlink(path, target, sizeof(target)) == -1 ? errno : 0;
}

/* What needs no right to trace: to see who is inside (terminal.c). */
static int look_at_sleeper(void)
{
	struct stat ours, its;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/net/dev", (int)sleeper);
	NEED(stat(path, &its) == 0 && stat("/proc/self/net/dev", &ours) == 0);
	NEED(its.st_ino == ours.st_ino);
	return 0;
}

static void processes_can_be_seen_if_need_be(void **state)
{
	(void)state;
	needs_a_cage();
	sleeper = fork();
	assert_int_not_equal(sleeper, -1);
	if (sleeper == 0) {
		struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
		struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

		/* As the command is: who has capabilities is closed to who has none. */
		syscall(SYS_capset, &h, none);
		raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(sleeper, NULL, WUNTRACED), sleeper);
	assert_int_equal(locked(show_processes, look_into_sleeper), 0);
	assert_int_equal(locked(NULL, look_at_sleeper), 0);
	if (have_landlock())
		assert_int_equal(locked(NULL, look_into_sleeper), EACCES);
	kill(sleeper, SIGKILL);
	waitpid(sleeper, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_named_directories_are_open, make_scratch,
			remove_scratch),
		cmocka_unit_test(processes_can_be_seen_if_need_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
