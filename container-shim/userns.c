/* SPDX-License-Identifier: MIT */
#include "userns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file.h"

struct ids userns_ids(void)
{
	return (struct ids){.uid = geteuid(), .gid = getegid()};
}

int userns_unshare(void)
{
	/* One call: the user namespace comes first in it and owns the others. */
	return unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) == -1 ? -errno : 0;
}

/* setns(2) refuses the namespace that one is in. */
static bool is_own_user(int fd)
{
	struct stat own, other;

	return stat("/proc/self/ns/user", &own) == 0 && fstat(fd, &other) == 0 &&
		own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

static int enter(int fd, int type)
{
	if (type == CLONE_NEWUSER && is_own_user(fd))
		return 0;
	return setns(fd, type) == -1 ? -errno : 0;
}

int userns_join(const char *user, const char *net)
{
	/* Both before the first step: from inside, /proc may show neither. */
	int user_fd = user ? open(user, O_RDONLY | O_CLOEXEC) : -1;
	int net_fd, err = 0;

	if (user && user_fd == -1)
		return -errno;
	net_fd = open(net, O_RDONLY | O_CLOEXEC);
	if (net_fd == -1)
		err = -errno;
	if (!err && user)
		err = enter(user_fd, CLONE_NEWUSER);
	if (!err)
		err = enter(net_fd, CLONE_NEWNET);
	if (net_fd != -1)
		close(net_fd);
	if (user_fd != -1)
		close(user_fd);
	return err;
}

static int write_map(const char *path, unsigned inside, unsigned outside)
{
	char line[64];

	snprintf(line, sizeof(line), "%u %u 1\n", inside, outside);
	return file_write(path, line);
}

int userns_map(const struct ids *outside, bool root)
{
	int err = file_write("/proc/self/setgroups", "deny");

	/* ENOENT: a kernel older than 3.19, which asks for no denial. */
	if (err && err != -ENOENT)
		return err;
	err = write_map("/proc/self/uid_map", root ? 0 : outside->uid, outside->uid);
	if (err)
		return err;
	return write_map("/proc/self/gid_map", root ? 0 : outside->gid, outside->gid);
}

int userns_confine_mounts(void)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_NOSUID,
		.propagation = MS_PRIVATE,
	};

	if (syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &attr, sizeof(attr)) == 0)
		return 1;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ? -errno : 0;
}
