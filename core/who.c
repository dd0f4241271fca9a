/* SPDX-License-Identifier: MIT */
#include "who.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base.h"
#include "sockdiag.h"
#include "steady.h"

/* Many processes that keep many descriptors are looked at whole for each connection, and all others
 * wait for that. So a search may look at a few, which is what it takes nearly always, and what is
 * more is limited. A look takes 1 to 3 us. */
#define LOOKS_FREE 64
#define LOOKS_PER_S 50000
#define LOOKS_AT_ONCE 100000

int who_init(struct who *w, int diag, pid_t root, struct ev_loop *loop)
{
	char path[32];
	struct stat st;

	memset(w, 0, sizeof(*w));
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)root);
	if (stat(path, &st) == -1)
		return -errno;
	w->namespace = st.st_ino;
	w->device = st.st_dev;
	w->diag = fcntl(diag, F_DUPFD_CLOEXEC, 3);
	if (w->diag == -1)
		return -errno;
	w->root = root;
	w->looks = (struct bucket){.rate = LOOKS_PER_S,
		.burst = LOOKS_AT_ONCE,
		.tokens = LOOKS_AT_ONCE,
		.last = steady_now()};
	recall_init(&w->recall, loop);
	return 0;
}

void who_fini(struct who *w)
{
	if (w->root && w->diag >= 0)
		close(w->diag);
	w->diag = -1;
	recall_fini(&w->recall);
}

/* ---- whose it is ---- */

struct search {
	uint32_t inode;
	char link[32]; /* "socket:[4711]" */
	size_t link_len;
	pid_t seen[WHO_PROCESSES], holder;
	char fd[NAME_MAX + 1]; /* of the holder */
	size_t count, looks, looks_max;
	bool unsure;
	bool recalled; /* the holder has it for certain: recall_fd() said so */
};

static bool is_link(struct search *s, int dir, const char *name)
{
	char to[sizeof(s->link)];
	ssize_t n = readlinkat(dir, name, to, sizeof(to));

	s->looks++;
	return n == (ssize_t)s->link_len && memcmp(to, s->link, s->link_len) == 0;
}

/* Looks for the socket among the descriptors of @pid. */
static void look_at(struct search *s, pid_t pid)
{
	char path[32];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	if (!d) {
		/* One that has ended has no socket. One that hides may have. */
		s->unsure |= errno != ENOENT && errno != ESRCH;
		return;
	}
	while ((e = readdir(d)) && !s->unsure) {
		s->unsure = s->looks >= s->looks_max;
		if (e->d_name[0] == '.' || !is_link(s, dirfd(d), e->d_name))
			continue;
		if (s->holder)
			s->unsure = true;
		s->holder = pid;
		snprintf(s->fd, sizeof(s->fd), "%s", e->d_name);
		break;
	}
	closedir(d);
}

static void add(struct search *s, pid_t pid)
{
	if (s->count == WHO_PROCESSES)
		s->unsure = true;
	else
		s->seen[s->count++] = pid;
}

/* Reads "12 13 14 " of one thread. */
static void add_children_of(struct search *s, int dir, const char *thread)
{
	char path[NAME_MAX + 16], text[8192], *at = text, *end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/children", thread);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	s->unsure |= n == (ssize_t)sizeof(text) - 1;
	text[n > 0 ? n : 0] = '\0';
	for (long pid; (pid = strtol(at, &end, 10)) > 0 && end != at; at = end)
		add(s, (pid_t)pid);
}

/* proc(5): /proc/PID/task/TID/children. */
static void add_children(struct search *s, pid_t pid)
{
	char path[32];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	if (!d)
		return;
	while ((e = readdir(d))) {
		if (e->d_name[0] != '.')
			add_children_of(s, dirfd(d), e->d_name);
	}
	closedir(d);
}

/* Lists the command and all that descends from it. */
static void list_tree(struct search *s, struct who *w)
{
	if (recall_stands(&w->recall)) {
		s->count = w->recall.count;
		memcpy(s->seen, w->recall.seen, s->count * sizeof(s->seen[0]));
		return;
	}
	add(s, w->root);
	for (size_t i = 0; i < s->count && !s->unsure; i++)
		add_children(s, s->seen[i]);
	if (!s->unsure)
		recall_note(&w->recall, s->seen, s->count);
}

/* Looks at all of them, in the likely place first: there no more is looked at. */
static void search_tree(struct search *s, struct who *w)
{
	const struct recall *r = &w->recall;
	const int fd = recall_fd(&w->recall, s->inode);

	list_tree(s, w);
	s->recalled = fd >= 0;
	if (s->recalled) {
		s->holder = r->process->pid;
		snprintf(s->fd, sizeof(s->fd), "%d", fd);
	}
	for (size_t i = 0; i < s->count && !s->unsure; i++) {
		if (!s->recalled || s->seen[i] != s->holder)
			look_at(s, s->seen[i]);
	}
}

static bool in_namespace(const struct who *w, const char *pid)
{
	char path[NAME_MAX + 16];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
	return stat(path, &st) == 0 && st.st_ino == w->namespace && st.st_dev == w->device;
}

/* Looks at everybody in the namespace: a process whose parent has ended is nobody's descendant. */
static void search_namespace(struct search *s, const struct who *w)
{
	struct dirent *e;
	DIR *d = opendir("/proc");
	pid_t pid;

	if (!d)
		return;
	s->count = 0;
	while ((e = readdir(d)) && !s->unsure) {
		if (e->d_name[0] < '1' || e->d_name[0] > '9' || !in_namespace(w, e->d_name))
			continue;
		pid = (pid_t)strtol(e->d_name, NULL, 10);
		add(s, pid);
		look_at(s, pid);
	}
	closedir(d);
}

/* True if the process that was found still has the socket: all that was read is of it. */
static bool still_has(struct search *s)
{
	char path[NAME_MAX + 32];

	snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)s->holder, s->fd);
	return is_link(s, AT_FDCWD, path);
}

static struct process *describe(struct search *s, struct who *w)
{
	struct process *p = recall_process(&w->recall, s->holder);

	if (p && s->recalled)
		return p;
	if (!p) {
		p = process_read(s->holder, w->root);
		if (p)
			recall_note_process(&w->recall, p);
	}
	if (p && !still_has(s)) {
		process_put(p);
		return NULL;
	}
	if (p)
		recall_note_fd(&w->recall, (int)strtol(s->fd, NULL, 10), s->inode);
	return p;
}

struct process *who_find(struct who *w, int proto, const struct addr *src, const struct addr *dst)
{
	struct search s = {0};
	struct process *p;

	if (!w->root || w->diag < 0 || (proto != IPPROTO_TCP && proto != IPPROTO_UDP))
		return NULL;
	w->asked++;
	s.looks_max = LOOKS_FREE + bucket_allows(&w->looks, LOOKS_AT_ONCE, steady_now());
	s.inode = sockdiag_inode(w->diag, (uint8_t)proto, src, dst);
	if (!s.inode) /* it is closed already, or the kernel cannot tell */
		return NULL;
	s.link_len = (size_t)snprintf(s.link, sizeof(s.link), "socket:[%u]", s.inode);
	search_tree(&s, w);
	if (!s.holder && !s.unsure)
		search_namespace(&s, w);
	if (s.looks > LOOKS_FREE)
		bucket_take(&w->looks, s.looks - LOOKS_FREE);
	if (!s.holder || s.unsure)
		return NULL;
	p = describe(&s, w);
	w->found += p != NULL;
	return p;
}
