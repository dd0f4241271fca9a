/* SPDX-License-Identifier: MIT */
#include "pcapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base.h"
#include "log.h"
#include "pcapng.h"

#define DELAY_S 0.1     /* what waits less than a chunk waits so long */
#define SLOW_S 0.005    /* a write that takes longer is a slow disk's */
#define PAUSE_FACTOR 4  /* and pauses so much longer than it took */
#define LAST_WAIT_S 2.0 /* for the reader of a pipe, at the end */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The name of file number @number, malloc'd, or NULL. */
static char *file_name(const struct pcapfile *f, unsigned number)
{
	const char *slash = strrchr(f->path, '/'), *dot = strrchr(f->path, '.');
	char *name;

	if (!f->files)
		return strdup(f->path);
	if (!dot || (slash && dot < slash + 2))
		dot = f->path + strlen(f->path);
	if (asprintf(&name, "%.*s-%05u%s", (int)(dot - f->path), f->path, number, dot) == -1)
		return NULL;
	return name;
}

static int open_next(struct pcapfile *f)
{
	char *name = file_name(f, f->number + 1);
	struct stat st;
	int error = 0;

	if (!name)
		return -ENOMEM;
	f->fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (f->fd == -1 || fstat(f->fd, &st) == -1)
		error = errno;
	free(name);
	if (error)
		return -error;
	f->regular = S_ISREG(st.st_mode);
	f->size = 0;
	f->number++;
	ev_io_set(&f->io, f->fd, EV_WRITE);
	if (f->files && f->number > f->files) {
		name = file_name(f, f->number - f->files);
		if (name && unlink(name) == -1 && errno != ENOENT)
			log_warn("cannot remove %s: %s", name, strerror(errno));
		free(name);
	}
	return 0;
}

static void stop_watching(struct pcapfile *f)
{
	ev_io_stop(f->loop, &f->io);
	ev_timer_stop(f->loop, &f->timer);
}

/* Ends it for good: nothing that waits will be written. */
static void give_up(struct pcapfile *f, int error)
{
	const char *why = strerror(error);

	if (error == EPIPE)
		why = "its reader has gone";
	else if (error == ETIMEDOUT)
		why = "its reader does not take it";
	log_error("the capture ends here: cannot write %s: %s", f->path, why);
	stop_watching(f);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	f->first += f->end;
	f->head = f->end = 0;
}

/* How much can be written in one go: the rest of a block that was begun and whole blocks, of one
 * file, before @limit. 0: nothing, or the next block begins a file. */
static size_t next_chunk(const struct pcapfile *f, size_t limit)
{
	size_t n = f->rest;

	while (n < PCAPFILE_CHUNK && f->head + n < limit) {
		const uint8_t *block = f->queue + f->head + n;

		if (pcapng_type(block) == PCAPNG_SECTION && f->size + n)
			break;
		n += pcapng_length(block);
	}
	return n;
}

/* @n bytes of the queue have been written. */
static void advance(struct pcapfile *f, size_t n)
{
	f->size += n;
	while (n) {
		const bool new = !f->rest;
		const size_t block = new ? pcapng_length(f->queue + f->head) : f->rest;
		const size_t some = MIN(n, block);

		f->rest = block - some;
		f->begun = f->rest ? (new ? 0 : f->begun) + some : 0;
		f->head += some;
		n -= some;
	}
}

/* 0, or -EAGAIN, or another negative errno after which it has stopped. */
static int write_chunk(struct pcapfile *f, size_t n)
{
	const double before = now();
	ssize_t done;
	double took;
	int error;

	do {
		done = write(f->fd, f->queue + f->head, n);
	} while (done == -1 && errno == EINTR);
	error = done == -1 ? errno : 0;
	took = now() - before;
	if (took > SLOW_S)
		f->not_before = before + took * (1 + PAUSE_FACTOR);
	if (done >= 0)
		advance(f, (size_t)done);
	if (error == EAGAIN || (done >= 0 && (size_t)done < n && !f->regular))
		return -EAGAIN;
	if (!error)
		return 0;
	if (f->regular && f->begun && ftruncate(f->fd, (off_t)(f->size - f->begun)) == -1)
		log_warn("the last packet in %s is cut off", f->path);
	give_up(f, error);
	return -error;
}

static int next_file(struct pcapfile *f)
{
	int rc;

	close(f->fd);
	rc = open_next(f);
	if (rc < 0)
		give_up(f, -rc);
	return rc;
}

