/* SPDX-License-Identifier: MIT */
#ifndef NSNET_DNSNEWS_H
#define NSNET_DNSNEWS_H

#include <stddef.h>
#include <stdint.h>

#include "flow.h"

/* dnsnews - what the user is told of the child's questions without having asked for a log: each
 * thing once, since a lookup asks for two types, of two servers, in every search domain. */
#define DNSNEWS_SAID 256 /* names that are remembered, so as to be said once */
#define DNSNEWS_SAID_S 60.

struct dnsnews_said {
	uint32_t hash; /* of the name and what was said of it */
	double until;
};

/* All zeros is ready for use. */
struct dnsnews {
	struct dnsnews_said said[DNSNEWS_SAID];
};

/* A question for @type of @name was refused, in the words of @what. Few lines a second. */
void dnsnews_denied(struct dnsnews *n, const char *name, uint16_t type, const char *what,
	const struct decision *d);

/* The answer of @len bytes at @msg to a question for @name may hold addresses that rules about
 * names will not believe: tells of them, so that a denied connection is no riddle. */
void dnsnews_private(struct dnsnews *n, const char *name, const uint8_t *msg, size_t len);

#endif
