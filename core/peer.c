/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

/* The first bytes of a file. False: it cannot be read. */
static bool read_head(const char *path, char text[64])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd == -1 ? -1 : read(fd, text, 63);

	if (fd != -1)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* Each network namespace has files of its own in /proc/PID/net, and a user namespace shows as
 * another map of users. Unlike /proc/PID/ns anybody may look at both, so this works from inside
 * the cage (landlock.h), and for root. */
static bool same_namespace(pid_t pid)
{
	char net[64], map[64], own_text[64], text[64];
	struct stat own, other;

	snprintf(net, sizeof(net), "/proc/%d/net/dev", (int)pid);
	snprintf(map, sizeof(map), "/proc/%d/uid_map", (int)pid);
	return stat("/proc/self/net/dev", &own) == 0 && stat(net, &other) == 0 &&
		own.st_dev == other.st_dev && own.st_ino == other.st_ino &&
		read_head("/proc/self/uid_map", own_text) && read_head(map, text) &&
		strcmp(own_text, text) == 0;
}

bool peer_welcome(int fd, pid_t *pid)
{
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);
	struct pollfd handle = {.fd = -1, .events = POLLIN};
	bool welcome;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1)
		return false;
	*pid = peer.pid;
	if (peer.pid <= 0 || (peer.uid != geteuid() && peer.uid != 0))
		return false;
	len = sizeof(handle.fd);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &handle.fd, &len) == -1) {
		if (errno != ENOPROTOOPT && errno != EINVAL)
			return false; /* it has ended */
		return same_namespace(peer.pid);
	}
	welcome = same_namespace(peer.pid) && poll(&handle, 1, 0) == 0;
	close(handle.fd);
	return welcome;
}
