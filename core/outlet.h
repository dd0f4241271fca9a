/* SPDX-License-Identifier: MIT */
#ifndef NSNET_OUTLET_H
#define NSNET_OUTLET_H

#include <ev.h>
#include <stdbool.h>

#include "log.h"
#include "writer.h"

/* outlet - our own messages and those of scripts, while the loop runs.
 *
 * Standard error may be a pipe that nobody reads just now, and a script may write a line for each
 * connection. So lines wait for the others of the same turn of the loop, and for a slow reader: the
 * loop never does (see writer). They are written before what the turn sends to the command, which
 * therefore cannot answer a refusal before its line is there; an error is written at once.
 *
 * Embedded; one in a process. Between outlet_start() and outlet_stop() log_write() writes to it.
 */
struct outlet {
	struct log_output output;
	struct writer writer;
	ev_prepare prepare;
};

/* 0, or a negative errno: lines are written as before, each at once. */
int outlet_start(struct outlet *o, struct ev_loop *loop);

/* Writes what waits, however long that takes: nobody else waits any more. Safe on a zeroed one. */
void outlet_stop(struct outlet *o);

#endif
