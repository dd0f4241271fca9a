/* SPDX-License-Identifier: MIT */
#include "watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base.h"

/* An editor writes, renames and sets times: that is one change. */
#define SETTLE_S 0.1
#define LINKS_MAX 40 /* on the way to one file, as the kernel has it (path_resolution(7)) */

static const struct watch_file *find(const struct watch *w, int directory, const char *name)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->file[i].directory == directory && strcmp(w->file[i].name, name) == 0)
			return &w->file[i];
	return NULL;
}

/* Somebody has made this file just now, and will close it. One that is linked is there at once. */
static bool is_being_written(const struct watch_file *f)
{
	struct stat st;

	return lstat(f->path, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1;
}

static bool concerns(const struct watch *w, const struct inotify_event *e)
{
	const struct watch_file *f = e->len ? find(w, e->wd, e->name) : NULL;

	if (e->mask & IN_Q_OVERFLOW)
		return true;
	return f && !(e->mask & IN_CREATE && is_being_written(f));
}

static void watch_on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct watch *w = container_of(io, struct watch, io);
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	UNUSED(revents);
	while ((n = read(w->fd, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *e = (void *)p;

			if (concerns(w, e))
				ev_timer_again(loop, &w->timer);
			p += sizeof(*e) + e->len;
		}
	}
}

static void watch_on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct watch *w = container_of(timer, struct watch, timer);

	UNUSED(revents);
	ev_timer_stop(loop, timer);
	w->fn(w->arg); /* last: @w may be gone */
}

void watch_init(struct watch *w, struct ev_loop *loop, watch_fn *fn, void *arg)
{
	*w = (struct watch){.loop = loop, .fd = -1, .fn = fn, .arg = arg};
	ev_init(&w->timer, watch_on_timer);
	w->timer.repeat = SETTLE_S;
}

static int watch_open(struct watch *w)
{
	if (w->fd >= 0)
		return 0;
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->fd == -1)
		return -errno;
	ev_io_init(&w->io, watch_on_readable, w->fd, EV_READ);
	ev_io_start(w->loop, &w->io);
	ev_unref(w->loop); /* what is watched keeps no loop alive */
	return 0;
}

/* The entry @path of its directory. */
static int watch_entry(struct watch *w, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	struct watch_file *grown;
	char directory[PATH_MAX], *copy;
	int rc;

	snprintf(directory, sizeof(directory), "%.*s", (int)(name - path), path);
	grown = realloc(w->file, (w->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	w->file = grown;
	rc = inotify_add_watch(w->fd, *directory ? directory : ".",
		IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE);
	if (rc == -1)
		return -errno;
	if (find(w, rc, name))
		return 0;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	w->file[w->count++] = (struct watch_file){rc, copy, copy + (name - path)};
	return 0;
}

/* Replaces the first link in @path by what it says. 1: there was one, and it is watched; 0: there
 * is none; or negative errno. */
static int follow(struct watch *w, char path[PATH_MAX])
{
	char link[PATH_MAX], target[PATH_MAX], rest[PATH_MAX];
	ssize_t n;
	size_t at;
	int rc;

	for (const char *end = path; *end;) {
		end += *end == '/';
		end += strcspn(end, "/");
		snprintf(link, sizeof(link), "%.*s", (int)(end - path), path);
		n = readlink(link, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = '\0';
		rc = watch_entry(w, link);
		if (rc < 0)
			return rc;
		at = *target == '/' || !strrchr(link, '/')
			? 0
			: (size_t)(strrchr(link, '/') - link) + 1;
		snprintf(rest, sizeof(rest), "%s", end);
		if (at + (size_t)n + strlen(rest) >= PATH_MAX)
			return -ENAMETOOLONG;
		memcpy(path + at, target, (size_t)n);
		strcpy(path + at + n, rest);
		return 1;
	}
	return 0;
}

int watch_add(struct watch *w, const char *path)
{
	char way[PATH_MAX];
	int rc = watch_open(w);

	if (rc < 0)
		return rc;
	if (strlen(path) >= sizeof(way))
		return -ENAMETOOLONG;
	strcpy(way, path);
	for (int links = 0; (rc = follow(w, way)) > 0; links++)
		if (links == LINKS_MAX)
			return -ELOOP;
	return rc < 0 ? rc : watch_entry(w, way);
}

void watch_fini(struct watch *w)
{
	if (w->fd >= 0) {
		ev_ref(w->loop);
		ev_io_stop(w->loop, &w->io);
		close(w->fd);
	}
	if (w->loop)
		ev_timer_stop(w->loop, &w->timer);
	for (size_t i = 0; i < w->count; i++)
		free(w->file[i].path);
	free(w->file);
	*w = (struct watch){.fd = -1};
}
