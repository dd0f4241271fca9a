/* SPDX-License-Identifier: MIT */
#include "writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base.h"
#include "log.h"

#define BATCH ((size_t)64 << 10) /* so much does not wait for more */
#define GAP_MAX 256
#define RETRY_S 1.0 /* a full disk */
#define HELD_S 0.2  /* a terminal that is being used */
#define GOODBYE_MS 1000

/* ---- opening ---- */

/* The descriptor that @to names, as one of our own. The file description is made anew where the
 * kernel can: O_NONBLOCK must not be set for everybody else who shares it. */
static int open_fd(const char *to, bool *blocking)
{
	char path[32], *end;
	struct stat st;
	long n = 2;
	int fd;

	if (strcmp(to, "-") != 0) {
		n = strtol(to + 3, &end, 10);
		if (!to[3] || *end || n < 0 || n > INT_MAX)
			return -EBADF;
	}
	if (fstat((int)n, &st) == -1)
		return -errno;
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%ld", n);
		fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		if (fd >= 0)
			goto done;
	}
	*blocking = true;
	fd = fcntl((int)n, F_DUPFD_CLOEXEC, 3);
	if (fd == -1)
		return -errno;
	if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY) {
		close(fd);
		return -EBADF;
	}
done:
	/* Else the command could write into the log. */
	if (n > STDERR_FILENO)
		fcntl((int)n, F_SETFD, FD_CLOEXEC);
	return fd;
}

static int open_path(const char *to)
{
	int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0600);

	return fd == -1 ? -errno : fd;
}

static void writer_on_writable(struct ev_loop *loop, ev_io *io, int revents);
static void writer_on_timer(struct ev_loop *loop, ev_timer *t, int revents);

int writer_open(struct writer *w, struct ev_loop *loop, const char *to)
{
	struct stat st;
	bool blocking = false;
	int fd;

	fd = strcmp(to, "-") == 0 || strncmp(to, "fd:", 3) == 0 ? open_fd(to, &blocking)
								: open_path(to);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) == -1) {
		fd = -errno;
		return fd;
	}
	memset(w, 0, sizeof(*w));
	w->loop = loop;
	w->name = to;
	w->fd = fd;
	w->regular = S_ISREG(st.st_mode);
	w->socket = S_ISSOCK(st.st_mode);
	w->terminal = isatty(fd);
	w->blocking = blocking && !w->regular;
	ev_io_init(&w->io, writer_on_writable, fd, EV_WRITE);
	ev_init(&w->timer, writer_on_timer);
	return 0;
}

/* ---- writing ---- */

/* A terminal in canonical mode shows lines as they come. */
static bool is_held(const struct writer *w)
{
	struct termios t;

	return w->terminal && !w->closing && tcgetattr(w->fd, &t) == 0 && !(t.c_lflag & ICANON);
}

/* How much to write at once: whole lines that a pipe takes in one piece, if there are such. */
static size_t piece(const struct writer *w)
{
	const char *at = w->data + w->head;
	size_t n = w->tail - w->head;

	if (w->regular || n <= PIPE_BUF)
		return n;
	for (size_t k = PIPE_BUF; k > 0; k--) {
		if (at[k - 1] == '\n')
			return k;
	}
	return PIPE_BUF;
}

static ssize_t put(const struct writer *w, size_t n)
{
	struct pollfd p = {.fd = w->fd, .events = POLLOUT};
	const char *at = w->data + w->head;

	if (w->socket)
		return send(w->fd, at, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (w->blocking && poll(&p, 1, 0) != 1) {
		errno = EAGAIN;
		return -1;
	}
	return write(w->fd, at, n);
}

static void wait_s(struct writer *w, double s)
{
	if (ev_is_active(&w->timer))
		return;
	ev_timer_set(&w->timer, s, 0);
	ev_timer_start(w->loop, &w->timer);
}

/* What waits is lost: nobody will read it. */
static void abandon(struct writer *w)
{
	for (size_t i = w->head; i < w->tail; i++)
		w->lost += w->data[i] == '\n';
	w->head = w->tail = 0;
}

static void failed(struct writer *w, int error)
{
	const bool full = error == ENOSPC || error == EDQUOT || error == EIO;

	if (!w->stuck)
		log_warn("cannot write %s: %s; %s", w->name, strerror(error),
			full ? "lines may be lost until it goes again"
			     : "nothing more is written to it");
	w->stuck = true;
	if (full) {
		wait_s(w, RETRY_S);
		return;
	}
	w->dead = true;
	abandon(w);
}

void writer_flush(struct writer *w)
{
	while (w->head < w->tail && !w->dead) {
		ssize_t n;

		if (is_held(w)) {
			wait_s(w, HELD_S);
			return;
		}
		n = put(w, piece(w));
		if (n == -1) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN)
				ev_io_start(w->loop, &w->io);
			else
				failed(w, errno);
			return;
		}
		w->head += (size_t)n;
		w->stuck = false;
	}
	w->head = w->tail = 0;
	ev_io_stop(w->loop, &w->io);
}

