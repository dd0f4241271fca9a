/* SPDX-License-Identifier: MIT */
#ifndef NSNET_RECALL_H
#define NSNET_RECALL_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "process.h"

/* recall - what was found out of the command's processes, as long as it must still be true.
 *
 * The set: while no process and no thread has been made since it was written down, which
 * /proc/loadavg tells by the last id that was given out (proc(5)), no other can have come to it.
 * The process: it is the same program if the memory that /proc/PID/environ was opened in is still
 * in use, which ends with exec (execve(2)), and its name, its words and its directory are compared;
 * within one round of the loop that is done once.
 *
 * Embedded in struct who.
 */
#define RECALL_PROCESSES 512
#define RECALL_FDS 256

struct recall {
	struct ev_loop *loop; /* borrowed; NULL = nothing is the same round */
	int loadavg;          /* owned; 0 = not opened yet, -1 = none: nothing is recalled */
	char mark[24];        /* the last id that was given out */
	double marked;        /* when the set was written down, CLOCK_MONOTONIC */
	pid_t seen[RECALL_PROCESSES];
	size_t count; /* 0 = nothing */

	struct process *process;     /* held: who was found last, or NULL */
	int fds, environ, comm, cmd; /* owned: of it in /proc, or -1 */
	ev_tstamp checked;
	/* Where it had sockets, and which: the one looked at longest ago first. */
	struct recall_slot {
		int fd;
		uint32_t inode;
	} slot[RECALL_FDS];
	size_t slot_count;
	int next;   /* behind the one found last by looking around */
	bool grows; /* and that one was not given back before: there are ever more */
};

void recall_init(struct recall *r, struct ev_loop *loop);
void recall_fini(struct recall *r); /* safe on a zeroed one */

/* True if the set @seen is still all of them. Else it is forgotten, and one that is looked for from
 * now on may be written down by recall_note(). */
bool recall_stands(struct recall *r);
void recall_note(struct recall *r, const pid_t *seen, size_t count);

/* The descriptor at which the process found last has, at this moment, the socket @inode; -1: it
 * is none of those that were likely. */
int recall_fd(struct recall *r, uint32_t inode);
/* It had @inode at @fd. */
void recall_note_fd(struct recall *r, int fd, uint32_t inode);

/* The process found last, held, if it is @pid and as it was; else NULL. */
struct process *recall_process(struct recall *r, pid_t pid);
/* @p was found. */
void recall_note_process(struct recall *r, struct process *p);

#endif
