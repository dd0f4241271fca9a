/* SPDX-License-Identifier: MIT */
#include "tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "report.h"

#define VNET_HEADER_LEN 10 /* struct virtio_net_hdr without num_buffers */

int tun_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd == -1 ? -errno : fd;
}

int tun_create(int fd, const char *name, bool keep)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	int header = VNET_HEADER_LEN;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &request) == -1)
		return -errno;
	if (ioctl(fd, TUNSETVNETHDRSZ, &header) == -1)
		return -errno;
	if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) == -1)
		return -errno;
	/* Else the last close(), at the end of the host, waits 14 to 48 ms for the
	 * device to be taken down. Kept, it goes down with its namespace, which the
	 * kernel does in the background. */
	if (keep && ioctl(fd, TUNSETPERSIST, 1) == -1)
		report_note("cannot keep the tun device: %s", strerror(errno));
	return 0;
}
