/* SPDX-License-Identifier: MIT */
#include "privilege.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

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

#define COMPAT_IOCTL 54     /* of i386 and arm alike */
#define X32_BIT 0x40000000u /* x86-64 only: the x32 table, under the native arch */

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), (yes), (no))
#define SET_IN(bits, yes, no) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (bits), (yes), (no))
#define JUMP(offset) BPF_STMT(BPF_JMP | BPF_JA, (offset))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))

/* The kernel looks at the low 32 bits of an ioctl's request only, so do we. */
static const struct sock_filter terminal_filter[] = {
	/*  0 */ LOAD(arch),
	/*  1 */ EQUAL(ARCH_NATIVE, 2, 0),
	/*  2 */ EQUAL(ARCH_COMPAT, 4, 0),
	/*  3 */ RETURN(SECCOMP_RET_ERRNO | ENOSYS),
	/* native */
	/*  4 */ LOAD(nr),
	/*  5 */ SET_IN(X32_BIT, 4, 0),
	/*  6 */ EQUAL(__NR_ioctl, 4, 2),
	/* 32 bit */
	/*  7 */ LOAD(nr),
	/*  8 */ EQUAL(COMPAT_IOCTL, 2, 0),
	/*  9 */ RETURN(SECCOMP_RET_ALLOW),
	/* 10 */ RETURN(SECCOMP_RET_ERRNO | ENOSYS),
	/* ioctl */
	/* 11 */ LOAD(args[1]),
	/* 12 */ EQUAL(TIOCSTI, 2, 0),
	/* 13 */ EQUAL(TIOCLINUX, 1, 0),
	/* 14 */ RETURN(SECCOMP_RET_ALLOW),
	/* 15 */ RETURN(SECCOMP_RET_ERRNO | EPERM),
};

static int install_filter(void)
{
	const struct sock_fprog program = {
		.len = sizeof(terminal_filter) / sizeof(terminal_filter[0]),
		.filter = (struct sock_filter *)terminal_filter,
	};

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
