/* SPDX-License-Identifier: MIT */
#ifndef NSNET_PROCESS_H
#define NSNET_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

/* process - what /proc says of a process, as it was at one moment. A value that is shared: whoever
 * keeps one holds it, and lets it go by process_put(). */
#define PROCESS_ARGV_MAX 4096 /* bytes */
#define PROCESS_PARENTS_MAX 32
#define PROCESS_NAME_MAX 16 /* proc(5), comm: 15 bytes */

struct process_parent {
	pid_t pid;
	char name[PROCESS_NAME_MAX];
};

struct process {
	unsigned holds;
	pid_t pid;
	char name[PROCESS_NAME_MAX]; /* comm: any bytes but zero */
	char *exe, *cwd;             /* owned; NULL: not known */
	char *argv;                  /* owned: words, each ended by zero; NULL: not known */
	size_t argv_len;             /* with the zeros */
	struct process_parent parents[PROCESS_PARENTS_MAX]; /* nearest first */
	size_t parent_count;
};

/* What is known of @pid, held; its ancestors up to @root, which is the last of them. NULL if it is
 * gone, or without memory. */
struct process *process_read(pid_t pid, pid_t root);

struct process *process_hold(struct process *p); /* @p may be NULL */
void process_put(struct process *p);             /* the same */

/* The parent of @pid, and its name (PROCESS_NAME_MAX; may be NULL); negative errno. */
pid_t process_parent(pid_t pid, char *name);

#endif
