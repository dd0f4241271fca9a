/* SPDX-License-Identifier: MIT */
#ifndef SHIM_USERNS_H
#define SHIM_USERNS_H

#include <stdbool.h>
#include <sys/types.h>

/* userns - the namespaces of the command (user_namespaces(7)).
 *
 * The maps have one line each, because one line needs no privilege and no
 * helper program; they are written once and final. setgroups is denied first,
 * which the kernel demands, so supplementary groups stay as they are and show
 * as the overflow group inside.
 */

/* The caller's ids; to be asked before the unshare, after which they read as
 * the overflow id until the maps are written. */
struct ids {
	uid_t uid;
	gid_t gid;
};

struct ids userns_ids(void);

/* New user, network and mount namespace for this process. 0 or -errno. */
int userns_unshare(void);

/* Enters the user namespace @user (NULL, or our own: stay) and the network namespace @net, given as
 * files (/proc/PID/ns/net). 0 or -errno. */
int userns_join(const char *user, const char *net);

/* Maps @outside to itself, or to 0 when @root. 0 or -errno. */
int userns_map(const struct ids *outside, bool root);

/* Keeps every later mount in this namespace, and lets no file give privileges:
 * with no_new_privs none could, and an exec of a file whose capabilities exceed
 * the bounding set would be refused rather than run without them. Returns 1;
 * 0 if the mounts are private but files may still carry privileges (kernels
 * before 5.12); -errno. */
int userns_confine_mounts(void);

#endif
