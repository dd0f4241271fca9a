/* SPDX-License-Identifier: MIT */
#ifndef SHIM_TUN_H
#define SHIM_TUN_H

#include <stdbool.h>

/* tun - the device that carries all traffic of the namespace
 * (Documentation/networking/tuntap.rst).
 */

/* Opens the driver's node. The device will live in the network namespace that
 * this process is in now. Returns a close-on-exec descriptor or -errno. */
int tun_open(const char *path);

/* Makes @fd a device called @name: layer 3, no packet information, a
 * virtio_net_hdr of 10 bytes, checksum and segmentation offload. It ends with @fd, or if @keep
 * with its namespace. 0 or -errno. */
int tun_create(int fd, const char *name, bool keep);

#endif
