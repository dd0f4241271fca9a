/* SPDX-License-Identifier: MIT */
#include "cage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "base.h"
#include "bpf.h"
#include "log.h"

#include <linux/sockios.h>

/* Two locks, since each sees what the other cannot: seccomp knows which call is made but no path,
 * Landlock knows which file is meant. The filter is written by hand and not by
 * libseccomp, whose two milliseconds are half of all that a start costs here. */

/* ---- the calls ---- */

#define CALL(name)                                                                                 \
	{                                                                                          \
		.nr = SYS_##name                                                                   \
	}
#define ENOSYS_CALL(name)                                                                          \
	{                                                                                          \
		.nr = SYS_##name, .action = BPF_ACTION_ENOSYS                                      \
	}
#define IF(name, n, m, v)                                                                          \
	{                                                                                          \
		.nr = SYS_##name, .check = { {.arg = (n), .mask = (m), .value = (v)} }             \
	}
#define TRY(name, n, m, v)                                                                         \
	{                                                                                          \
		.nr = SYS_##name, .action = BPF_ACTION_TRY, .check = {                             \
			{.arg = (n), .mask = (m), .value = (v)},                                   \
		}                                                                                  \
	}
#define EXACT UINT32_MAX
#define SOCKET(family, type)                                                                       \
	{                                                                                          \
		.nr = SYS_socket, .check = {                                                       \
			{.arg = 0, .mask = EXACT, .value = (family)},                              \
			{.arg = 1, .mask = 0xf, .value = (type)},                                  \
		}                                                                                  \
	}
#define READ_ONLY_MASK (O_ACCMODE | O_CREAT | O_TRUNC)

/* clang-format off */
static const struct bpf_call calls[] = {
	/* the data path */
	CALL(read), CALL(write), CALL(readv), CALL(writev), CALL(recvfrom), CALL(sendto),
	CALL(recvmsg), CALL(sendmsg), CALL(recvmmsg), CALL(sendmmsg), CALL(shutdown), CALL(close),
	CALL(connect), CALL(bind), CALL(listen), CALL(accept), CALL(accept4), CALL(getsockname),
	CALL(getpeername), CALL(getsockopt), CALL(setsockopt), CALL(socketpair),
	SOCKET(AF_INET, SOCK_STREAM), SOCKET(AF_INET, SOCK_DGRAM),
	SOCKET(AF_INET6, SOCK_STREAM), SOCKET(AF_INET6, SOCK_DGRAM),
	SOCKET(AF_UNIX, SOCK_STREAM), SOCKET(AF_UNIX, SOCK_DGRAM),
	SOCKET(AF_UNIX, SOCK_SEQPACKET),
	/* the loop */
	CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_pwait), CALL(ppoll), CALL(pselect6),
	CALL(eventfd2), CALL(signalfd4), CALL(pipe2), CALL(inotify_init1),
	CALL(inotify_add_watch), CALL(inotify_rm_watch), CALL(timerfd_create),
	CALL(timerfd_settime), CALL(timerfd_gettime),
	/* time */
	CALL(clock_gettime), CALL(clock_getres), CALL(clock_nanosleep), CALL(nanosleep),
	CALL(gettimeofday), CALL(timer_create), CALL(timer_settime), CALL(timer_gettime),
	CALL(timer_getoverrun), CALL(timer_delete), CALL(getrusage), CALL(times),
	/* memory, none of it executable */
	CALL(brk), CALL(munmap), CALL(mremap), CALL(madvise),
	IF(mmap, 2, PROT_EXEC, 0), IF(mprotect, 2, PROT_EXEC, 0),
	/* signals and the command's end */
	CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigpending), CALL(rt_sigreturn),
	CALL(rt_sigtimedwait), CALL(sigaltstack), CALL(wait4), CALL(waitid),
	CALL(restart_syscall), CALL(exit), CALL(exit_group),
	/* who am I */
	CALL(getpid), CALL(gettid), CALL(getppid), CALL(getuid), CALL(geteuid), CALL(getgid),
	CALL(getegid), CALL(getpgid), CALL(getsid), CALL(getcwd), CALL(uname), CALL(sysinfo),
	CALL(sched_getaffinity), CALL(sched_yield), CALL(futex), CALL(getrandom), CALL(umask),
	/* files: which ones is Landlock's matter */
	CALL(lseek), CALL(pread64), CALL(pwrite64), CALL(preadv), CALL(pwritev), CALL(fcntl),
	CALL(dup), CALL(dup3), CALL(fstat), CALL(newfstatat), CALL(statx), CALL(fstatfs),
	CALL(faccessat), CALL(readlinkat), CALL(getdents64), CALL(fsync), CALL(fdatasync),
	CALL(ftruncate), CALL(fallocate),
	ENOSYS_CALL(openat2), ENOSYS_CALL(io_uring_setup), ENOSYS_CALL(clone3),
#ifdef SYS_faccessat2
	CALL(faccessat2),
