/* SPDX-License-Identifier: MIT */
#ifndef NSNET_EXPORTER_H
#define NSNET_EXPORTER_H

#include <ev.h>
#include <limits.h>
#include <stddef.h>

#include "list.h"

/* exporter - --metrics: a unix socket at which HTTP/1.1 (RFC 9112) GET /metrics has one answer, a
 * text. One request for each connection.
 *
 * The socket is its user's alone (0600), and like the control socket it hears nobody from inside a
 * namespace of ours (peer.h). Embedded in the host. */
#define EXPORTER_CLIENTS_MAX 8  /* at a time; above that the oldest goes */
#define EXPORTER_HEAD_MAX 8192  /* bytes of a request */
#define EXPORTER_PATIENCE_S 10. /* for the whole exchange */

/* The text of @*len bytes, the caller's to free; NULL: no memory. */
typedef char *exporter_text_fn(void *arg, size_t *len);

struct exporter {
	struct ev_loop *loop; /* NULL: not open */
	ev_io io;
	int fd;              /* owned */
	char path[PATH_MAX]; /* of the socket, absolute */
	const char *type;    /* of the text, for Content-Type; borrowed */
	exporter_text_fn *text;
	void *arg;
	struct list clients;
	size_t count;
};

/* Listens at @path, where what a killed one has left is taken away. 0, or a negative errno: then
 * nothing is left, and exporter_close() is safe. @e is zeroed. */
int exporter_open(struct exporter *e, struct ev_loop *loop, const char *path, const char *type,
	exporter_text_fn *text, void *arg);

void exporter_close(struct exporter *e); /* safe on a zeroed one */

#endif
