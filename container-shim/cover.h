/* SPDX-License-Identifier: MIT */
#ifndef SHIM_COVER_H
#define SHIM_COVER_H

/* cover - mounts over what the command must not see, or must see differently.
 *
 * They are made in a mount namespace that nobody else is in and that belongs to
 * our user namespace: they end with it, whatever is killed. The command can
 * not lift them: it has no capability there, and in a user namespace of its own
 * making every mount it inherits is locked (mount_namespaces(7)).
 */

/* Covers @dir by an empty directory that nobody can write. 0 or -errno. */
int cover_directory(const char *dir);

/* The same for what may be no directory: a file or socket is covered by /dev/null. */
int cover(const char *path);

/* Lets resolv.conf name the @dns servers (NULL-terminated, textual addresses),
 * with the search and options lines of the host's file, at every path by which
 * it is reached; and covers the sockets of name service daemons, which would
 * answer from the host's network. Returns 0, or -errno after a message if
 * resolv.conf is still the host's. */
int cover_resolv(const char *const *dns);

#endif