/* Where in the queue that ends which may be written. */
static size_t writable(const struct pcapfile *f)
{
	const uint64_t held = f->held - f->first;

	if (f->held == PCAPFILE_NO_HOLD || held + PCAPFILE_HOLD < f->end || now() > f->held_until)
		return f->end;
	return MAX((size_t)held, f->head);
}

/* Writes what may be written, @chunks at most. 0 if it has all gone, or negative errno. */
static int write_some(struct pcapfile *f, unsigned chunks)
{
	const size_t limit = writable(f);
	int rc = 0;

	while (rc == 0 && f->head < limit) {
		size_t n = next_chunk(f, limit);

		if (!chunks--)
			return -EAGAIN;
		rc = n ? write_chunk(f, n) : next_file(f);
	}
	return rc;
}

/* Writes one chunk, unless a slow disk is to be spared. */
static void pump(struct pcapfile *f)
{
	if (f->fd == -1 || ev_is_active(&f->io) || (f->not_before && now() < f->not_before))
		return;
	f->not_before = 0;
	if (write_some(f, 1) == -EAGAIN && !f->regular)
		ev_io_start(f->loop, &f->io);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct pcapfile *f = container_of(w, struct pcapfile, io);

	UNUSED(revents);
	ev_io_stop(loop, w);
	pump(f);
}

static void on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct pcapfile *f = container_of(t, struct pcapfile, timer);

	UNUSED(revents);
	pump(f);
	if (f->head == f->end)
		ev_timer_stop(loop, t);
}

int pcapfile_open(struct pcapfile *f, struct ev_loop *loop, const char *path, unsigned files)
{
	int rc = -ENOMEM;

	memset(f, 0, sizeof(*f));
	f->loop = loop;
	f->files = files;
	f->fd = -1;
	f->held = PCAPFILE_NO_HOLD;
	ev_io_init(&f->io, on_writable, -1, EV_WRITE);
	ev_init(&f->timer, on_timer);
	f->timer.repeat = DELAY_S;
	f->path = strdup(path);
	f->queue = malloc(PCAPFILE_QUEUE);
	if (f->path && f->queue)
		rc = open_next(f);
	if (rc < 0)
		pcapfile_close(f);
	return rc;
}

void pcapfile_close(struct pcapfile *f)
{
	struct pollfd p = {.fd = f->fd, .events = POLLOUT};
	const double limit = now() + LAST_WAIT_S;
	int rc = -EAGAIN;

	stop_watching(f);
	f->held = PCAPFILE_NO_HOLD;
	while (f->fd >= 0 && rc == -EAGAIN) {
		rc = write_some(f, UINT_MAX);
		if (rc == -EAGAIN && now() > limit) {
			give_up(f, ETIMEDOUT);
		} else if (rc == -EAGAIN) {
			poll(&p, 1, 100);
		}
	}
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	free(f->path);
	free(f->queue);
	f->path = NULL;
	f->queue = NULL;
}

uint8_t *pcapfile_room(struct pcapfile *f, size_t n)
{
	if (f->end - f->head >= PCAPFILE_CHUNK)
		pump(f);
	if (f->fd == -1)
		return NULL;
	if (PCAPFILE_QUEUE - f->end < n && f->head) {
		memmove(f->queue, f->queue + f->head, f->end - f->head);
		f->first += f->head;
		f->end -= f->head;
		f->head = 0;
	}
	return PCAPFILE_QUEUE - f->end < n ? NULL : f->queue + f->end;
}

void pcapfile_put(struct pcapfile *f, size_t n)
{
	f->end += n;
	if (!ev_is_active(&f->timer))
		ev_timer_again(f->loop, &f->timer);
}

uint64_t pcapfile_end(const struct pcapfile *f)
{
	return f->first + f->end;
}

uint8_t *pcapfile_at(struct pcapfile *f, uint64_t place)
{
	if (f->fd == -1 || place < f->first + f->head + f->rest || place >= pcapfile_end(f))
		return NULL;
	return f->queue + (place - f->first);
}

uint8_t *pcapfile_insert(struct pcapfile *f, uint64_t place, size_t n)
{
	uint8_t *at = f->queue + (place - f->first);

	if (place != pcapfile_end(f))
		at = pcapfile_at(f, place);
	if (f->fd == -1 || !at || PCAPFILE_QUEUE - f->end < n)
		return NULL;
	memmove(at + n, at, f->end - (size_t)(at - f->queue));
	f->end += n;
	if (f->held != PCAPFILE_NO_HOLD && f->held >= place)
		f->held += n;
	return at;
}

void pcapfile_hold(struct pcapfile *f, uint64_t place)
{
	f->held = place;
	f->held_until = now() + PCAPFILE_HOLD_S;
}
