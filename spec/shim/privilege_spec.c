/* SPDX-License-Identifier: MIT */
#include "container-shim/privilege.h"

#include <asm/unistd.h>
#include <errno.h>
#include <linux/keyctl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "container-shim/userns.h"
#include "spec/support/stage.h"

/* Runs @probe with capabilities in a user namespace, then without privileges.
 * Returns its status, or 100 if the namespace cannot be made. */
static int in_namespace(int (*probe)(void), bool keep_caps)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct ids ids = userns_ids();
		const char *what;

		signal(SIGSEGV, SIG_DFL); /* cmocka reports it, we look at it */
		if (userns_unshare() || userns_map(&ids, keep_caps))
			_exit(100);
		_exit(privilege_drop(keep_caps, false, &what) ? 99 : probe());
	}
	if (pid == -1 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static int refuses_typing(void)
{
	const char c = 'x';

	if (ioctl(0, TIOCSTI, &c) != -1 || errno != EPERM)
		return 1;
	return ioctl(0, TIOCLINUX, &c) != -1 || errno != EPERM ? 2 : 0;
}

static void refuses_typing_into_the_terminal(void **state)
{
	(void)state;
	assert_int_equal(in_namespace(refuses_typing, false), 0);
	assert_int_equal(in_namespace(refuses_typing, true), 0);
}

/* The kernel looks at 32 bits of the request. */
static int refuses_with_high_bits(void)
{
	const char c = 'x';

	for (int bit = 32; bit < 64; bit++) {
		unsigned long request = TIOCSTI | 1UL << bit;

		if (syscall(SYS_ioctl, 0, request, &c) != -1 || errno != EPERM)
			return bit;
	}
	return 0;
}

static void refuses_it_whatever_the_high_bits(void **state)
{
	(void)state;
	assert_int_equal(in_namespace(refuses_with_high_bits, false), 0);
}

/* --- socket families that no network namespace holds --- */

/* A flag that socket(2) refuses before it looks at the family: what a filter says comes first. */
#define BAD_TYPE 0x100

static int refuses_families(void)
{
	static const int closed[] = {AF_VSOCK, AF_QIPCRTR};
	static const int open[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK - 1,
		AF_VSOCK + 1};

	for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
		for (unsigned long high = 0; high < 2; high++)
			if (syscall(SYS_socket, closed[i] | high << 32, BAD_TYPE, 0) != -1 ||
				errno != EAFNOSUPPORT)
				return closed[i];
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		if (syscall(SYS_socket, open[i], BAD_TYPE, 0) != -1 || errno != EINVAL)
			return open[i];
	return socket(AF_INET, SOCK_STREAM, 0) == -1 || socket(AF_UNIX, SOCK_STREAM, 0) == -1;
}

static void refuses_families_without_namespaces(void **state)
{
	(void)state;
	assert_int_equal(in_namespace(refuses_families, false), 0);
	assert_int_equal(in_namespace(refuses_families, true), 0);
}

/* io_uring makes sockets (IORING_OP_SOCKET) that no filter sees. 0 entries are EINVAL. */
static int uring_errno(void)
{
	return syscall(425 /* io_uring_setup */, 0, NULL) == -1 ? errno : 0;
}

/* Runs @probe where the kernel says that it has these @protocols (/proc/net/protocols). */
static int on_a_kernel_with(const char *protocols, int (*probe)(void))
{
	char dir[] = "/tmp/net.XXXXXX", path[64];
	FILE *file;
	int status;
	pid_t pid;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/protocols", dir);
	file = fopen(path, "w");
	assert_true(file && fputs(protocols, file) >= 0 && fclose(file) == 0);
	pid = fork();
	if (pid == 0) {
		struct ids ids = userns_ids();
		const char *what;

		signal(SIGSEGV, SIG_DFL);
		/* The directory: a mount on a file in it does not last. */
		if (userns_unshare() || userns_map(&ids, false) ||
			mount(dir, "/proc/self/net", "none", MS_BIND, NULL) == -1)
			_exit(100);
		_exit(privilege_drop(false, false, &what) ? 99 : probe());
	}
	assert_true(pid != -1 && waitpid(pid, &status, 0) == pid);
	unlink(path);
	rmdir(dir);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void leaves_io_uring_where_there_are_none(void **state)
{
	int outside = uring_errno(); /* EPERM if kernel.io_uring_disabled says so */

	(void)state;
	assert_int_not_equal(outside, 0);
	assert_int_equal(on_a_kernel_with("TCP x\n", uring_errno), outside);
	assert_int_equal(on_a_kernel_with("AF_VSOCK x\n", uring_errno), EPERM);
	assert_int_equal(on_a_kernel_with("TCP x\nQIPCRTR x\n", uring_errno), EPERM);
}

/* What a login leaves: a session keyring, which children have, namespaces or not. */
static int login(void)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) == -1)
		return -1;
	return (int)syscall(SYS_add_key, "user", "nsnet", "secret", 6, KEY_SPEC_SESSION_KEYRING);
}

