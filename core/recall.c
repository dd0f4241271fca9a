/* SPDX-License-Identifier: MIT */
#include "recall.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base.h"

/* So long the ids cannot have gone round to the same one. */
#define STANDS_S 1.0
/* Files that are opened in between, and sockets that have not sent yet, leave gaps. */
#define AHEAD 8

static double monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void forget_process(struct recall *r)
{
	process_put(r->process);
	r->process = NULL;
	r->slot_count = 0;
	r->next = 0;
	r->grows = false;
	close_fd(&r->fds);
	close_fd(&r->environ);
	close_fd(&r->comm);
	close_fd(&r->cmd);
}

void recall_init(struct recall *r, struct ev_loop *loop)
{
	*r = (struct recall){.loop = loop, .fds = -1, .environ = -1, .comm = -1, .cmd = -1};
	r->loadavg = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
}

void recall_fini(struct recall *r)
{
	if (!r->loadavg) /* never begun */
		return;
	forget_process(r);
	close_fd(&r->loadavg);
}

/* ---- the set ---- */

/* The last word of "0.20 0.18 0.12 1/80 11206". */
static bool read_mark(const struct recall *r, char *mark)
{
	char text[96], *at;
	ssize_t n = r->loadavg < 0 ? -1 : pread(r->loadavg, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = '\0';
	at = strrchr(text, ' ');
	if (!at || at[1] < '1' || at[1] > '9' || strlen(at) > 23)
		return false;
	strcpy(mark, at + 1);
	return true;
}

bool recall_stands(struct recall *r)
{
	char mark[sizeof(r->mark)] = "";
	const double now = monotonic();

	if (read_mark(r, mark) && r->count && now - r->marked < STANDS_S &&
		strcmp(mark, r->mark) == 0)
		return true;
	memcpy(r->mark, mark, sizeof(mark));
	r->marked = now;
	r->count = 0;
	return false;
}

void recall_note(struct recall *r, const pid_t *seen, size_t count)
{
	if (!r->mark[0] || count > RECALL_PROCESSES)
		return;
	memcpy(r->seen, seen, count * sizeof(*seen));
	r->count = count;
}

/* ---- descriptors ---- */

static void move_to_end(struct recall *r, size_t i)
{
	const struct recall_slot slot = r->slot[i];

	memmove(&r->slot[i], &r->slot[i + 1], (r->slot_count - i - 1) * sizeof(slot));
	r->slot[r->slot_count - 1] = slot;
}

/* The inode of the socket at @fd at this moment; 0: there is none. */
static uint32_t inode_at(const struct recall *r, int fd)
{
	static const char before[] = "socket:[";
	char name[16], to[64];
	ssize_t n;

	snprintf(name, sizeof(name), "%d", fd);
	n = readlinkat(r->fds, name, to, sizeof(to) - 1);
	to[n > 0 ? n : 0] = '\0';
	return strncmp(to, before, sizeof(before) - 1) == 0
		? (uint32_t)strtoul(to + sizeof(before) - 1, NULL, 10)
		: 0;
}

/* Looks at the slot @i again, which becomes the last one. */
static bool look(struct recall *r, size_t i, uint32_t inode)
{
	struct recall_slot *s = &r->slot[i];

	s->inode = inode_at(r, s->fd);
	inode -= s->inode;
	move_to_end(r, i);
	return inode == 0;
}

static void note(struct recall *r, int fd, uint32_t inode)
{
	size_t i = 0;

	while (i < r->slot_count && r->slot[i].fd != fd)
		i++;
	if (i == RECALL_FDS)
		i = 0;
	else if (i == r->slot_count)
		r->slot_count++;
	r->slot[i] = (struct recall_slot){fd, inode};
	move_to_end(r, i);
}

/* A number that was given back, most likely one that has been in use for long. */
static int look_back(struct recall *r, uint32_t inode)
{
	for (size_t i = 0; i < r->slot_count; i++) {
		if (look(r, 0, inode))
			return r->slot[r->slot_count - 1].fd;
	}
	return -1;
}

/* A number that was never used: a process that keeps its sockets gets one after the other. */
static int look_ahead(struct recall *r, uint32_t inode)
{
	for (int fd = r->next; fd && fd < r->next + AHEAD; fd++) {
		const uint32_t met = inode_at(r, fd);

		if (met)
			note(r, fd, met);
		if (met == inode)
			return fd;
	}
	return -1;
}

int recall_fd(struct recall *r, uint32_t inode)
{
	int fd = -1;

	if (!r->process || r->fds < 0)
		return -1;
	for (size_t i = 0; i < r->slot_count; i++) {
		if (r->slot[i].inode == inode && look(r, i, inode))
			return r->slot[r->slot_count - 1].fd;
	}
	/* A new socket gets the lowest number that is free (POSIX, "File Descriptor Allocation").
	 * What is met on the way, others will ask for. */
	for (int i = 0; i < 2 && fd == -1; i++) {
		if (i)
			r->grows = !r->grows;
		fd = r->grows ? look_ahead(r, inode) : look_back(r, inode);
	}
	if (fd >= 0)
		r->next = fd + 1;
	return fd;
}

void recall_note_fd(struct recall *r, int fd, uint32_t inode)
{
	note(r, fd, inode);
	r->next = fd + 1;
}

/* ---- the process ---- */

static int open_of(pid_t pid, const char *name, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return open(path, O_RDONLY | O_CLOEXEC | flags);
}

static bool same_name(const struct recall *r)
{
	char text[PROCESS_NAME_MAX + 1];
	ssize_t n = pread(r->comm, text, sizeof(text), 0);
	const size_t len = strlen(r->process->name);

	return n == (ssize_t)len + 1 && memcmp(text, r->process->name, len) == 0;
}

static bool same_words(const struct recall *r)
{
	const struct process *p = r->process;
	char text[PROCESS_ARGV_MAX];
	ssize_t n = pread(r->cmd, text, sizeof(text), 0);

	return p->argv && n > 0 && (size_t)n == p->argv_len &&
		memcmp(text, p->argv, (size_t)n) == 0;
}

static bool same_directory(const struct recall *r)
{
	char path[64], to[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/cwd", (int)r->process->pid);
	n = readlink(path, to, sizeof(to));
	return n > 0 && r->process->cwd && strlen(r->process->cwd) == (size_t)n &&
		memcmp(to, r->process->cwd, (size_t)n) == 0;
}

static bool is_same(struct recall *r)
{
	const ev_tstamp now = r->loop ? ev_now(r->loop) : 0;
	char byte;

	if (now > 0 && now <= r->checked && now >= r->checked)
		return true;
	if (pread(r->environ, &byte, 1, 0) != 1 || !same_name(r) || !same_words(r) ||
		!same_directory(r))
		return false;
	r->checked = now;
	return true;
}

struct process *recall_process(struct recall *r, pid_t pid)
{
	if (!r->process || r->process->pid != pid || !is_same(r))
		return NULL;
	return process_hold(r->process);
}

void recall_note_process(struct recall *r, struct process *p)
{
	forget_process(r);
	if (r->loadavg < 0)
		return;
	r->process = process_hold(p);
	r->fds = open_of(p->pid, "fd", O_DIRECTORY);
	r->environ = open_of(p->pid, "environ", 0);
	r->comm = open_of(p->pid, "comm", 0);
	r->cmd = open_of(p->pid, "cmdline", 0);
	r->checked = 0;
}
