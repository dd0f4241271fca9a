/* SPDX-License-Identifier: MIT */
/* Processes that lock themselves in and then try to get out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "core/base.h"
#include "locked.h"

extern char **environ;

/* ---- what ends it ---- */

static int try_exec(void)
{
	char *argv[] = {"true", NULL};

	return execve("/bin/true", argv, environ);
}

static int try_fork(void)
{
	return (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) > 0;
}

static void *nothing(void *arg)
{
	return arg;
}

static int try_thread(void)
{
	pthread_t t;

	return pthread_create(&t, NULL, nothing, NULL);
}

static int try_ptrace(void)
{
	return (int)ptrace(PTRACE_TRACEME, 0, 0, 0);
}

static int try_create(void)
{
	return open(in_scratch("new"), O_WRONLY | O_CREAT, 0600) == -1 ? errno : 0;
}

static int try_truncate(void)
{
	return open("/dev/null", O_RDONLY | O_TRUNC) == -1 ? errno : 0;
}

static int try_write_there(void)
{
	return open("/dev/null", O_RDWR) == -1 ? errno : 0;
}

static int try_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
}

static int try_packet(void)
{
	return socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static int try_raw(void)
{
	return socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMP);
}

static int try_type_in(void)
{
	return ioctl(STDIN_FILENO, TIOCSTI, "x");
}

static int try_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0) == MAP_FAILED;
}

