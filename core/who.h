/* SPDX-License-Identifier: MIT */
#ifndef NSNET_WHO_H
#define NSNET_WHO_H

#include <stdint.h>
#include <sys/types.h>

#include "addr.h"
#include "bucket.h"
#include "process.h"
#include "recall.h"

/* who - which process of the command a socket in the namespace belongs to.
 *
 * The kernel tells the socket's inode (sock_diag(7), by a netlink socket that was made in the
 * namespace), and /proc/PID/fd tells who has it. It costs some system calls for each descriptor of
 * each process of the command, so it is asked only where somebody wants to know, and as little as
 * possible is asked again (recall.h). There is an answer only if it is certain: the socket still
 * exists, one process has it (the command's descendants are looked at, or all of the namespace if
 * none of them has it), each could be looked at, there are no more than WHO_PROCESSES, and they do
 * not keep so many descriptors that looking at them would keep the loop from its work. Else it is
 * NULL, never a guess.
 *
 * Embedded in the host.
 */
#define WHO_PROCESSES RECALL_PROCESSES

struct who {
	int diag;     /* owned, -1: nobody can be told */
	pid_t root;   /* the command; 0: not begun */
	dev_t device; /* its network namespace */
	ino_t namespace;
	struct recall recall;
	struct bucket
		looks; /* at descriptors, beyond the few that a search needs; by steady_now() */
	uint64_t asked, found;
};

/* @diag: a NETLINK_SOCK_DIAG socket of the namespace; its file description is shared with the
 * caller, who keeps @diag. @loop may be NULL. 0 or negative errno. */
int who_init(struct who *w, int diag, pid_t root, struct ev_loop *loop);
void who_fini(struct who *w); /* safe on a zeroed one */

/* The process whose socket of IPPROTO_TCP or IPPROTO_UDP talks from @src to @dst, held; or NULL. */
struct process *who_find(struct who *w, int proto, const struct addr *src, const struct addr *dst);

#endif
