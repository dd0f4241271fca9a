/* SPDX-License-Identifier: MIT */
#ifndef NSNET_CAGE_H
#define NSNET_CAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "landlock.h"

/* cage - what is left of this process's rights once it serves a hostile command (--no-sandbox
 * leaves it open).
 *
 * Whoever takes over this process through a packet must find nothing to steal. From cage_enter()
 * on: no program is started, no process made, traced or signaled but the command; no file is
 * opened for writing, or only beneath the directories that cage_allow() named; of the
 * file system only /etc, /proc, the scripts' directories and a few more can be read; no sockets
 * but TCP, UDP, ping and unix ones; no executable memory; no core file, no debugger.
 *
 * A call that is not allowed ends the process with one line that names it, and CAGE_STATUS; but to
 * open a file in the wrong way is an error (EACCES). */

#define CAGE_STATUS 159 /* as a shell reports SIGSYS */

#define CAGE_PATHS_MAX 64

struct cage {
	struct landlock_rule path[CAGE_PATHS_MAX]; /* owns the paths */
	size_t count;
	bool writes;         /* one of them is for writing */
	bool removes;        /* or for removing */
	bool sees_processes; /* see cage_allow_processes() */
	bool locked;
};

void cage_init(struct cage *c);
void cage_fini(struct cage *c);

/* Leaves @path open to what comes later: a directory with all that is beneath it, or the directory
 * of a file, whether that is there yet or not. For whatever opens, renames or removes files after
 * the start: scripts (reload), logs and captures (rotation), the control socket.
 * 0 or negative errno; 0 once it is locked, too: then nothing changes any more. */
int cage_allow(struct cage *c, enum landlock_access access, const char *path);

/* For what reads /proc/PID/fd, exe, cwd or ns of other processes after the start: Landlock would
 * hide them, so it is left out, and every file of the user's stays readable. */
void cage_allow_processes(struct cage *c);

/* Locks; in a build for a sanitizer or valgrind, whose own calls it would forbid, it does not.
 * @child is the one process that may still be signaled, -1 for none. 0; else negative
 * errno, with *@step naming what failed: then this process must not serve. */
int cage_enter(struct cage *c, pid_t child, const char **step);

#endif
