/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LISTENERS_H
#define NSNET_LISTENERS_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"

/* listeners - which sockets of a network namespace wait for callers, as sock_diag(7) tells: TCP
 * sockets that listen, and UDP sockets that are bound and not connected. */
struct listening {
	struct addr at;  /* IPv4 in IPv6 is unfolded; all zeros: every address */
	bool both;       /* at is ::, and IPv4 comes there, too */
	uint32_t device; /* the interface that it is bound to; 0 = any */
};

typedef void listeners_fn(void *arg, const struct listening *l); /* @l is borrowed */

/* Tells @fn of each of protocol @proto (IPPROTO_TCP, IPPROTO_UDP). @diag: a NETLINK_SOCK_DIAG
 * socket that was made in the namespace. The kernel answers within the call. 0, or a negative
 * errno: then @fn may not have been told of all. */
int listeners_ask(int diag, int proto, listeners_fn *fn, void *arg);

#endif
