/* SPDX-License-Identifier: MIT */
#include "privilege.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the filter reads the low half of a system call's argument at offset 0"
#endif

#if defined(__x86_64__)
#define ARCH_NATIVE AUDIT_ARCH_X86_64
#define ARCH_COMPAT AUDIT_ARCH_I386
#elif defined(__aarch64__)
#define ARCH_NATIVE AUDIT_ARCH_AARCH64
#define ARCH_COMPAT AUDIT_ARCH_ARM
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH_NATIVE AUDIT_ARCH_RISCV64
#define ARCH_COMPAT AUDIT_ARCH_RISCV64
#else
#error "name this architecture's AUDIT_ARCH values"
#endif

/* Numbers of i386. arm has ioctl's alike, and neither of the others where it would matter. */
#define COMPAT_IOCTL 54
#define COMPAT_SOCKETCALL 102
#if defined(__aarch64__)
#define COMPAT_SOCKET 281
#else
#define COMPAT_SOCKET 359
#endif
/* add_key, request_key and keyctl follow each other in every table. */
#if defined(__x86_64__)
#define COMPAT_ADD_KEY 286
#elif defined(__aarch64__)
#define COMPAT_ADD_KEY 309
#else
#define COMPAT_ADD_KEY __NR_add_key
#endif
#define KEY_CALLS 3
_Static_assert(__NR_request_key == __NR_add_key + 1 && __NR_keyctl == __NR_add_key + 2,
	"the filter takes the calls about keys for neighbors");
#define IO_URING_SETUP 425  /* of every table */
#define SOCKETCALL_SOCKET 1 /* SYS_SOCKET of <linux/net.h> */
#define X32_BIT 0x40000000u /* x86-64 only: the x32 table, under the native arch */
#define NEVER UINT32_MAX    /* no system call's number */

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), (yes), (no))
#define AT_LEAST(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (value), (yes), (no))
#define SET_IN(bits, yes, no) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (bits), (yes), (no))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))

/* The kernel looks at the low 32 bits of an ioctl's request and of a socket's family only, so do
 * we. strict() fills in the calls that are NEVER made. */
static struct sock_filter filter[] = {
	/*  0 */ LOAD(arch),
	/*  1 */ EQUAL(ARCH_NATIVE, 2, 0),
	/*  2 */ EQUAL(ARCH_COMPAT, 9, 0),
	/*  3 */ RETURN(SECCOMP_RET_ERRNO | ENOSYS),
	/* native */
	/*  4 */ LOAD(nr),
	/*  5 */ SET_IN(X32_BIT, 5, 0),
	/*  6 */ EQUAL(__NR_ioctl, 13, 0),
	/*  7 */ EQUAL(__NR_socket, 16, 0),
	/*  8 */ EQUAL(NEVER, 22, 0), /* AT_URING */
	/*  9 */ AT_LEAST(__NR_add_key, 0, 20),
	/* 10 */ AT_LEAST(__NR_add_key + KEY_CALLS, 19, 0),
	/* 11 */ RETURN(SECCOMP_RET_ERRNO | ENOSYS),
	/* 32 bit */
	/* 12 */ LOAD(nr),
	/* 13 */ EQUAL(COMPAT_IOCTL, 6, 0),
	/* 14 */ EQUAL(COMPAT_SOCKET, 9, 0),
	/* 15 */ EQUAL(NEVER, 11, 0), /* AT_COMPAT_SOCKETCALL */
	/* 16 */ EQUAL(NEVER, 14, 0), /* AT_COMPAT_URING */
	/* 17 */ AT_LEAST(COMPAT_ADD_KEY, 0, 12),
	/* 18 */ AT_LEAST(COMPAT_ADD_KEY + KEY_CALLS, 11, 0),
	/* 19 */ RETURN(SECCOMP_RET_ERRNO | ENOSYS),
	/* ioctl */
	/* 20 */ LOAD(args[1]),
	/* 21 */ EQUAL(TIOCSTI, 9, 0),
	/* 22 */ EQUAL(TIOCLINUX, 8, 0),
	/* 23 */ RETURN(SECCOMP_RET_ALLOW),
	/* socket */
	/* 24 */ LOAD(args[0]),
	/* 25 */ EQUAL(AF_VSOCK, 3, 0),
	/* 26 */ EQUAL(AF_QIPCRTR, 2, 3),
	/* socketcall */
	/* 27 */ LOAD(args[0]),
	/* 28 */ EQUAL(SOCKETCALL_SOCKET, 0, 1),
	/* 29 */ RETURN(SECCOMP_RET_ERRNO | EAFNOSUPPORT),
	/* 30 */ RETURN(SECCOMP_RET_ALLOW),
	/* 31 */ RETURN(SECCOMP_RET_ERRNO | EPERM),
};

enum {
	AT_URING = 8,
	AT_COMPAT_SOCKETCALL = 15,
	AT_COMPAT_URING = 16
};

/* Closes the calls that make sockets past socket(2): what they ask for lies in memory, where no
 * filter looks. */
static void strict(void)
{
	filter[AT_URING].k = filter[AT_COMPAT_URING].k = IO_URING_SETUP;
	filter[AT_COMPAT_SOCKETCALL].k = COMPAT_SOCKETCALL;
}

/* Whether this kernel has sockets now that lead out of a network namespace, as far as we can
 * see. Asking for one would load the module. */
static bool has_stray_families(void)
{
	static char list[32768];
	ssize_t n = file_read("/proc/net/protocols", list, sizeof(list));

	return n < 0 || (size_t)n == sizeof(list) - 1 || strstr(list, "AF_VSOCK") ||
		strstr(list, "QIPCRTR");
}

static int install_filter(void)
{
	const struct sock_fprog program = {
		.len = sizeof(filter) / sizeof(filter[0]),
		.filter = filter,
	};

	if (has_stray_families())
		strict();

	/* SPEC_ALLOW: the filter guards no secret in this process, so it need not
	 * pay for speculation barriers in every command (kernels before 5.16). */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		    &program) == 0)
		return 0;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == -1 ? -errno : 0;
}

/* Bounding and ambient set first: they need a capability, and bound what an
 * exec under uid 0 would give back. */
static int drop_capabilities(bool keep_bound)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (cap == CAP_NET_RAW && keep_bound)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == -1)
			return -errno;
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1)
		return -errno;
	return syscall(SYS_capset, &header, none) == -1 ? -errno : 0;
}

int privilege_drop(bool keep_caps, bool keep_bound, const char **what)
{
	int err;

	*what = "capabilities";
	if (!keep_caps) {
		err = drop_capabilities(keep_bound);
		if (err)
			return err;
	}
	*what = "no_new_privs";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return -errno;
	*what = "the system call filter";
	return install_filter();
}