#endif
#ifdef SYS_epoll_wait /* the older calls, which newer architectures do without */
	CALL(epoll_wait), CALL(poll), CALL(select), CALL(time), CALL(getpgrp), CALL(dup2),
	CALL(stat), CALL(lstat), CALL(access), CALL(readlink),
#endif
	/* terminals and sockets: never TIOCSTI */
	IF(ioctl, 1, EXACT, TCGETS), IF(ioctl, 1, EXACT, TIOCGWINSZ),
	IF(ioctl, 1, EXACT, TIOCGPGRP), IF(ioctl, 1, EXACT, TIOCSPGRP),
	IF(ioctl, 1, EXACT, FIONREAD), IF(ioctl, 1, EXACT, FIONBIO),
	IF(ioctl, 1, EXACT, SIOCOUTQ), IF(ioctl, 1, EXACT, SIOCGIFINDEX),
};

/* An error and not the end: a script that is loaded again may ask for what it cannot have. */
static const struct bpf_call read_only[] = {
	TRY(openat, 2, READ_ONLY_MASK, O_RDONLY),
#ifdef SYS_open
	TRY(open, 1, READ_ONLY_MASK, O_RDONLY),
#endif
};

static const struct bpf_call writing[] = {
	CALL(openat), CALL(renameat), CALL(renameat2), CALL(linkat),
	CALL(mkdirat), CALL(fchmod), CALL(fchmodat), CALL(flock),
#ifdef SYS_open
	CALL(open), CALL(rename), CALL(link), CALL(mkdir), CALL(rmdir), CALL(chmod),
#endif
};
static const struct bpf_call removing[] = {
	CALL(unlinkat),
#ifdef SYS_unlink
	CALL(unlink),
#endif
};
/* clang-format on */

static size_t add(struct bpf_call *list, size_t n, const struct bpf_call *more, size_t count)
{
	memcpy(list + n, more, count * sizeof(*more));
	return n + count;
}

static size_t list_calls(const struct cage *c, pid_t child, struct bpf_call *list)
{
	const struct bpf_call self = IF(tgkill, 0, EXACT, (uint32_t)getpid()); /* raise(3) */
	const struct bpf_call command = IF(kill, 0, EXACT, (uint32_t)child);
	size_t n = add(list, 0, calls, ARRAY_LEN(calls));

	n = c->writes ? add(list, n, writing, ARRAY_LEN(writing))
		      : add(list, n, read_only, ARRAY_LEN(read_only));
	if (c->writes || c->removes)
		n = add(list, n, removing, ARRAY_LEN(removing));
	n = add(list, n, &self, 1);
	return child > 0 ? add(list, n, &command, 1) : n;
}

/* ---- the end of whoever does something else ---- */

/* The forbidden calls that tell most; of the others the number is told. */
static const char *name_of(int nr)
{
#define NAME(name)                                                                                 \
	{                                                                                          \
		SYS_##name, #name                                                                  \
	}
	/* clang-format off */
	static const struct {
		int nr;
		const char *name;
	} known[] = {
		NAME(execve), NAME(execveat), NAME(clone), NAME(ptrace), NAME(openat), NAME(socket),
		NAME(ioctl), NAME(kill), NAME(tkill), NAME(tgkill), NAME(mmap), NAME(mprotect),
		NAME(prlimit64), NAME(setns), NAME(unshare), NAME(mount), NAME(umount2),
		NAME(pivot_root), NAME(chroot), NAME(bpf), NAME(perf_event_open), NAME(keyctl),
		NAME(process_vm_readv), NAME(process_vm_writev), NAME(pidfd_open),
		NAME(pidfd_getfd), NAME(memfd_create), NAME(prctl), NAME(seccomp), NAME(setuid),
		NAME(setgid), NAME(capset), NAME(renameat2), NAME(unlinkat), NAME(linkat),
		NAME(symlinkat), NAME(mkdirat), NAME(fchmodat), NAME(fchownat), NAME(chdir),
		NAME(truncate), NAME(init_module), NAME(kexec_load), NAME(userfaultfd),
#ifdef SYS_fork
		NAME(fork), NAME(vfork), NAME(open), NAME(creat), NAME(rename), NAME(unlink),
		NAME(link), NAME(symlink), NAME(mkdir), NAME(rmdir), NAME(chmod), NAME(chown),
#endif
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (known[i].nr == nr)
			return known[i].name;
	return NULL;
}

/* In a handler of a synchronous signal only what is safe there (signal-safety(7)), and nothing
 * that takes memory: snprintf(3) of words and numbers does not, in the C libraries that we know. */
static void on_violation(int signo, siginfo_t *info, void *context)
{
	const char *name = name_of(info->si_syscall);
	char text[256];
	int n;

	UNUSED(signo);
	UNUSED(context);
	n = snprintf(text, sizeof(text),
		"nsnet-host: the sandbox ended the program: it tried %s%s%d, which is not allowed "
		"after the start; please report it (--no-sandbox goes on without)\n",
		name ? name : "system call", name ? "(2), call " : " ", info->si_syscall);
	log_rescue();
	if (n > 0)
		(void)!write(STDERR_FILENO, text, (size_t)n);
	_exit(CAGE_STATUS);
}

static int lock_calls(const struct cage *c, pid_t child)
{
	struct sigaction act = {.sa_sigaction = on_violation, .sa_flags = SA_SIGINFO | SA_NODEFER};
	struct bpf_call list[BPF_CALLS_MAX];
	struct sock_filter code[1024];
	struct sock_fprog program = {.filter = code};
	int n = bpf_compile(list, list_calls(c, child, list), code, ARRAY_LEN(code));

	if (n < 0)
		return n;
	program.len = (unsigned short)n;
	if (sigaction(SIGSYS, &act, NULL) == -1)
		return -errno;
	/* TSYNC: threads too. SPEC_ALLOW: it guards nothing from the code that it filters. */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		    SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) == 0)
		return 0;
	return -errno;
}

