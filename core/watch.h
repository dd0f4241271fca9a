/* SPDX-License-Identifier: MIT */
#ifndef NSNET_WATCH_H
#define NSNET_WATCH_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

/* watch - tells when one of a few files has changed (inotify(7)). The directories are watched,
 * since editors replace files, and only their entries of those names count: the file's, and those
 * of all symbolic links on the way to it, so that a link that is turned to another file is a
 * change, too. A file is told of when its writer has closed it, not when he has made it, for then
 * it is empty. Not seen: a directory itself that is moved away for another one. */

/* Some file was written or replaced; called once for a burst of changes, from the loop. */
typedef void watch_fn(void *arg);

struct watch {
	struct ev_loop *loop;
	ev_io io;
	ev_timer timer;
	int fd; /* owned, -1 = not started */
	struct watch_file {
		int directory;    /* inotify's descriptor */
		char *path;       /* owned */
		const char *name; /* the last part of it */
	} * file;                 /* owned */
	size_t count;
	watch_fn *fn;
	void *arg;
};

void watch_init(struct watch *w, struct ev_loop *loop, watch_fn *fn, void *arg);
/* Watches @path too, and what leads to it, as far as it does not yet. 0 or negative errno. */
int watch_add(struct watch *w, const char *path);
void watch_fini(struct watch *w);

#endif
