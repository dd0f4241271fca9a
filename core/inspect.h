/* SPDX-License-Identifier: MIT */
#ifndef NSNET_INSPECT_H
#define NSNET_INSPECT_H

#include "control.h"
#include "gate.h"

/* inspect - the control commands about traffic: connections, close, stats. */

struct inspect {
	struct gate *gate; /* borrowed: knows everybody who carries something */
	/* The name that a flow's other end is known by, or NULL. May be NULL. */
	const char *(*name_of)(void *arg, const struct flow *f);
	void *name_arg;
};

/* Adds the commands to @c. @i lives as long; its fields may be set later, but before the loop. */
void inspect_init(struct inspect *i, struct control *c);

#endif
