/* SPDX-License-Identifier: MIT */
#ifndef SHIM_SYSCTL_H
#define SHIM_SYSCTL_H

#include <sys/types.h>

/* sysctl - kernel settings of the new network namespace.
 *
 * /proc/sys/net shows the namespace of whoever opens a file there. All of it
 * is best effort (a container may have /proc/sys read-only): a failure is noted
 * with -v and costs speed or comfort, never safety.
 */

/* Settings that do not depend on a device. @gid is the caller's group as seen
 * inside: its members may send pings. */
void sysctl_tune(gid_t gid);

#endif