static int try_code_later(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static int try_kill(void)
{
	return kill(getpid(), 0);
}

static int try_group(void)
{
	return kill(0, 0);
}

static int try_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static int try_enter(void)
{
	return setns(STDIN_FILENO, 0);
}

static int try_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static int try_rename(void)
{
	return rename(in_scratch("a"), in_scratch("b"));
}

static int try_unlink(void)
{
	return unlink(in_scratch("a"));
}

static int try_limit(void)
{
	const struct rlimit much = {RLIM_INFINITY, RLIM_INFINITY};

	return setrlimit(RLIMIT_CORE, &much);
}

static int try_memory_of_others(void)
{
	return (int)syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}

static int try_descriptors_of_others(void)
{
	return (int)syscall(SYS_pidfd_open, getppid(), 0);
}

static void each_way_out_ends_the_process(void **state)
{
	static const struct {
		try_fn *fn;
		const char *name;
	} row[] = {
		{try_exec, "execve(2)"},
		{try_fork, "clone(2)"},
		{try_ptrace, "ptrace(2)"},
		{try_netlink, "socket(2)"},
		{try_packet, "socket(2)"},
		{try_raw, "socket(2)"},
		{try_type_in, "ioctl(2)"},
		{try_code, "mmap(2)"},
		{try_code_later, "mprotect(2)"},
		{try_kill, "kill(2)"},
		{try_group, "kill(2)"},
		{try_namespace, "unshare(2)"},
		{try_enter, "setns(2)"},
		{try_dumpable, "prctl(2)"},
		{try_rename, "rename"},
		{try_unlink, "unlink"},
		{try_limit, "prlimit64(2)"},
		{try_memory_of_others, "process_vm_readv(2)"},
		{try_descriptors_of_others, "pidfd_open(2)"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		int status = locked(NULL, row[i].fn);

		if (status != CAGE_STATUS || !strstr(said, row[i].name))
			fail_msg("%s: status %d, and it said: %s", row[i].name, status, said);
		assert_memory_equal(said, "nsnet-host: ", 12);
		assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
	}
}

/* Landlock or not: by the filter. */
static void to_open_for_writing_is_an_error(void **state)
{
	static prepare_fn *const how[] = {NULL, show_processes};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(how); i++) {
		assert_int_equal(locked(how[i], try_create), EACCES);
		assert_int_equal(locked(how[i], try_truncate), EACCES);
		assert_int_equal(locked(how[i], try_write_there), EACCES);
	}
}

/* It is made while every signal is blocked: then the kernel ends the process without a word. */
static void so_does_a_thread(void **state)
{
	(void)state;
	assert_int_equal(locked(NULL, try_thread), 128 + SIGSYS);
}

/* Only that: whoever may write still may not run. */
static void output_directories_open_nothing_else(void **state)
{
	(void)state;
	assert_int_equal(locked(open_scratch, try_exec), CAGE_STATUS);
	assert_int_equal(locked(open_scratch, try_netlink), CAGE_STATUS);
	assert_int_equal(locked(show_processes, try_exec), CAGE_STATUS);
}

/* ---- what goes on ---- */

static int use_network(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	NEED(listener != -1 && fd != -1);
	NEED(bind(listener, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(listener, 1) == 0);
	NEED(getsockname(listener, (struct sockaddr *)&a, &len) == 0);
	NEED(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 || errno == EINPROGRESS);
	NEED(accept4(listener, NULL, NULL, SOCK_CLOEXEC) != -1);
	NEED(socket(AF_INET6, SOCK_DGRAM, 0) != -1 || errno == EAFNOSUPPORT);
	NEED(socket(AF_UNIX, SOCK_STREAM, 0) != -1);
	return 0;
}

static int use_memory(void)
{
	char *p = malloc(100 << 20);

	NEED(p);
	memset(p, 1, 100 << 20);
	p = realloc(p, 200 << 20);
	NEED(p);
	free(p);
	return 0;
}

static int use_signals(void)
{
	struct sigaction act = {.sa_handler = SIG_IGN};

	NEED(sigaction(SIGUSR1, &act, NULL) == 0 && raise(SIGUSR1) == 0);
	NEED(kill(getppid(), 0) == 0); /* the one that cage_enter() was told */
	return 0;
}

/* A library that asks for what is newer than itself goes on without. */
static int use_probes(void)
{
	NEED(syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", NULL, 0) == -1 && errno == ENOSYS);
	NEED(syscall(SYS_io_uring_setup, 1, NULL) == -1 && errno == ENOSYS);
	return 0;
}

static int use_files(void)
{
	NEED(open("/etc/passwd", O_RDONLY | O_CLOEXEC) != -1);
	NEED(open("/proc/self/status", O_RDONLY) != -1);
	NEED(open("/no/such/file", O_RDONLY) == -1 && errno == ENOENT);
	return 0;
}

static bool read_text(const char *path, char *text, size_t size)
{
	ssize_t n = read(open(path, O_RDONLY), text, size - 1);

	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static int see_self(void)
{
	char text[4096];
	struct stat st;

	NEED(read_text("/proc/self/status", text, sizeof(text)));
	NEED(strstr(text, "NoNewPrivs:\t1\n") && strstr(text, "Seccomp:\t2\n"));
	NEED(strstr(text, "CapEff:\t0000000000000") && strstr(text, "CapPrm:\t0000000000000"));
	NEED(read_text("/proc/self/limits", text, sizeof(text)));
	NEED(strstr(text, "Max core file size        0                    0   "));
	/* Not dumpable: what the kernel tells of us belongs to root. */
	NEED(stat("/proc/self/mem", &st) == 0 && st.st_uid == 0);
	return 0;
}

static void what_it_works_with_works(void **state)
{
	static try_fn *const row[] = {use_network, use_memory, use_signals, use_probes, use_files};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		if (locked(NULL, row[i]) != 0)
			fail_msg("%zu: %s", i, said);
}

static void nothing_is_left_to_gain(void **state)
{
	(void)state;
	if (locked(NULL, see_self) != 0)
		fail_msg("%s", said);
}

static void many_paths_are_an_error_not_an_overflow(void **state)
{
	struct cage c;

	(void)state;
	cage_init(&c);
	for (int i = 0; i < CAGE_PATHS_MAX; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/no/dir%d/x", i);
		assert_int_equal(cage_allow(&c, LANDLOCK_READ, path), 0);
		assert_int_equal(cage_allow(&c, LANDLOCK_READ, path), 0); /* it is there */
	}
	assert_int_equal(cage_allow(&c, LANDLOCK_READ, "/etc/x"), -ENOSPC);
	assert_string_equal(c.path[0].path, "/no/dir0/");
	cage_fini(&c);
	assert_int_equal(cage_allow(&c, LANDLOCK_READ, "x.lua"), 0);
	assert_string_equal(c.path[0].path, ".");
	assert_int_equal(cage_allow(&c, LANDLOCK_READ, "/x.lua"), 0);
	assert_string_equal(c.path[1].path, "/");
	cage_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_way_out_ends_the_process, make_scratch,
			remove_scratch),
		cmocka_unit_test_setup_teardown(to_open_for_writing_is_an_error, make_scratch,
			remove_scratch),
		cmocka_unit_test(so_does_a_thread),
		cmocka_unit_test(output_directories_open_nothing_else),
		cmocka_unit_test(what_it_works_with_works),
		cmocka_unit_test(nothing_is_left_to_gain),
		cmocka_unit_test(many_paths_are_an_error_not_an_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