static long search(void)
{
	return syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "nsnet", 0);
}

static int refuses_keys(void)
{
#if defined(__x86_64__)
	/* Their neighbors in the table are not meant: waitid and ioprio_set. */
	if (syscall(SYS_add_key - 1, 99, 0, 0, 0, 0) != -1 || errno != EINVAL)
		return 1;
	if (syscall(SYS_keyctl + 1, 99, 0, 0) != -1 || errno != EINVAL)
		return 2;
#endif
	if (search() != -1 || errno != ENOSYS)
		return 3;
	if (syscall(SYS_request_key, "user", "nsnet", NULL, 0) != -1 || errno != ENOSYS)
		return 4;
	return syscall(SYS_add_key, "user", "x", "x", 1, KEY_SPEC_SESSION_KEYRING) != -1 ||
		errno != ENOSYS;
}

static void refuses_keys_of_the_login(void **state)
{
	(void)state;
	if (login() == -1)
		skip(); /* a kernel without keys, or a container that has refused them */
	assert_int_not_equal(search(), -1);
	assert_int_equal(in_namespace(refuses_keys, false), 0);
	assert_int_equal(in_namespace(refuses_keys, true), 0);
}

static int allows_others(void)
{
	int n;

	if (ioctl(0, FIONREAD, &n) == -1 && errno == EPERM)
		return 1;
	if (ioctl(0, TIOCSTI + 1, &n) != -1 || errno == EPERM)
		return 2;
	return getppid() > 0 ? 0 : 3;
}

static void allows_everything_else(void **state)
{
	(void)state;
	assert_int_equal(in_namespace(allows_others, false), 0);
}

static int gives_up_capabilities(void)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) != 0)
			return 1;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) != 0)
			return 2;
	}
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 3;
	return sethostname("x", 1) == -1 && errno == EPERM ? 0 : 4;
}

static void gives_up_every_capability(void **state)
{
	(void)state;
	assert_int_equal(in_namespace(gives_up_capabilities, false), 0);
	assert_int_not_equal(in_namespace(gives_up_capabilities, true), 0);
}

#if defined(__x86_64__)
/* int 0x80 enters by the 32-bit table, whatever the program is. Only registers
 * carry the arguments, so no pointer is cut. */
static long int80(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	return result;
}

static int by_other_tables(void)
{
	const char c = 'x';

	/* x32: the same architecture value, bit 30 of the number. */
	if (syscall(0x40000000 | SYS_ioctl, 0, TIOCSTI, &c) != -1 || errno != ENOSYS)
		return 1;
	if (syscall(0x40000000 | 514 /* ioctl of x32 */, 0, TIOCSTI, &c) != -1 || errno != ENOSYS)
		return 2;
	if (syscall(0x40000000 | SYS_getpid) != -1 || errno != ENOSYS)
		return 3;
	return 0;
}

