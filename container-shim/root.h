/* SPDX-License-Identifier: MIT */
#ifndef SHIM_ROOT_H
#define SHIM_ROOT_H

/* root - a directory that is to become somebody's root. */

/* Binds the tun driver's node @tun_path at dev/net/tun of @root, in the mount namespace of this
 * process, and makes what is missing there. What a path component of it is a symbolic link to is
 * somebody else's: that is refused. 0 or -errno. */
int root_bind_tun(const char *root, const char *tun_path);

#endif
