/* SPDX-License-Identifier: MIT */
#ifndef NSNET_INSIDE_H
#define NSNET_INSIDE_H

#include <stdbool.h>

#include "addr.h"

/* inside - the addresses of the namespace: the command's network, and those that are ours in it. */

#define INSIDE_NET4 "10.0.0.1/24"
#define INSIDE_NET6 "fd6e:736e:6574::1/64"

/* The last byte of ours (IPv4), the last two (IPv6). */
#define INSIDE_DNS4 53
#define INSIDE_DNS6 0x53
#define INSIDE_HOST4 100 /* the host's loopback, if it is opened */
#define INSIDE_HOST6 0x100

/* "10.0.0.1/24": an address of that version without a port, and the bits of its network, which
 * leave room for our own: 8 to 24, or 8 to 120. */
bool inside_is_network(const char *text, unsigned version);

/* The network of "10.0.0.1/24", which was checked: without the host's part. */
struct cidr inside_network(const char *text);

/* The command's own address: "10.0.0.1". */
struct addr inside_address(const char *text);

/* The address number @host in @net. */
struct addr inside_self(const struct cidr *net, unsigned host);

#endif