static void writer_on_writable(struct ev_loop *loop, ev_io *io, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	writer_flush(container_of(io, struct writer, io));
}

static void writer_on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
	UNUSED(loop);
	UNUSED(revents);
	writer_flush(container_of(t, struct writer, timer));
}

/* ---- lines ---- */

/* Makes room for @n bytes behind the tail, if the limit allows. */
static bool room(struct writer *w, size_t n)
{
	size_t len = w->tail - w->head, cap = w->cap ? w->cap : BATCH;
	char *grown;

	if (w->tail + n <= w->cap)
		return true;
	if (w->head) {
		memmove(w->data, w->data + w->head, len);
		w->head = 0;
		w->tail = len;
	}
	while (cap < len + n)
		cap *= 2;
	if (cap > WRITER_MAX)
		return len + n <= w->cap;
	if (cap == w->cap)
		return true;
	grown = realloc(w->data, cap);
	if (!grown)
		return false;
	w->data = grown;
	w->cap = cap;
	return true;
}

static void append(struct writer *w, const char *line, size_t len)
{
	memcpy(w->data + w->tail, line, len);
	w->tail += len;
}

/* Lines are dropped from the moment that the queue is full until it is half empty, so that there
 * are few gaps. */
static bool admit(struct writer *w, size_t len)
{
	char text[GAP_MAX];

	if (w->dead || w->fd < 0)
		return false;
	if (w->lossy && w->tail - w->head > WRITER_MAX / 2)
		return false;
	if (!room(w, len + GAP_MAX))
		return false;
	if (w->lossy && w->gap)
		append(w, text, w->gap(text, w->missing));
	w->lossy = false;
	w->missing = 0;
	return true;
}

bool writer_line(struct writer *w, const char *line, size_t len)
{
	if (!admit(w, len)) {
		w->lossy = true;
		w->missing++;
		w->lost++;
		return false;
	}
	append(w, line, len);
	w->lines++;
	if (ev_is_active(&w->io) || w->stuck)
		return true;
	if (w->tail - w->head >= BATCH)
		writer_flush(w);
	else if (w->delay_s >= 0)
		wait_s(w, w->delay_s);
	return true;
}

/* Who has lost the last lines cannot see it there. A failure that lasts has been told, and what
 * takes no lines of a log on standard error takes none of ours. */
static void say_lost(const struct writer *w)
{
	if (w->lost && !w->dead && !w->stuck && strcmp(w->name, "-") != 0 &&
		strcmp(w->name, "fd:2") != 0)
		log_warn("%s: %llu lines are missing: too slow a reader, or a full disk", w->name,
			(unsigned long long)w->lost);
}

void writer_close(struct writer *w)
{
	struct pollfd p = {.fd = w->fd, .events = POLLOUT};

	if (!w->loop || w->fd < 0)
		return;
	w->closing = true;
	for (int waited = 0; w->head < w->tail && !w->dead && waited < GOODBYE_MS; waited += 20) {
		writer_flush(w);
		if (w->head < w->tail)
			(void)(poll(&p, 1, 20) == 1 && poll(NULL, 0, 1));
	}
	abandon(w);
	say_lost(w);
	ev_io_stop(w->loop, &w->io);
	ev_timer_stop(w->loop, &w->timer);
	close(w->fd);
	w->fd = -1;
	free(w->data);
	w->data = NULL;
	w->cap = 0;
}
