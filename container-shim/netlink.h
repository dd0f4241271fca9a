/* SPDX-License-Identifier: MIT */
#ifndef SHIM_NETLINK_H
#define SHIM_NETLINK_H

#include <net/if.h>

#include "options.h"

/* netlink - links, addresses and routes by rtnetlink(7), one request at a time.
 *
 * Functions return 0 or a negative errno, the kernel's own where it refused.
 */

/* A route socket of the current network namespace, or -errno. */
int netlink_open(void);

/* A NETLINK_SOCK_DIAG socket (sock_diag(7)) of the current network namespace,
 * or -errno. */
int netlink_open_diag(void);

/* Brings @index up; @mtu and @queue (packets) are set too where not 0. */
int netlink_link_up(int fd, unsigned index, unsigned mtu, unsigned queue);

/* No IPv6 link-local address of the kernel's own making on @index: it would
 * send router solicitations and multicast reports that nobody answers. */
int netlink_no_link_local(int fd, unsigned index);

/* No queueing discipline on @index. */
int netlink_no_queue(int fd, unsigned index);

int netlink_add_address4(int fd, unsigned index, const struct net4 *net);

/* Without duplicate address detection: usable at once. */
int netlink_add_address6(int fd, unsigned index, const struct net6 *net);

/* The default route, by the next address after @net's own if its network has
 * one, else by the device. */
int netlink_add_route4(int fd, unsigned index, const struct net4 *net);
int netlink_add_route6(int fd, unsigned index, const struct net6 *net);

#endif
