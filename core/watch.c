/* SPDX-License-Identifier: MIT */
#include "watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base.h"

/* An editor writes, renames and sets times: that is one change. */
#define SETTLE_S 0.1

static bool watches(const struct watch *w, int directory, const char *name)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->file[i].directory == directory && strcmp(w->file[i].name, name) == 0)
			return true;
	return false;
}

static bool concerns(const struct watch *w, const struct inotify_event *e)
{
	return e->mask & IN_Q_OVERFLOW || (e->len && watches(w, e->wd, e->name));
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

int watch_add(struct watch *w, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	struct watch_file *grown;
	char directory[PATH_MAX], *copy;
	int rc = watch_open(w);

	if (rc < 0)
		return rc;
	if ((size_t)(name - path) >= sizeof(directory))
		return -ENAMETOOLONG;
	snprintf(directory, sizeof(directory), "%.*s", (int)(name - path), path);
	grown = realloc(w->file, (w->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	w->file = grown;
	rc = inotify_add_watch(w->fd, *directory ? directory : ".",
		IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE);
	if (rc == -1)
		return -errno;
	if (watches(w, rc, name))
		return 0;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	w->file[w->count++] = (struct watch_file){rc, copy};
	return 0;
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
		free(w->file[i].name);
	free(w->file);
	*w = (struct watch){.fd = -1};
}
