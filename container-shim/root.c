/* SPDX-License-Identifier: MIT */
#include "root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* The directory @name of @parent (closed), made if it is missing; or -errno. */
static int enter(int parent, const char *name)
{
	int fd, err = 0;

	if (parent < 0)
		return parent;
	if (mkdirat(parent, name, 0755) == -1 && errno != EEXIST && errno != EROFS)
		err = -errno;
	fd = err ? -1 : openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (!err && fd == -1)
		err = -errno;
	close(parent);
	return err ? err : fd;
}

/* The file tun of @dir (closed), made if it is missing; or -errno. */
static int make_node(int dir)
{
	struct stat st;
	int fd, err = 0;

	if (dir < 0)
		return dir;
	if (mknodat(dir, "tun", S_IFREG | 0666, 0) == -1 && errno != EEXIST && errno != EROFS)
		err = -errno;
	fd = err ? -1 : openat(dir, "tun", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (!err && (fd == -1 || fstat(fd, &st) == -1))
		err = -errno;
	if (!err && S_ISLNK(st.st_mode))
		err = -ELOOP;
	close(dir);
	if (err && fd != -1)
		close(fd);
	return err ? err : fd;
}

int root_bind_tun(const char *root, const char *tun_path)
{
	int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char target[64];
	int err = 0;

	if (fd == -1)
		return -errno;
	fd = make_node(enter(enter(fd, "dev"), "net"));
	if (fd < 0)
		return fd;
	snprintf(target, sizeof(target), "/proc/self/fd/%d", fd);
	if (mount(tun_path, target, NULL, MS_BIND, NULL) == -1)
		err = -errno;
	close(fd);
	return err;
}
