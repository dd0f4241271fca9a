/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_SIZE 64

/* At most @size bytes of /proc/@pid/@name, or a negative errno. */
static ssize_t read_file(pid_t pid, const char *name, char *out, size_t size)
{
	char path[PATH_SIZE];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	do {
		n = read(fd, out, size);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		n = -errno;
	close(fd);
	return n;
}

static char *read_link(pid_t pid, const char *name)
{
	char path[PATH_SIZE], to[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	n = readlink(path, to, sizeof(to) - 1);
	return n > 0 ? strndup(to, (size_t)n) : NULL;
}

pid_t process_parent(pid_t pid, char *name)
{
	char stat[512], *open_paren, *close_paren;
	ssize_t n = read_file(pid, "stat", stat, sizeof(stat) - 1);
	size_t len;
	long parent;
	char *end;

	if (n < 0)
		return (pid_t)n;
	stat[n] = '\0';
	/* "pid (name) state ppid": the name may have any characters, parentheses too. */
	open_paren = strchr(stat, '(');
	close_paren = strrchr(stat, ')');
	if (!open_paren || !close_paren || close_paren < open_paren || strlen(close_paren) < 5)
		return -EPROTO;
	parent = strtol(close_paren + 4, &end, 10);
	if (end == close_paren + 4 || parent < 0 || parent > INT_MAX)
		return -EPROTO;
	if (name) {
		len = (size_t)(close_paren - open_paren - 1);
		if (len >= PROCESS_NAME_MAX)
			len = PROCESS_NAME_MAX - 1;
		memcpy(name, open_paren + 1, len);
		name[len] = '\0';
	}
	return (pid_t)parent;
}

static void read_argv(struct process *p)
{
	char argv[PROCESS_ARGV_MAX];
	ssize_t n = read_file(p->pid, "cmdline", argv, sizeof(argv));

	if (n <= 0)
		return;
	if (argv[n - 1] && n == sizeof(argv)) /* cut */
		argv[n - 1] = '\0';
	else if (argv[n - 1])
		argv[n++] = '\0';
	p->argv = malloc((size_t)n);
	if (!p->argv)
		return;
	memcpy(p->argv, argv, (size_t)n);
	p->argv_len = (size_t)n;
}

struct process *process_read(pid_t pid, pid_t root)
{
	struct process *p = calloc(1, sizeof(*p));
	pid_t at, up;

	if (!p)
		return NULL;
	p->holds = 1;
	p->pid = pid;
	up = process_parent(pid, p->name);
	if (up < 0) {
		process_put(p);
		return NULL;
	}
	p->exe = read_link(pid, "exe");
	p->cwd = read_link(pid, "cwd");
	read_argv(p);
	for (at = pid; at != root && up > 1 && p->parent_count < PROCESS_PARENTS_MAX;) {
		struct process_parent *parent = &p->parents[p->parent_count];

		at = parent->pid = up;
		up = process_parent(at, parent->name);
		if (up < 0)
			break;
		p->parent_count++;
	}
	/* What does not lead to the command is no ancestry of its kind: an orphan was adopted. */
	if (at != root)
		p->parent_count = 0;
	return p;
}

struct process *process_hold(struct process *p)
{
	if (p)
		p->holds++;
	return p;
}

void process_put(struct process *p)
{
	if (!p || --p->holds)
		return;
	free(p->exe);
	free(p->cwd);
	free(p->argv);
	free(p);
}
