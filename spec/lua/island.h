/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SPEC_ISLAND_H
#define NSNET_SPEC_ISLAND_H

/* island - puts the spec into a network of its own: the loopback, and a resolv.conf that names
 * 127.0.0.53, where nobody is unless the spec is. Nothing a spec does leaves the machine.
 */

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

static inline int island_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

/* Call first in main(), before any thread. Ends the program if it cannot be. */
static inline void island_enter(void)
{
	unsigned uid = geteuid(), gid = getegid();
	char map[64], path[] = "/tmp/nsnet-spec-XXXXXX";
	int flags = CLONE_NEWNET | CLONE_NEWNS | (uid ? CLONE_NEWUSER : 0);
	struct ifreq lo = {.ifr_name = "lo"};
	if (unshare(flags) == -1) {
		printf("1..0 # SKIP no namespaces here: %s\n", strerror(errno));
		exit(0);
	}
	if (uid) {
		island_write("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "0 %u 1", uid);
		if (island_write("/proc/self/uid_map", map))
			exit(70);
		snprintf(map, sizeof(map), "0 %u 1", gid);
		if (island_write("/proc/self/gid_map", map))
			exit(70);
	}
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0 || ioctl(s, SIOCGIFFLAGS, &lo) == -1)
		exit(70);
	lo.ifr_flags |= IFF_UP;
	if (ioctl(s, SIOCSIFFLAGS, &lo) == -1)
		exit(70);
	close(s);
	int fd = mkstemp(path);
	if (fd < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == -1 ||
		island_write(path, "nameserver 127.0.0.53\n") ||
		mount(path, "/etc/resolv.conf", "none", MS_BIND, NULL) == -1) {
		perror("island");
		exit(70);
	}
	close(fd);
	unlink(path);
}

#endif
