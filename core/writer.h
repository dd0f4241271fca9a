/* SPDX-License-Identifier: MIT */
#ifndef NSNET_WRITER_H
#define NSNET_WRITER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* writer - lines to a file, pipe, socket or terminal, without ever waiting for it.
 *
 * Lines are queued, WRITER_MAX bytes at most, and written from the loop. A reader that is slower
 * loses whole lines, which are counted and, where they are missing, told by the gap line. A full
 * disk is tried again each second; a pipe without a reader is given up. Either is said once on
 * stderr. Pipes and terminals get whole lines in one write(2) as far as PIPE_BUF allows, so that
 * they do not mix with another process's; a terminal that is not in canonical mode (an editor, a
 * line being edited) is left alone until it is. A regular file is written through the page cache,
 * which is as fast as memory until the kernel slows all writers of a disk.
 *
 * Embedded; begins by writer_open(), ends by writer_close().
 */
#define WRITER_MAX ((size_t)4 << 20)
/* Where nobody waits for a line, one write(2) for the lines of so long. */
#define WRITER_DELAY_S 0.1
/* A delay: the owner flushes. */
#define WRITER_NEVER (-1.0)

/* Writes a line (with its newline, at most 256 bytes) that says that @lost lines are missing into
 * @line; returns its length. */
typedef size_t writer_gap_fn(char *line, uint64_t lost);

struct writer {
	struct ev_loop *loop;
	const char *name; /* borrowed: as the user wrote it */
	ev_io io;
	ev_timer timer;
	int fd; /* owned, -1: not open */
	bool regular, terminal, socket, blocking;
	bool dead;  /* nobody reads any more */
	bool stuck; /* a failure has been told, and lasts */
	bool closing;
	bool lossy; /* lines are being dropped */
	char *data; /* owned: what waits is data[head..tail] */
	size_t head, tail, cap;
	double delay_s;     /* set after opening: how long a line may wait for others, 0 at first */
	writer_gap_fn *gap; /* set after opening, may be NULL */
	uint64_t lines, lost; /* taken, dropped */
	uint64_t missing;     /* dropped since the last gap line */
};

/* @to: a path, made anew (mode 0600: what commands do is nobody else's business), "-" for stderr,
 * or "fd:N", which the command then does not inherit. 0, or a negative errno (-EBADF: no such
 * descriptor; -ENXIO: a fifo that nobody reads). */
int writer_open(struct writer *w, struct ev_loop *loop, const char *to);

/* Waits up to a second for a slow reader; what is left then is counted as lost. Says on stderr how
 * many lines were lost in all, unless a failure was said that lasts. Safe on a zeroed one. */
void writer_close(struct writer *w);

/* One line of @len bytes with its newline (copied). False: it was dropped. */
bool writer_line(struct writer *w, const char *line, size_t len);

/* Writes what can be written now. */
void writer_flush(struct writer *w);

#endif
