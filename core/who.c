/* SPDX-License-Identifier: MIT */
#include "who.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base.h"

int who_init(struct who *w, int diag, pid_t root)
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
	return 0;
}

void who_fini(struct who *w)
{
	if (w->root && w->diag >= 0)
		close(w->diag);
	w->diag = -1;
}

/* ---- the socket's inode ---- */

struct request {
	struct nlmsghdr h;
	struct inet_diag_req_v2 r;
};

static int ask(int fd, int proto, const struct addr *src, const struct addr *dst)
{
	/* For UDP the kernel takes the ends the other way round (udp_diag.c, udp_dump_one). */
	const bool turned = proto == IPPROTO_UDP;
	struct request m = {
		.h = {.nlmsg_len = sizeof(m),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST},
		.r = {.sdiag_family = src->v == 4 ? AF_INET : AF_INET6,
			.sdiag_protocol = (uint8_t)proto,
			.idiag_states = ~0u,
			.id = {.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}},
	};
	const struct addr *a = turned ? dst : src, *b = turned ? src : dst;

	memcpy(m.r.id.idiag_src, a->ip, 16);
	memcpy(m.r.id.idiag_dst, b->ip, 16);
	m.r.id.idiag_sport = htons(a->port);
	m.r.id.idiag_dport = htons(b->port);
	return send(fd, &m, sizeof(m), MSG_DONTWAIT) == (ssize_t)sizeof(m) ? 0 : -errno;
}

/* The inode of the socket, 0 if there is none. The kernel answers within send(). */
static uint32_t inode_of(int fd, int proto, const struct addr *src, const struct addr *dst)
{
	uint8_t buf[1024] __attribute__((aligned(8)));
	uint32_t inode = 0;
	ssize_t len;

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		; /* what an earlier question left, if one did */
	if (ask(fd, proto, src, dst) < 0)
		return 0;
	len = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	for (struct nlmsghdr *h = (void *)buf; len > 0 && NLMSG_OK(h, len);
		h = NLMSG_NEXT(h, len)) {
		const struct inet_diag_msg *d = NLMSG_DATA(h);

		if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY &&
			h->nlmsg_len >= NLMSG_LENGTH(sizeof(*d)))
			inode = d->idiag_inode;
	}
	return inode;
}

/* ---- whose it is ---- */

struct search {
	char link[32]; /* "socket:[4711]" */
	size_t link_len;
	pid_t seen[WHO_PROCESSES], holder;
	char fd[NAME_MAX + 1]; /* of the holder */
	size_t count;
	bool unsure;
};

static bool is_link(const struct search *s, int dir, const char *name)
{
	char to[sizeof(s->link)];
	ssize_t n = readlinkat(dir, name, to, sizeof(to));

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
	while ((e = readdir(d))) {
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

/* Looks at the command and all that descends from it. */
static void search_tree(struct search *s, pid_t root)
{
	add(s, root);
	for (size_t i = 0; i < s->count && !s->unsure; i++) {
		look_at(s, s->seen[i]);
		add_children(s, s->seen[i]);
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
static bool still_has(const struct search *s)
{
	char path[NAME_MAX + 32];

	snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)s->holder, s->fd);
	return is_link(s, AT_FDCWD, path);
}

struct process *who_find(struct who *w, int proto, const struct addr *src, const struct addr *dst)
{
	struct search s = {0};
	struct process *p;
	uint32_t inode;

	if (!w->root || w->diag < 0 || (proto != IPPROTO_TCP && proto != IPPROTO_UDP))
		return NULL;
	w->asked++;
	inode = inode_of(w->diag, proto, src, dst);
	if (!inode) /* it is closed already, or the kernel cannot tell */
		return NULL;
	s.link_len = (size_t)snprintf(s.link, sizeof(s.link), "socket:[%u]", inode);
	search_tree(&s, w->root);
	if (!s.holder && !s.unsure)
		search_namespace(&s, w);
	if (!s.holder || s.unsure)
		return NULL;
	p = process_read(s.holder, w->root);
	if (p && !still_has(&s)) {
		process_put(p);
		return NULL;
	}
	w->found += p != NULL;
	return p;
}
