/* SPDX-License-Identifier: MIT */
#ifndef NSNET_SOCKDIAG_H
#define NSNET_SOCKDIAG_H

#include <linux/inet_diag.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

/* sockdiag - questions about the sockets of a network namespace (sock_diag(7)).
 *
 * @fd is a NETLINK_SOCK_DIAG socket that was made in that namespace; one question at a time. The
 * kernel answers within the call, so none waits, and what an earlier question left is passed over.
 */

/* One socket; its attributes (struct rtattr) are the @rest bytes behind @d. Both are borrowed. */
typedef void sockdiag_fn(void *arg, const struct inet_diag_msg *d, size_t rest);

/* Tells @fn of each socket of AF_INET or AF_INET6, IPPROTO_TCP or IPPROTO_UDP, that is in one of
 * @states (bits 1 << TCP_LISTEN...; of UDP TCP_CLOSE has no peer). 0, or a negative errno: then
 * @fn may not have been told of all (-EINTR: sockets came or went meanwhile; ask again). */
int sockdiag_each(int fd, uint8_t family, uint8_t proto, uint32_t states, sockdiag_fn *fn,
	void *arg);

/* The inode of the socket of @proto that talks from @src to @dst; 0 if there is none, no process
 * holds it any more, or the kernel cannot tell. */
uint32_t sockdiag_inode(int fd, uint8_t proto, const struct addr *src, const struct addr *dst);

#endif