static int by_the_32_bit_table(void)
{
	enum {
		GETPID = 20,
		IOCTL = 54
	};

	/* A kernel without 32-bit programs kills us here: see the caller. */
	if (int80(GETPID, 0, 0, 0) != getpid())
		return 1;
	if (int80(IOCTL, 0, TIOCSTI, 0) != -EPERM)
		return 2;
	if (int80(IOCTL, 0, TIOCLINUX, 0) != -EPERM)
		return 3;
	return int80(IOCTL, 0, FIONREAD, 0) == -EPERM ? 4 : 0;
}

/* Arguments of socketcall(2) lie in memory, which a filter cannot read: it sees only that one
 * wants a socket. A pointer of 0 is EFAULT. */
static int families_by_the_32_bit_table(void)
{
	enum {
		SOCKETCALL = 102,
		SOCKET = 359
	};

	if (int80(SOCKET, AF_VSOCK, BAD_TYPE, 0) != -EAFNOSUPPORT)
		return 1;
	if (int80(SOCKET, AF_INET, BAD_TYPE, 0) != -EINVAL)
		return 2;
	if (int80(SOCKETCALL, 2 /* bind */, 0, 0) != -EFAULT)
		return 3;
	return (int)-int80(SOCKETCALL, 1 /* socket */, 0, 0);
}

static void refuses_families_by_the_32_bit_table_too(void **state)
{
	int status = -1;

	(void)state;
	if (!stage_is_valgrind())
		status = on_a_kernel_with("AF_VSOCK x\n", families_by_the_32_bit_table);
	if (status == -1)
		skip();
	assert_int_equal(status, EAFNOSUPPORT);
	assert_int_equal(on_a_kernel_with("TCP x\n", families_by_the_32_bit_table), EFAULT);
}

static int uring_by_the_32_bit_table(void)
{
	return (int)-int80(425, 0, 0, 0);
}

static void refuses_io_uring_by_the_32_bit_table_too(void **state)
{
	int status = -1;

	(void)state;
	if (!stage_is_valgrind())
		status = on_a_kernel_with("AF_VSOCK x\n", uring_by_the_32_bit_table);
	if (status == -1)
		skip();
	assert_int_equal(status, EPERM);
}

static int keys_by_the_32_bit_table(void)
{
	for (int call = 286; call <= 288; call++)
		if (int80(call, 0, 0, 0) != -ENOSYS)
			return 1;
	return int80(289 /* ioprio_set */, 0, 0, 0) == -ENOSYS ? 2 : 0;
}

static void refuses_keys_by_the_32_bit_table_too(void **state)
{
	int status = stage_is_valgrind() ? -1 : in_namespace(keys_by_the_32_bit_table, false);

	(void)state;
	if (status == -1)
		skip();
	assert_int_equal(status, 0);
}

static void refuses_x32(void **state)
{
	(void)state;
	assert_int_equal(in_namespace(by_other_tables, false), 0);
}

static void refuses_it_by_the_32_bit_table_too(void **state)
{
	int status = stage_is_valgrind() ? -1 : in_namespace(by_the_32_bit_table, false);

	(void)state;
	if (status == -1)
		skip(); /* SIGSEGV: no IA32_EMULATION */
	assert_int_equal(status, 0);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_typing_into_the_terminal),
		cmocka_unit_test(refuses_it_whatever_the_high_bits),
		cmocka_unit_test(refuses_families_without_namespaces),
		cmocka_unit_test(leaves_io_uring_where_there_are_none),
		cmocka_unit_test(refuses_keys_of_the_login),
		cmocka_unit_test(allows_everything_else),
		cmocka_unit_test(gives_up_every_capability),
#if defined(__x86_64__)
		cmocka_unit_test(refuses_x32),
		cmocka_unit_test(refuses_it_by_the_32_bit_table_too),
		cmocka_unit_test(refuses_families_by_the_32_bit_table_too),
		cmocka_unit_test(refuses_io_uring_by_the_32_bit_table_too),
		cmocka_unit_test(refuses_keys_by_the_32_bit_table_too),
#endif
	};

	stage_enter();
	return cmocka_run_group_tests_name("shim/privilege", tests, NULL, NULL);
}
