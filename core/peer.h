/* SPDX-License-Identifier: MIT */
#ifndef NSNET_PEER_H
#define NSNET_PEER_H

#include <stdbool.h>
#include <sys/types.h>

/* peer - who is at the other end of a unix socket. The command has our uid, so modes of files do
 * not keep it away: its namespaces tell it apart. */

/* True if whoever connected @fd is outside every namespace of ours, and our user or root. Its pid
 * (*@pid, 0: unknown) could be another's by now: if the kernel gives us a handle, it has to live
 * still after we looked. */
bool peer_welcome(int fd, pid_t *pid);

#endif
