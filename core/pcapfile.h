/* SPDX-License-Identifier: MIT */
#ifndef NSNET_PCAPFILE_H
#define NSNET_PCAPFILE_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* pcapfile - a bounded queue of pcapng blocks, and the files that they are written to.
 *
 * Embedded in a capture. The owner puts whole blocks (pcapng.h) behind the queue; a section header
 * begins the next file. Places in the queue are counted from the first byte ever put in, so that a
 * block can be found again, and grow, until it has been written; what is held is not written yet.
 *
 * A regular file is written from the loop, into the page cache, PCAPFILE_CHUNK at a time. A disk
 * that makes a write slow gets a pause four times as long: the loop is held up for a fifth
 * of the time at most, and if the queue fills up meanwhile, packets are lost and no time. A pipe
 * is written as its reader takes. After an error nothing is written any more: one line tells,
 * and the file ends with its last whole block.
 *
 * A hold lasts for PCAPFILE_HOLD_S, and until PCAPFILE_HOLD bytes have come after its place.
 */
#define PCAPFILE_QUEUE ((size_t)8 << 20)
#define PCAPFILE_CHUNK ((size_t)256 << 10)
#define PCAPFILE_HOLD ((size_t)1 << 20)
#define PCAPFILE_HOLD_S 1.0
#define PCAPFILE_NO_HOLD UINT64_MAX

struct pcapfile {
	struct ev_loop *loop;
	ev_timer timer; /* runs while something waits to be written */
	ev_io io;       /* while a pipe is full */
	char *path;     /* owned: as given */
	unsigned files; /* 0 = one file; else so many, numbered, are kept */
	unsigned number;
	int fd; /* owned; -1 = stopped */
	bool regular;

	uint8_t *queue; /* owned, PCAPFILE_QUEUE bytes: what waits is from head to end */
	size_t head, end;
	size_t rest,
		begun;  /* of the block at the head, if a part is written: what is not, what is */
	uint64_t first; /* the place of queue[0] */
	uint64_t held;  /* nothing is written from this place on; or PCAPFILE_NO_HOLD */
	double held_until; /* monotonic seconds */
	uint64_t size;     /* of the file now */
	double not_before; /* monotonic seconds: the pause of a slow disk */
};

/* Opens the first file, for the owner of the process alone. @files: 0 = @path itself; else files
 * numbered before the last dot of @path, of which that many are kept (UINT_MAX = all). Returns 0
 * or a negative errno. */
int pcapfile_open(struct pcapfile *f, struct ev_loop *loop, const char *path, unsigned files);

/* Writes everything, also what is held, waiting for a pipe's reader for two seconds at most. */
void pcapfile_close(struct pcapfile *f);

/* Room for a block of at most @n bytes, or NULL if there is none (or the capture has stopped).
 * Valid until the next call of any of these. pcapfile_put() makes it part of the queue. */
uint8_t *pcapfile_room(struct pcapfile *f, size_t n);
void pcapfile_put(struct pcapfile *f, size_t n);

/* The place behind the queue: where the next block will be. */
uint64_t pcapfile_end(const struct pcapfile *f);

/* The bytes at @place, or NULL if they have been written, or a part of them. */
uint8_t *pcapfile_at(struct pcapfile *f, uint64_t place);

/* Makes room for @n bytes more at @place (the end, too), moving what follows. The caller fills
 * them. NULL: there is no room, or it has been written. */
uint8_t *pcapfile_insert(struct pcapfile *f, uint64_t place, size_t n);

/* Nothing is written from @place on, until the next call; PCAPFILE_NO_HOLD: all is. */
void pcapfile_hold(struct pcapfile *f, uint64_t place);

/* False once it has stopped. */
static inline bool pcapfile_works(const struct pcapfile *f)
{
	return f->fd >= 0;
}

#endif
