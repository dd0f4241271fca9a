/* SPDX-License-Identifier: MIT */
#ifndef NSNET_BACKLOG_H
#define NSNET_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>

#include "list.h"
#include "packet.h"

/* backlog - packets of a flow that wait until policy and a dial have made a way. Copies, since a
 * struct buf would pin 64 KB; a bound for each and one for all that share a budget. */
#define BACKLOG_MAX 16           /* packets */
#define BACKLOG_BYTES (4u << 20) /* of a whole budget */

struct backlog {
	struct list packets; /* owned, oldest first */
	unsigned count;
	size_t *budget; /* borrowed: bytes in use by all that share it */
};

/* A packet that waits. */
struct backlog_packet {
	struct list link;
	size_t size;
	struct packet p; /* borrows @bytes */
	uint8_t bytes[];
};

void backlog_init(struct backlog *q, size_t *budget);
void backlog_clear(struct backlog *q);

/* Appends a copy of @p. False: too many, or no memory. */
bool backlog_push(struct backlog *q, const struct packet *p);

/* Takes the oldest out, or NULL. To be freed by free(3). */
struct backlog_packet *backlog_pop(struct backlog *q);

#endif
