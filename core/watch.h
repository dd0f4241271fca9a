/* SPDX-License-Identifier: MIT */
#ifndef NSNET_WATCH_H
#define NSNET_WATCH_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

/* watch - tells when one of a few files has changed (inotify(7)). The directories are watched,
 * since editors replace files, and only their entries of those names count. */

/* Some file was written or replaced; called once for a burst of changes, from the loop. */
typedef void watch_fn(void *arg);

struct watch {
	struct ev_loop *loop;
	ev_io io;
	ev_timer timer;
	int fd; /* owned, -1 = not started */
	struct watch_file {
		int directory; /* inotify's descriptor */
		char *name;    /* owned: the last part of the path */
	} * file;              /* owned */
	size_t count;
	watch_fn *fn;
	void *arg;
};

void watch_init(struct watch *w, struct ev_loop *loop, watch_fn *fn, void *arg);
/* Watches @path too, if it does not yet. 0 or negative errno. */
int watch_add(struct watch *w, const char *path);
void watch_fini(struct watch *w);

#endif
