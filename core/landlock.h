/* SPDX-License-Identifier: MIT */
#ifndef NSNET_LANDLOCK_H
#define NSNET_LANDLOCK_H

#include <stddef.h>

/* landlock - which files this process may open from now on (landlock(7), Linux 5.13).
 *
 * Descriptors that are open stay as they are, and so do stat(2) and unix sockets. One thing comes
 * with it: a process so confined may not look into others that are not, so of
 * /proc/PID it sees only what needs no ptrace(2) right: no fd, exe, cwd or ns. */

enum landlock_access {
	LANDLOCK_READ,   /* files and directories */
	LANDLOCK_REMOVE, /* files and sockets */
	LANDLOCK_WRITE,  /* files, sockets and directories: make, write, rename, remove; and read */
};

struct landlock_rule {
	const char *path; /* a directory, with all that is beneath it, or one file */
	enum landlock_access access;
};

/* Confines the calling thread, and what it starts, to the @n rules; a path that does not exist
 * counts for nothing. For good. no_new_privs must be set. 0, -ENOSYS or -EOPNOTSUPP where
 * the kernel has none of it, else another negative errno. */
int landlock_confine(const struct landlock_rule *rules, size_t n);

#endif
