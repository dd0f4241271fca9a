/* SPDX-License-Identifier: MIT */
#ifndef NSNET_INBOX_H
#define NSNET_INBOX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* inbox - the bytes from the child that the stack has acknowledged and nobody has consumed, as lwIP
 * gave them: a queue of pbufs, each around a whole 64 KB buffer.
 *
 * Embedded in a stack_conn, zeroed = empty. Owns its pbufs.
 */
struct pbuf;

struct inbox {
	struct pbuf *head, *tail;
	struct pbuf
		*settled; /* the last that pins no buffer for a few bytes; NULL: none is known to */
	uint32_t offset;  /* consumed bytes of head */
	size_t len;       /* bytes to consume */
	size_t held;      /* bytes of memory pinned */
};

/* Appends a chain; takes it. */
void inbox_push(struct inbox *in, struct pbuf *chain);

/* Fills up to @max of @iov with the first bytes, *@len = their sum. Returns how many. Lent until
 * the next call. */
int inbox_peek(const struct inbox *in, struct iovec *iov, int max, size_t *len);

/* Copies up to @max of the first bytes to @to; returns how many. */
size_t inbox_copy(const struct inbox *in, void *to, size_t max);

/* Frees the first @n bytes. */
void inbox_consume(struct inbox *in, size_t n);

/* What is queued will stay for a while: copies small segments out of their buffers. */
void inbox_settle(struct inbox *in);

/* Frees all. */
void inbox_clear(struct inbox *in);

#endif
