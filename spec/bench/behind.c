/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "behind.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define BEHIND_CC "/proc/sys/net/ipv4/tcp_congestion_control"

static int behind_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd == -1 || write(fd, text, strlen(text)) == -1)
		err = -errno;
	if (fd != -1)
		close(fd);
	if (err)
		fprintf(stderr, "load: behind: cannot write %s to %s: %s\n", text, path,
			strerror(-err));
	return err;
}

/* Without TSO and GSO every packet that leaves is one frame. */
static int behind_frames(void)
{
	static const unsigned what[] = {ETHTOOL_STSO, ETHTOOL_SGSO};
	struct ethtool_value value = {0};
	struct ifreq request = {.ifr_name = "tun0", .ifr_data = (void *)&value};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = fd == -1;

	for (size_t i = 0; !err && i < sizeof(what) / sizeof(what[0]); i++) {
		value.cmd = what[i];
		err = ioctl(fd, SIOCETHTOOL, &request) == -1;
	}
	if (err)
		perror("load: behind: cannot turn off TSO of tun0");
	if (fd != -1)
		close(fd);
	return err;
}

static int behind_exec(const struct option_set *o)
{
	if (o->frames && behind_frames())
		return 1;
	if (o->cc && behind_write(BEHIND_CC, o->cc) < 0)
		return 1;
	execvp(o->command[0], o->command);
	fprintf(stderr, "load: behind: %s: %s\n", o->command[0], strerror(errno));
	return 127;
}

static int behind_map(void)
{
	char uid[32], gid[32];

	snprintf(uid, sizeof(uid), "0 %d 1", (int)geteuid());
	snprintf(gid, sizeof(gid), "0 %d 1", (int)getegid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == -1) {
		perror("load: behind: unshare");
		return -1;
	}
	if (behind_write("/proc/self/setgroups", "deny") ||
		behind_write("/proc/self/uid_map", uid) || behind_write("/proc/self/gid_map", gid))
		return -1;
	return 0;
}

/* The command's side: @made tells the parent that the namespace exists, @go that it may start. */
static int behind_child(const struct option_set *o, int made, int go)
{
	char byte = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (behind_map() < 0 || write(made, &byte, 1) != 1 || read(go, &byte, 1) != 1)
		return 1;
	close(made);
	close(go);
	return behind_exec(o);
}

static pid_t behind_slirp(pid_t child, int ready, int leave)
{
	char pid_text[16], ready_text[16], leave_text[16];
	pid_t pid;

	snprintf(pid_text, sizeof(pid_text), "%d", (int)child);
	snprintf(ready_text, sizeof(ready_text), "%d", ready);
	snprintf(leave_text, sizeof(leave_text), "%d", leave);
	pid = fork();
	if (pid != 0)
		return pid;
	fcntl(ready, F_SETFD, 0);
	fcntl(leave, F_SETFD, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Its notes go to stderr, which is shown when the run fails. */
	dup2(STDERR_FILENO, STDOUT_FILENO);
	execlp("slirp4netns", "slirp4netns", "--configure", "--mtu=65520",
		"--disable-host-loopback", "--ready-fd", ready_text, "--exit-fd", leave_text,
		pid_text, "tap0", (char *)NULL);
	perror("load: behind: slirp4netns");
	_exit(127);
}

static int behind_with_slirp(const struct option_set *o)
{
	int made[2], go[2], ready[2], leave[2], status = 0;
	pid_t child, slirp;
	char byte = 0;

	if (pipe2(made, O_CLOEXEC) || pipe2(go, O_CLOEXEC) || pipe2(ready, O_CLOEXEC) ||
		pipe2(leave, O_CLOEXEC)) {
		perror("load: behind: pipe");
		return 1;
	}
	child = fork();
	if (child == 0) {
		close(made[0]);
		close(go[1]);
		_exit(behind_child(o, made[1], go[0]));
	}
	close(made[1]);
	close(go[0]);
	if (child == -1 || read(made[0], &byte, 1) != 1)
		return 1;
	slirp = behind_slirp(child, ready[1], leave[0]);
	close(ready[1]);
	close(leave[0]);
	if (slirp == -1 || read(ready[0], &byte, 1) != 1 || write(go[1], &byte, 1) != 1) {
		fputs("load: behind: slirp4netns did not become ready\n", stderr);
		kill(child, SIGKILL);
		return 1;
	}
	while (waitpid(child, &status, 0) == -1 && errno == EINTR)
		;
	close(leave[1]); /* slirp4netns leaves when its exit fd hangs up */
	while (waitpid(slirp, NULL, 0) == -1 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int behind_run(const struct option_set *o)
{
	if (!o->command) {
		fputs("load: behind: no command to run\n", stderr);
		return 2;
	}
	return o->slirp ? behind_with_slirp(o) : behind_exec(o);
}
