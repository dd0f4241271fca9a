/* SPDX-License-Identifier: MIT */
#ifndef SHIM_PRIVILEGE_H
#define SHIM_PRIVILEGE_H

#include <stdbool.h>

/* privilege - what the command must not have.
 *
 * Always: no new privileges by exec, no typing into the terminal (TIOCSTI,
 * TIOCLINUX: the shell outside would run it), no system call by a table whose
 * numbers we do not know, no socket of a family that leads out of a network
 * namespace (AF_VSOCK, AF_QIPCRTR). Where the kernel has such a family now, neither
 * io_uring nor socketcall(2) of 32-bit programs, whose sockets no filter sees.
 * No keys: add_key(2), request_key(2) and keyctl(2) fail as in a kernel without them
 * (ENOSYS). The session keyring comes from the user's login with the secrets in it, and
 * request_key(2) has a helper of the host's look up names (type dns_resolver).
 * Unless @keep_caps: no capability, now or by any exec.
 * With @keep_bound CAP_NET_RAW stays in the bounding set, where it gives nothing:
 * else an exec of ping(8), which carries it as a file capability, is refused on
 * a mount that honors those (capabilities(7)).
 *
 * Returns 0 or -errno; *what then names what was refused.
 */
int privilege_drop(bool keep_caps, bool keep_bound, const char **what);

#endif
