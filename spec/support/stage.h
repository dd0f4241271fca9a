/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_STAGE_H
#define NSNET_SPEC_STAGE_H

/* stage - where programs run that must work for an ordinary user.
 *
 * stage_enter(), first in main(): a spec that root runs continues as an
 * unprivileged user in a mount namespace of its own with the /dev/net/tun of an
 * ordinary machine (mode 0666). Root hides bugs.
 */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define STAGE_UID 31234
#define STAGE_GID 31235

static inline void stage_fail(const char *what)
{
	fprintf(stderr, "stage: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* The tun driver's node, usable by all, in this mount namespace alone. */
static inline void stage_open_tun(void)
{
	if (access("/dev/net/tun", F_OK) == -1)
		return;
	/* A directory that exists everywhere and that nobody here needs. */
	if (mount("stage", "/mnt", "tmpfs", 0, "mode=755") == -1)
		stage_fail("mount a tmpfs on /mnt");
	if (mknod("/mnt/tun", S_IFCHR | 0666, makedev(10, 200)) == -1)
		stage_fail("mknod");
	if (chmod("/mnt/tun", 0666) == -1)
		stage_fail("chmod");
	if (mount("/mnt/tun", "/dev/net/tun", "none", MS_BIND, NULL) == -1)
		stage_fail("bind /dev/net/tun");
	umount2("/mnt", MNT_DETACH);
}

static inline void stage_drop_root(void)
{
	if (setgroups(0, NULL) == -1 || setresgid(STAGE_GID, STAGE_GID, STAGE_GID) == -1 ||
		setresuid(STAGE_UID, STAGE_UID, STAGE_UID) == -1)
		stage_fail("become an ordinary user");
	/* A change of uid hides /proc/self from ourselves. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static inline void stage_enter(void)
{
	if (geteuid() != 0)
		return;
	if (unshare(CLONE_NEWNS) == -1 ||
		mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == -1)
		stage_fail("make a mount namespace");
	stage_open_tun();
	stage_drop_root();
}

/* Under valgrind, which knows neither mount_setattr(2) nor int 0x80? */
static inline int stage_is_valgrind(void)
{
	const char *mode = getenv("NSNET_MODE");

	return mode && strcmp(mode, "valgrind") == 0;
}

/* Can this machine make the namespaces and devices that the spec is about? */
static inline int stage_has_tun(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd != -1)
		close(fd);
	return fd != -1;
}

/* The path of a program of the build that this spec belongs to, from
 * BUILD/spec/DIR/NAME_spec. Static storage. */
static inline const char *stage_program(const char *name)
{
	static char path[PATH_MAX + 64];
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n == -1)
		stage_fail("readlink /proc/self/exe");
	self[n] = '\0';
	for (int up = 0; up < 3; up++)
		*strrchr(self, '/') = '\0';
	snprintf(path, sizeof(path), "%s/%s", self, name);
	return path;
}

#endif