/* ---- the files ---- */

/* Where an /etc/resolv.conf leads that is a link. The host may point it elsewhere later. */
static const char *const readable[] = {
	"/etc",
	"/proc",
	"/run/systemd/resolve",
	"/run/resolvconf",
	"/run/NetworkManager",
	"/run/connman",
	"/run/netconfig",
	"/mnt/wsl",
	"/nix/store",
	"/usr/share/zoneinfo",
	"/dev/null",
	"/dev/urandom",
};

void cage_init(struct cage *c)
{
	*c = (struct cage){0};
}

void cage_fini(struct cage *c)
{
	for (size_t i = 0; i < c->count; i++)
		free((char *)c->path[i].path);
	cage_init(c);
}

int cage_allow(struct cage *c, enum landlock_access access, const char *path)
{
	struct stat st;
	const char *slash = strrchr(path, '/');
	size_t len;
	char *copy;

	if (c->locked)
		return 0;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		len = strlen(path);
	else
		len = slash ? (size_t)(slash - path) + 1 : 0;
	for (size_t i = 0; i < c->count; i++)
		if (c->path[i].access == access && strlen(c->path[i].path) == len &&
			strncmp(c->path[i].path, path, len) == 0)
			return 0;
	if (c->count == CAGE_PATHS_MAX)
		return -ENOSPC;
	copy = len ? strndup(path, len) : strdup(".");
	if (!copy)
		return -ENOMEM;
	c->path[c->count++] = (struct landlock_rule){copy, access};
	c->writes = c->writes || access == LANDLOCK_WRITE;
	c->removes = c->removes || access == LANDLOCK_REMOVE;
	return 0;
}

void cage_allow_processes(struct cage *c)
{
	c->sees_processes = true;
}

static int lock_files(const struct cage *c)
{
	struct landlock_rule rule[CAGE_PATHS_MAX + ARRAY_LEN(readable) + 1];
	char resolv[PATH_MAX] = "";
	size_t n = 0;
	int err;

	for (size_t i = 0; i < ARRAY_LEN(readable); i++)
		rule[n++] = (struct landlock_rule){readable[i], LANDLOCK_READ};
	for (size_t i = 0; i < c->count; i++)
		rule[n++] = c->path[i];
	if (realpath("/etc/resolv.conf", resolv)) {
		char *slash = strrchr(resolv, '/');

		slash[slash == resolv] = '\0';
		/* Never the root: one file there, then, and it stays the one that it is. */
		rule[n++] = (struct landlock_rule){slash == resolv ? "/etc/resolv.conf" : resolv,
			LANDLOCK_READ};
	}
	err = landlock_confine(rule, n);
	if (err == -ENOSYS || err == -EOPNOTSUPP) {
		log_info("this kernel has no Landlock: the program could read every file of the "
			 "user's");
		return 0;
	}
	return err;
}

/* ---- the rest ---- */

/* All but the right to listen at a low port, which a port published later may need. */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) == -1)
		return -errno;
	data[0].effective &= 1u << CAP_NET_BIND_SERVICE;
	data[0].permitted &= 1u << CAP_NET_BIND_SERVICE;
	data[0].inheritable = 0;
	data[1] = (struct __user_cap_data_struct){0};
	return syscall(SYS_capset, &header, data) == -1 ? -errno : 0;
}

static int lock_privileges(void)
{
	const struct rlimit none = {0};

	/* Not dumpable: no core, no debugger of the same user, and our memory and descriptors in
	 * /proc belong to root. Ours only: what we read of others in there is not touched by it. */
	if (setrlimit(RLIMIT_CORE, &none) == -1 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return -errno;
	return drop_capabilities();
}

int cage_enter(struct cage *c, pid_t child, const char **step)
{
	int err;

	c->locked = true;
#ifdef NSNET_NO_CAGE
	*step = "";
	return 0;
#endif
	*step = "dropping privileges";
	err = lock_privileges();
	if (!err && !c->sees_processes) {
		*step = "Landlock";
		err = lock_files(c);
	}
	if (!err) {
		*step = "the system call filter";
		err = lock_calls(c, child);
	}
	return err;
}
